/** Mail kept byte for byte (docs/original.md): putting together, packing, and whom an original is believed to be from. */
import { readdirSync, readFileSync } from 'node:fs';
import { readHeaderBlock } from '../../../src/mime/header-block.ts';
import { decodeMailboxes } from '../../../src/mime/headers.ts';
import { OriginalError } from '../../../src/mime/original/format.ts';
import { packOriginal } from '../../../src/mime/original/pack.ts';
import { parseOriginal, rebuildOriginal } from '../../../src/mime/original/rebuild.ts';
import { originalIsFrom } from '../../../src/mime/original/trust.ts';
import { parseMail } from '../../../src/mime/parse.ts';
import { selectParts } from '../../../src/mime/select.ts';
import { type Base64, isBase64, toBase64 } from '../../../src/smimp/encoding.ts';
import { ProfileError } from '../../../src/smimp/errors.ts';
import { parseStrictJson } from '../../../src/smimp/json.ts';
import { bytes, mails } from '../corpus.ts';
import { DEFAULTS, must, refusalOf, type Target } from '../target.ts';

type Vector = { op: string; original?: unknown; attachments?: Base64[]; message?: string };
const VECTORS = new URL('../../../fixtures/vectors/original/', import.meta.url);
const vectors = readdirSync(VECTORS).map((name) => JSON.parse(readFileSync(new URL(name, VECTORS), 'utf8')) as Vector);
const WORDS = [
  ...[
    '"at":',
    '"attachment":',
    '"encoding":"identity"',
    '"encoding":"base64"',
    '"line_end":"\\r\\n"',
    '"lines":[[76,1]]',
  ],
  ...[
    '"size":',
    '0',
    '1',
    '-1',
    '[4,1]',
    '9007199254740991',
    'null',
    '{}',
    '[]',
    '"exceptions":[0]',
    '"upper_case":false',
    ',',
  ],
];

const rebuild: Target = {
  ...DEFAULTS,
  name: 'original',
  corpus: vectors
    .filter(({ op }) => op === 'rebuild')
    .map(({ original, attachments }) => bytes(JSON.stringify({ original, attachments }))),
  words: WORDS,
  refusal: refusalOf(OriginalError, ProfileError),
  run(input) {
    const { original, attachments } = Object(parseStrictJson(input)) as Vector;
    // The body was checked before.
    const contents = Array.isArray(attachments) ? attachments : [];
    if (!contents.every((content) => typeof content === 'string' && isBase64(content))) return 'no body';
    const given = contents.map((content) => ({ content }));
    const parsed = parseOriginal(original);
    const raw = rebuildOriginal(parsed, given);
    must(raw.length === parsed.size, 'a message of its size');
    const packed = packOriginal({ raw, attachments: given });
    must(packed !== null && rebuildOriginal(packed, given).equals(raw), 'what was put together can be packed');
    return `rebuilt ${parsed.references.map(({ encoding }) => encoding).join()}`;
  },
};

const pack: Target = {
  ...DEFAULTS,
  name: 'original-pack',
  corpus: mails(),
  words: [
    '=\r\n',
    '=3D',
    '\r\n',
    '\n',
    ' ',
    '--b\r\n',
    'Content-Transfer-Encoding: quoted-printable\r\n',
    'QUJD',
    '==',
  ],
  refusal: () => null,
  async run(raw) {
    const { root } = await parseMail(raw);
    const contents = selectParts(root).attachments.map(({ content }) => ({ content: toBase64(content) }));
    const packed = packOriginal({ raw, attachments: contents });
    must(packed !== null && rebuildOriginal(packed, contents).equals(raw), 'every byte comes back');
    return packed?.references.map(({ encoding }) => encoding).join() ?? 'none';
  },
};

const MAILBOX = 'alice@acme.test';

const from: Target = {
  ...DEFAULTS,
  name: 'original-from',
  corpus: vectors.filter(({ op }) => op === 'is-from').map(({ message }) => Buffer.from(message ?? '', 'base64')),
  words: [
    'From: ',
    'from :',
    'Sender: ',
    '<',
    '>',
    '@',
    MAILBOX,
    'eve@evil.test',
    ',',
    '"',
    '(',
    ')',
    '\r\n ',
    '\r\n',
    '\r',
    '\0',
    ';',
    ':',
  ],
  refusal: () => null,
  run(input) {
    if (!originalIsFrom(input, MAILBOX)) return 'foreign';
    const named = readHeaderBlock(input).fields.filter(({ name }) => name === 'from' || name === 'sender');
    const mailboxes = named.flatMap(({ value }) => decodeMailboxes(value));
    must(mailboxes.length > 0 && mailboxes.every(({ address }) => address.toLowerCase() === MAILBOX), 'nobody else');
    return `from ${named.length}`;
  },
};

export const ORIGINAL_TARGETS: readonly Target[] = [rebuild, pack, from];
