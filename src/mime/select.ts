/**
 * Which parts of a message are its text and which are attachments (RFC 2046 §5.1.4, RFC 2183, RFC 2387). HTML is
 * preferred to its plain alternative, because what was formatted stands there.
 */

import type { Buffer } from 'node:buffer';
import { isMultipart, type MailPart } from './parse.ts';
import { decodeBytes } from './text.ts';

export type SelectedText = { kind: 'plain' | 'html'; text: string };
export type Selected = { texts: SelectedText[]; attachments: MailPart[]; charset: string | null };

/** `charset`: what another text of the message says it is in, for one that says nothing. */
export function selectParts(root: MailPart, charset: string | null = null): Selected {
  const selected: Selected = { texts: [], attachments: [], charset };
  collect(root, selected);
  return selected;
}

function collect(part: MailPart, selected: Selected): void {
  const kind = textKind(part);
  if (part.contentType === 'multipart/alternative') collectAlternative(part, selected);
  else if (isMultipart(part)) for (const child of part.children) collect(child, selected);
  else if (kind === null) selected.attachments.push(part);
  else selected.texts.push({ kind, text: textOf(part, kind, selected.charset) });
}

/** Of alternatives the one with HTML, else the last with text; what is neither (an invitation) goes along. */
function collectAlternative(part: MailPart, selected: Selected): void {
  const best = part.children.findLast(holdsHtml) ?? part.children.findLast((child) => textKind(child) === 'plain');
  for (const child of part.children) {
    if (child === best || isCompanion(child)) collect(child, selected);
    else if (isMultipart(child)) collectFiles(child, best === undefined, selected);
  }
}

/** What stands beside the text in a writing of it that was not chosen: no file is lost with it. */
function collectFiles(part: MailPart, withTexts: boolean, selected: Selected): void {
  if (withTexts) collect(part, selected);
  else if (isMultipart(part)) for (const child of part.children) collectFiles(child, false, selected);
  else if (isCompanion(part)) selected.attachments.push(part);
}

/** Other writings of the same text that nobody needs once one was chosen. */
const SPARE_TYPES = new Set(['text/x-amp-html', 'text/enriched', 'text/richtext', 'text/watch-html']);

function isCompanion(part: MailPart): boolean {
  return textKind(part) === null && !isMultipart(part) && !SPARE_TYPES.has(part.contentType);
}

function holdsHtml(part: MailPart): boolean {
  return textKind(part) === 'html' || (isMultipart(part) && part.children.some(holdsHtml));
}

function textKind(part: MailPart): SelectedText['kind'] | null {
  if (part.disposition === 'attachment' || part.fileName !== null) return null;
  if (part.contentType === 'text/plain') return 'plain';
  return part.contentType === 'text/html' ? 'html' : null;
}

function textOf(part: MailPart, kind: SelectedText['kind'], charset: string | null): string {
  const hint = (kind === 'html' ? declaredWithin(part.content) : null) ?? charset;
  const text = decodeBytes(part.content, part.parameters.get('charset') ?? null, hint).replace(/\r\n?/g, '\n');
  const isFlowed = kind === 'plain' && part.parameters.get('format')?.toLowerCase() === 'flowed';
  return isFlowed ? unflow(text, part.parameters.get('delsp')?.toLowerCase() === 'yes') : text;
}

/** As far as browsers look for it. */
const META_BYTES = 1024;
const META = /<meta\s[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})/i;

/** The character set that HTML names in itself. */
function declaredWithin(content: Buffer): string | null {
  return META.exec(content.toString('latin1', 0, META_BYTES))?.[1] ?? null;
}

/** Joins the lines of format=flowed (RFC 3676 §4). */
export function unflow(text: string, deleteSpace: boolean): string {
  const out: string[] = [];
  let open: { quote: string; text: string } | null = null;
  for (const line of text.split('\n')) {
    const quote = /^>*/.exec(line)?.[0] ?? '';
    // Of a line that was stuffed because it begins like a quote the space stays, or it would be read as one.
    const rest = /^ >/.test(line) ? line : line.slice(quote.length).replace(/^ /, '');
    const flows = rest.endsWith(' ') && rest !== '-- ';
    const piece = flows && deleteSpace ? rest.slice(0, -1) : rest;
    if (open !== null && open.quote === quote && rest !== '-- ') open.text += piece;
    else {
      if (open !== null) out.push(joined(open));
      open = { quote, text: piece };
    }
    if (!flows && open !== null) {
      out.push(joined(open));
      open = null;
    }
  }
  if (open !== null) out.push(joined(open));
  return out.join('\n');
}

const joined = ({ quote, text }: { quote: string; text: string }): string => (quote === '' ? text : `${quote} ${text}`);
