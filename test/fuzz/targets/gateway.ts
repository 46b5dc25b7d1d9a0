/** Mail from outside at a gateway (SMIMP 0.1 §6): who wrote it, what is found out about it, results that came with it. */
import { AuthenticationError, createAuthenticate } from '../../../src/legacy/authentication.ts';
import { gatewayDataSchema, removeForgedResults } from '../../../src/mime/gateway-data.ts';
import type { Domain } from '../../../src/smimp/address.ts';
import { normalizeLegacyAddress } from '../../../src/smimp/gateway.ts';
import { authorOf } from '../../../src/smtp/mx-message.ts';
import { SmtpReply } from '../../../src/smtp/replies.ts';
import { mails } from '../corpus.ts';
import { DEFAULTS, must, refusalOf, type Target } from '../target.ts';

const WORDS = [
  ...[
    'From: a@old.test\r\n',
    'from : ',
    'Sender: x@old.test\r\n',
    '<',
    '>',
    '@',
    ':',
    ';',
    ',',
    '(',
    ')',
    '"',
    '\r\n',
    ' ',
  ],
  ...[
    'DKIM-Signature: v=1; a=rsa-sha256; d=old.test; s=mail; h=from; bh=; b=\r\n',
    'l=0;',
    'c=simple/relaxed;',
    'x=1;',
  ],
  ...[
    'ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.test; s=s; b=\r\n',
    'ARC-Message-Signature: i=1; a=rsa-sha256; d=a.test\r\n',
  ],
  ...[
    'ARC-Authentication-Results: i=1; a.test; none\r\n',
    'Authentication-Results: gw.test; dmarc=pass\r\n',
    '\u00fc',
    '=?utf-8?q?=40?=',
  ],
];
/** A domain that has everything, and a world that has nothing. */
const RECORDS: Readonly<Record<string, string>> = {
  'old.test': 'v=spf1 include:a.test redirect=old.test -all',
  '_dmarc.old.test': 'v=DMARC1; p=reject; adkim=s',
  'mail._domainkey.old.test': 'v=DKIM1; k=rsa; p=MFwwDQYJ',
};
const resolver = async (name: string): Promise<string[][]> => {
  const record = RECORDS[name];
  if (record === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  return [[record]];
};
const GATEWAY = 'gw.test' as Domain;
const check = createAuthenticate({ name: 'mx.gw.test', resolver });

const replyCode: Target['refusal'] = (error) =>
  error instanceof SmtpReply ? `${error.responseCode} ${error.message.slice(0, 5)}` : null;
const otherAuthor = refusalOf(AuthenticationError);

const author: Target = {
  ...DEFAULTS,
  name: 'mx-author',
  corpus: mails(),
  words: WORDS,
  refusal: replyCode,
  run: (input) => {
    const mailbox = authorOf(input, GATEWAY);
    must(normalizeLegacyAddress(mailbox) === mailbox, 'an author in its normal form');
    return `author ${mailbox.length > 60 ? 'long' : 'short'}`;
  },
};

const authentication: Target = {
  ...DEFAULTS,
  name: 'mx-authentication',
  corpus: mails(),
  words: WORDS,
  refusal: (error) => replyCode(error) ?? otherAuthor(error),
  run: async (input) => {
    const client = { address: '192.0.2.1', name: 'out.old.test' };
    const data = await check({ message: input, from: authorOf(input, GATEWAY), returnPath: 'a@old.test', client });
    gatewayDataSchema.parse(data);
    must(!data.authenticated, 'nobody stands for this message');
    return `${data.spf.result} ${data.dkim.map(({ result }) => result).join()} ${data.dmarc.result} ${data.arc.result}`;
  },
};

const results: Target = {
  ...DEFAULTS,
  name: 'mx-results',
  corpus: mails(),
  words: WORDS,
  refusal: () => null,
  run: (input) => {
    const left = removeForgedResults(Buffer.from(input), ['gw.test']);
    const again = removeForgedResults(Buffer.from(left), ['gw.test']);
    must(left.equals(again), 'nothing more to remove');
    return left.length === input.length ? 'whole' : 'removed';
  },
};

export const GATEWAY_TARGETS: readonly Target[] = [author, authentication, results];
