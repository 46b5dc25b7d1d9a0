/**
 * The parts of a rendered message, version 2 of the renderer: mixed( alternative( plain, related( html, pictures ) ), files ).
 * Frozen, because sizes and structures were stored of what it gives; new ideas go into the version that is current.
 */
import { Buffer } from 'node:buffer';
import type { Attachment, EmailBody } from '../smimp/email.ts';
import { parameterField } from './headers.ts';
import { markdownToHtml } from './markdown-to-html.ts';
import { markdownToText } from './markdown-to-text.ts';
import { Base64Body, type Entity, isSafeRaw, textEntity } from './mime-writer.ts';
import { cleanLine } from './text.ts';

/** mixed( alternative( plain, related( html, pictures ) ), attachments ), each level only where it is needed. */
export function bodyEntity2(body: EmailBody): Entity {
  const signature = body.signature_text === null ? '' : `\n-- \n${body.signature_text}\n`;
  const plain = textEntity('text/plain', `${markdownToText(body.body)}\n${signature}`);
  const isInline = ({ content_id }: Attachment): boolean => content_id !== null && isPictured(content_id, body.body);
  const inline = body.attachments.filter(isInline);
  const html = textEntity('text/html', markdownToHtml(body.body, body.signature_text));
  const shown =
    inline.length === 0
      ? html
      : { subtype: 'related', children: [html, ...inline.map((file) => fileEntity(file, 'inline'))] };
  const readable: Entity = { subtype: 'alternative', children: [plain, shown] };
  const attached = body.attachments.filter((file) => !isInline(file));
  if (attached.length === 0) return readable;
  return { subtype: 'mixed', children: [readable, ...attached.map((file) => fileEntity(file, 'attachment'))] };
}

/** Whether the text shows the attachment: `![…](cid:…)`, with or without `<…>`, as written or percent-encoded. */
export function isPictured(id: string, markdown: string): boolean {
  const spellings = [id, id.replace(/\(/g, '%28').replace(/\)/g, '%29')];
  return (
    isContentId(id) && spellings.some((cid) => markdown.includes(`](cid:${cid}`) || markdown.includes(`](<cid:${cid}`))
  );
}

export const isContentId = (id: string): boolean => /^[\x21-\x3b\x3d\x3f-\x7e]{1,400}$/.test(id);

function fileEntity(file: Attachment, disposition: 'inline' | 'attachment'): Entity {
  const name = cleanLine(file.file_name).replace(/[/\\]/g, '_') || 'attachment';
  const { type, parameters } = safeType(file.content_type);
  const named = [...parameters, { name: 'name', value: name, style: 'words' as const }];
  const id = file.content_id !== null && isContentId(file.content_id) ? [`Content-ID: <${file.content_id}>\r\n`] : [];
  const raw = type === 'message/rfc822' ? Buffer.from(file.content, 'base64') : null;
  const embedded = raw !== null && isSafeRaw(raw);
  const fields = [
    parameterField('Content-Type', raw !== null && !embedded ? 'application/octet-stream' : type, named),
    `Content-Transfer-Encoding: ${embedded ? '8bit' : 'base64'}\r\n`,
    parameterField('Content-Disposition', disposition, [{ name: 'filename', value: name }]),
    ...id,
  ];
  return { fields, body: embedded && raw !== null ? raw : new Base64Body(file.content) };
}

const TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;
const PARAMETER = /^\s*([a-z0-9-]{1,64})="?([\x20\x21\x23-\x5b\x5d-\x7e]{1,200})"?\s*$/i;

export type Parameters = { type: string; parameters: { name: string; value: string }[] };

/** A type that cannot change the structure around it. */
function safeType(declared: string): Parameters {
  const given = typeAndParameters(declared);
  const { type } = given;
  const isStructure = type.startsWith('multipart/') || (type.startsWith('message/') && type !== 'message/rfc822');
  return isStructure ? { type: 'application/octet-stream', parameters: [] } : given;
}

/** Well-formed, and with no parameter that is written elsewhere. */
export function typeAndParameters(declared: string): Parameters {
  const [first = '', ...rest] = declared.split(';');
  const type = first.trim().toLowerCase();
  if (!TYPE.test(type)) return { type: 'application/octet-stream', parameters: [] };
  const parameters = rest.flatMap((piece) => {
    const [, name, value] = PARAMETER.exec(piece) ?? [];
    return name === undefined || value === undefined
      ? []
      : [{ name: name.toLowerCase(), value: value.replace(/"$/, '') }];
  });
  return { type, parameters: parameters.filter(({ name }) => name !== 'boundary' && name !== 'name').slice(0, 10) };
}
