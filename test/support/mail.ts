/** Mail for the tests of the translation: fixtures read and translated, bodies rendered, with one sender and recipient. */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { renderMessage } from '../../src/mime/from-email.ts';
import { parseMail } from '../../src/mime/parse.ts';
import { type ToEmailOptions, toEmailBody } from '../../src/mime/to-email.ts';
import { parseAddress } from '../../src/smimp/address.ts';
import { type EmailBody, type ParsedBody, parseBody, serializeBody } from '../../src/smimp/email.ts';
import { formatTimestamp, parseHex32 } from '../../src/smimp/encoding.ts';

export const ALICE = parseAddress('alice#acme.test');
export const BOB = parseAddress('bob#corp.test');
export const UID = parseHex32('ab'.repeat(32));
export const OTHER_UID = parseHex32('cd'.repeat(32));
/** 2023-11-14 22:13:20 */
export const NOW = 1_700_000_000;

export function fixture(name: string): Buffer {
  return readFileSync(new URL(`../../fixtures/mail/${name}.eml`, import.meta.url));
}

/** The body as it arrives: translated, serialised by the strict schema, read again. */
export async function toEmail(raw: Uint8Array | string, options: Partial<ToEmailOptions> = {}): Promise<EmailBody> {
  const mail = await parseMail(Buffer.from(raw));
  const given = { from: ALICE, uid: UID, parentUid: null, gatewayDomain: null, now: NOW };
  const content = parseBody('email', serializeBody('email', toEmailBody({ mail, ...given, ...options })));
  if (content.type !== 'email') throw new Error('not an email');
  return content.value;
}

type Rendering = Partial<Omit<Parameters<typeof renderMessage>[0], 'content'>>;

export function render(content: ParsedBody, options: Rendering = {}): Buffer {
  const header = { from: ALICE, to: BOB, uid: UID, sent: formatTimestamp(NOW) };
  return renderMessage({ header, notice: null, ...options, content });
}

export function renderEmail(body: EmailBody, options: Rendering = {}): Buffer {
  return render({ type: 'email', value: body }, options);
}

/** A text/plain message with the given lines. */
export function plainMail(text: string, fields: readonly string[] = []): string {
  const head = ['From: alice@acme.test', 'To: bob@corp.test', 'Content-Type: text/plain; charset=utf-8', ...fields];
  return `${head.join('\r\n')}\r\n\r\n${text.replace(/\n/g, '\r\n')}`;
}

/** A body with the given members. */
export async function bodyWith(members: Partial<EmailBody>): Promise<EmailBody> {
  return { ...(await toEmail(plainMail('hello\n'))), ...members };
}
