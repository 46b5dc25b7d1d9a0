/**
 * The parts of a rendered message, version 3 of the renderer. A message of one sealed part is that part; an invitation is one
 * more writing of the text, where calendars look for it; a report is a report; all else is
 * mixed( alternative( plain, related( html, pictures ) ), files ), each level only where it is needed.
 */
import { Buffer } from 'node:buffer';
import type { Attachment, EmailBody } from '../smimp/email.ts';
import { flowedText } from './flowed-text.ts';
import { parameterField } from './headers.ts';
import { markdownToHtml } from './markdown-to-html.ts';
import { markdownToText } from './markdown-to-text.ts';
import { Base64Body, type Entity, isSafeRaw, textEntity } from './mime-writer.ts';
import { isContentId, isPictured, type Parameters, typeAndParameters } from './rendered-parts-2.ts';
import { cleanLine } from './text.ts';
import { unnamedFile } from './unnamed-file.ts';

/** Parts for programs, by which a report is known (RFC 6522 §3), and what it then is. */
const REPORTS: Readonly<Record<string, string>> = {
  'message/delivery-status': 'delivery-status',
  'message/global-delivery-status': 'delivery-status',
  'message/disposition-notification': 'disposition-notification',
  'message/global-disposition-notification': 'disposition-notification',
  'message/feedback-report': 'feedback-report',
};
/** Written as they are, without an encoding, where they can be (RFC 3464 §2.1, RFC 2046 §5.2.1). */
const PLAIN_TYPES = new Set(['message/rfc822', 'text/rfc822-headers', ...Object.keys(REPORTS)]);
const PKCS7 = /^application\/(?:x-)?pkcs7-mime$/;

/** An attachment and what it says it is. */
type File = Parameters & { file: Attachment };

export function bodyEntity3(body: EmailBody): Entity {
  const files = body.attachments.map((file): File => ({ file, ...typeAndParameters(file.content_type) }));
  const isEmpty = body.body.trim() === '' && body.signature_text === null;
  return (isEmpty ? sealedEntity(files) : null) ?? openEntity(body, files);
}

/** Encrypted or opaquely signed as a whole: S/MIME (RFC 8551 §3.4), or OpenPGP in its two parts (RFC 3156 §4). */
function sealedEntity(files: readonly File[]): Entity | null {
  const [first, second] = files;
  if (files.length === 1 && first !== undefined && PKCS7.test(first.type)) return fileEntity(first, 'attachment');
  if (files.length !== 2 || first?.type !== PGP_TYPE || second?.type !== 'application/octet-stream') return null;
  const [version, message] = [plainEntity(first), plainEntity(second)];
  if (version === null || message === null) return null;
  return { subtype: 'encrypted', parameters: [{ name: 'protocol', value: PGP_TYPE }], children: [version, message] };
}

const PGP_TYPE = 'application/pgp-encrypted';

function openEntity(body: EmailBody, files: readonly File[]): Entity {
  const isInline = ({ file }: File): boolean => file.content_id !== null && isPictured(file.content_id, body.body);
  const invitation = files.find((one) => isInvitation(one) && !isInline(one));
  const rest = files.filter((one) => one !== invitation && !isInline(one));
  const readable: Entity = {
    subtype: 'alternative',
    children: [
      plainText(body),
      htmlEntity(body, files.filter(isInline)),
      ...(invitation === undefined ? [] : [invitationEntity(invitation)]),
    ],
  };
  if (rest.length === 0) return readable;
  const children = [readable, ...rest.map((one) => fileEntity(one, 'attachment'))];
  const kind = rest.map(({ type }) => REPORTS[type]).find((report) => report !== undefined);
  if (kind === undefined) return { subtype: 'mixed', children };
  return { subtype: 'report', parameters: [{ name: 'report-type', value: kind }], children };
}

function plainText(body: EmailBody): Entity {
  const signature = body.signature_text === null ? '' : `\n-- \n${body.signature_text}\n`;
  const text = markdownToText(body.body);
  const flowed = flowedText(text);
  const parameters = flowed === null ? [] : [{ name: 'format', value: 'flowed' }];
  return textEntity('text/plain', `${flowed ?? text}\n${signature}`, parameters);
}

function htmlEntity(body: EmailBody, pictures: readonly File[]): Entity {
  const html = textEntity('text/html', markdownToHtml(body.body, body.signature_text, { citing: true }));
  if (pictures.length === 0) return html;
  return { subtype: 'related', children: [html, ...pictures.map((one) => fileEntity(one, 'inline'))] };
}

/** A calendar with a method wants an answer; one without is a file (RFC 6047 §2.4). */
function isInvitation({ type, parameters }: File): boolean {
  return type === 'text/calendar' && parameters.some(({ name }) => name === 'method');
}

/** Without a disposition: programs that find one take the invitation for a file. */
function invitationEntity({ file, type, parameters }: File): Entity {
  const fields = [typeField(file, type, parameters), 'Content-Transfer-Encoding: base64\r\n', ...idField(file)];
  return { fields, body: new Base64Body(file.content) };
}

function fileEntity(one: File, disposition: 'inline' | 'attachment'): Entity {
  const { file, type, parameters } = one;
  const plain = PLAIN_TYPES.has(type) ? plainEntity(one) : null;
  if (plain !== null) return plain;
  const isStructure = /^(?:multipart|message)\//.test(type);
  const name = fileName(file);
  const fields = [
    parameterField('Content-Type', isStructure ? 'application/octet-stream' : type, [
      ...(isStructure ? [] : parameters),
      { name: 'name', value: name, style: 'words' },
    ]),
    'Content-Transfer-Encoding: base64\r\n',
    parameterField('Content-Disposition', disposition, [{ name: 'filename', value: name }]),
    ...idField(file),
  ];
  return { fields, body: new Base64Body(file.content) };
}

/** Null where the bytes cannot stand in a message as they are. */
function plainEntity({ file, type, parameters }: File): Entity | null {
  const raw = Buffer.from(file.content, 'base64');
  if (!isSafeRaw(raw)) return null;
  const encoding = raw.some((byte) => byte > 0x7f) ? '8bit' : '7bit';
  const disposition = unnamedFile(type) === fileName(file) ? [] : [dispositionField(file)];
  const fields = [typeField(file, type, parameters), `Content-Transfer-Encoding: ${encoding}\r\n`];
  return { fields: [...fields, ...disposition, ...idField(file)], body: raw };
}

function dispositionField(file: Attachment): string {
  return parameterField('Content-Disposition', 'attachment', [{ name: 'filename', value: fileName(file) }]);
}

/** A part that came without a name goes without one. */
function typeField(file: Attachment, type: string, parameters: Parameters['parameters']): string {
  const name = fileName(file);
  const named = unnamedFile(type) === name ? [] : [{ name: 'name', value: name, style: 'words' as const }];
  return parameterField('Content-Type', type, [...parameters, ...named]);
}

function fileName(file: Attachment): string {
  return cleanLine(file.file_name).replace(/[/\\]/g, '_') || 'attachment';
}

function idField({ content_id: id }: Attachment): string[] {
  return id !== null && isContentId(id) ? [`Content-ID: <${id}>\r\n`] : [];
}
