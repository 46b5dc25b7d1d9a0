/** Text forms of the protocol: JSON, encodings, addresses, discovery, gateway coding, fingerprints, proofs (SMIMP 0.1 §1, §2, §6). */
import { isDeepStrictEqual } from 'node:util';
import {
  type Domain,
  encodePathSegment,
  fromMailbox,
  isAddress,
  normalizeAddress,
  parseAddress,
  parsePathSegment,
  toMailbox,
} from '../../../src/smimp/address.ts';
import { chooseVersion, parseBaseUrl, parseDiscovery } from '../../../src/smimp/discovery.ts';
import {
  formatTimestamp,
  isBase64,
  isHex,
  isTimestamp,
  parseBase64,
  parseHex,
  parseTimestamp,
  toBase64,
  toHex,
} from '../../../src/smimp/encoding.ts';
import { ProfileError } from '../../../src/smimp/errors.ts';
import { parseFingerprint, parseVerifyUri } from '../../../src/smimp/fingerprint.ts';
import { decodeLegacy, encodeLegacy, normalizeLegacyAddress } from '../../../src/smimp/gateway.ts';
import { parseStrictJson } from '../../../src/smimp/json.ts';
import { writeStrictJson } from '../../../src/smimp/json-value.ts';
import { isProof, parseProof } from '../../../src/smimp/pow.ts';
import { bytes, fromHex, texts, vectorInputs } from '../corpus.ts';
import { DEFAULTS, must, refusalOf, type Target } from '../target.ts';

const GATEWAY = 'gw.example.com' as Domain;
const refusal = refusalOf(ProfileError);

/** Whether a parser takes a text; what else it throws goes on. */
export function takes(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (error instanceof ProfileError) return false;
    throw error;
  }
}

const strictJson: Target = {
  name: 'strict-json',
  ...DEFAULTS,
  refusal,
  corpus: texts(vectorInputs('strict-json'), 'json').map(fromHex),
  words: ['"a":', '"b":1', '[', '{', ']', '}', ',', 'true', 'null', '-', '1', '\\u0061', '\\ud83d\\ude00', '\\n', '"'],
  run(input) {
    const value = parseStrictJson(input);
    const text = input.toString('utf8');
    must(isDeepStrictEqual(value, JSON.parse(text)), 'read otherwise than by JSON.parse');
    must(isDeepStrictEqual(parseStrictJson(text), value), 'text and bytes differ');
    must(isDeepStrictEqual(parseStrictJson(writeStrictJson(value)), value), 'not the same after writing');
    return `${typeof value} ${Array.isArray(value)} ${Math.min(4, Object.keys(value ?? {}).length)}`;
  },
};

const encodings: Target = {
  name: 'encodings',
  ...DEFAULTS,
  refusal,
  corpus: texts(vectorInputs('encodings'), 'text').map(bytes),
  words: ['00', 'ff', '=', '==', 'A', '/', '+', '-', ':', ' ', '2024-02-29', '23:59:59', '0001', '9999'],
  run(input) {
    const text = input.toString('utf8');
    const ends: string[] = [];
    for (const size of [24, 32, 64, 96]) {
      must(takes(() => parseHex(text, size)) === isHex(text, size), 'two opinions of hex');
      if (!isHex(text, size)) continue;
      must(toHex(parseHex(text, size)) === text, 'hex is not what it was');
      ends.push(`hex${size}`);
    }
    must(takes(() => parseBase64(text)) === isBase64(text), 'two opinions of base64');
    if (isBase64(text)) {
      must(toBase64(parseBase64(text)) === text, 'base64 is not what it was');
      ends.push('base64');
    }
    must(takes(() => parseTimestamp(text)) === isTimestamp(text), 'two opinions of a timestamp');
    if (isTimestamp(text)) {
      must(formatTimestamp(parseTimestamp(text)) === text, 'the timestamp is not what it was');
      must(parseTimestamp(text) * 1000 === Date.parse(`${text.replace(' ', 'T')}Z`), 'another moment than by Date');
      ends.push('timestamp');
    }
    return ends.join(' ');
  },
};

const address: Target = {
  name: 'address',
  ...DEFAULTS,
  refusal,
  corpus: texts(vectorInputs('addresses'), 'text', 'segment').map(bytes),
  words: [
    '#',
    '%23',
    '%2523',
    '@',
    '.',
    'xn--',
    '0x7f',
    'K',
    '\u212a',
    '\u0430',
    '\u200b',
    '\u3002',
    'adam',
    'example.com',
  ],
  run(input) {
    const text = input.toString('utf8');
    const ends: string[] = [];
    if (isAddress(text)) {
      must(/^[a-z0-9]{1,255}#[a-z0-9.-]{3,253}$/.test(text), 'an address of other characters');
      must(parsePathSegment(encodePathSegment(parseAddress(text))) === text, 'not the same through a path');
      must(fromMailbox(toMailbox(parseAddress(text))) === text, 'not the same through a mailbox');
      must(
        new URL(`https://${text.slice(text.indexOf('#') + 1)}/`).hostname === text.slice(text.indexOf('#') + 1),
        'a URL names another host',
      );
      ends.push('address');
    }
    const readers: [string, (text: string) => string][] = [
      ['typed', normalizeAddress],
      ['path', parsePathSegment],
      ['mailbox', fromMailbox],
    ];
    for (const [name, read] of readers) {
      if (!takes(() => read(text))) continue;
      must(isAddress(read(text)), `${name} gives what is no address`);
      ends.push(name);
    }
    return ends.join(' ');
  },
};

const discovery: Target = {
  name: 'discovery',
  ...DEFAULTS,
  maxBytes: 2048,
  refusal,
  corpus: texts(vectorInputs('discovery', 'base-url'), 'body').map(fromHex),
  words: [
    'https://',
    'http://',
    'HTTPS://',
    'smimp.example.com',
    ':443',
    ':8443',
    '/',
    '/..',
    '/.',
    '%2e',
    '@',
    '?',
    '#',
    '0x7f.1',
    '[::1]',
    '\ufeff',
  ],
  run(input) {
    const found = parseDiscovery(input);
    must(parseBaseUrl(found) === found, 'a base URL that is not its own spelling');
    const url = new URL(found);
    must(
      url.protocol === 'https:' && url.username === '' && url.search === '' && url.hash === '',
      'more than a base URL',
    );
    must(found.startsWith(`https://${url.host}`), 'a URL parser reads another host');
    must(found === `https://${url.host}${url.pathname === '/' ? '' : url.pathname}`, 'a URL parser reads another path');
    must(!/^[0-9.]+$/.test(url.hostname) && !url.hostname.startsWith('['), 'an IP address');
    const versions = found.split(/[/:]/);
    return takes(() => chooseVersion(versions)) ? 'version' : `${url.port === ''} ${url.pathname.split('/').length}`;
  },
};

const gateway: Target = {
  name: 'gateway',
  ...DEFAULTS,
  maxBytes: 2048,
  refusal,
  corpus: texts(vectorInputs('gateway'), 'legacy', 'address').map(bytes),
  words: [
    'z',
    'z40',
    'z7a',
    'z2e',
    'zc3',
    'zbc',
    'zff',
    '@',
    '"',
    'xn--',
    '[1.2.3.4]',
    `#${GATEWAY}`,
    'e\u0301',
    '\u00fc',
  ],
  run(input) {
    const text = input.toString('utf8');
    if (takes(() => encodeLegacy(text, GATEWAY))) {
      const coded = encodeLegacy(text, GATEWAY);
      must(isAddress(coded), 'a coding that is no address');
      must(decodeLegacy(coded, GATEWAY) === normalizeLegacyAddress(text), 'decodes to another address');
      return 'encoded';
    }
    const legacy = decodeLegacy(text, GATEWAY);
    must(encodeLegacy(legacy, GATEWAY) === text, 'encodes to another text');
    must(!/[\x00-\x1f\x7f-\x9f]/.test(legacy), 'control characters');
    return 'decoded';
  },
};

const fingerprint: Target = {
  name: 'fingerprint',
  ...DEFAULTS,
  maxBytes: 4096,
  refusal,
  corpus: texts(vectorInputs('fingerprints'), 'text', 'uri').map(bytes),
  words: ['smimp-verify:', '?fp=', '&seq=', '&head=', '%23', '-', ' ', 'O', 'I', 'L', 'U', '0'],
  run(input) {
    const text = input.toString('utf8');
    if (takes(() => parseVerifyUri(text))) {
      const { address: about, fingerprint: fp, seq, head } = parseVerifyUri(text);
      const again = `smimp-verify:${encodePathSegment(about)}?fp=${fp.replaceAll('-', '')}&seq=${seq}&head=${head}`;
      must(isDeepStrictEqual(parseVerifyUri(again), parseVerifyUri(text)), 'not the same when written again');
      return 'uri';
    }
    const read = parseFingerprint(text);
    must(/^(?:[0-9A-HJKMNP-TV-Z]{5}-){7}[0-9A-HJKMNP-TV-Z]{5}$/.test(read), 'a fingerprint of another form');
    must(parseFingerprint(read.toLowerCase().replaceAll('-', ' ')) === read, 'not the same when typed again');
    return 'typed';
  },
};

const proof: Target = {
  name: 'proof-of-work',
  ...DEFAULTS,
  maxBytes: 4096,
  refusal,
  corpus: texts(vectorInputs('pow'), 'proof_of_work').map(bytes),
  words: [':', '00', 'FF', 'ab'.repeat(32)],
  run(input) {
    const text = input.toString('utf8');
    must(takes(() => parseProof(text)) === isProof(text), 'two opinions of a proof');
    const { hash, value, nonce } = parseProof(text);
    must(`${hash}:${value}:${nonce}` === text, 'not the same when written again');
    return 'proof';
  },
};

export const PROTOCOL_TARGETS: readonly Target[] = [
  strictJson,
  encodings,
  address,
  discovery,
  gateway,
  fingerprint,
  proof,
];
