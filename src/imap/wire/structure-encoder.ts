/**
 * ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 §7.4.2, §9: envelope, body) from the index of a message. Bytes go out as
 * they stand in the message: 8-bit text becomes a literal.
 */
import { joinParameters } from '../../mime/structure/joined-parameters.ts';
import type { Envelope, EnvelopeAddress, Parameter, Part } from '../../mime/structure/types.ts';
import type { ResponseLine } from './encoder.ts';

export function writeEnvelope(line: ResponseLine, envelope: Envelope): void {
  line.raw('(').nstring(envelope.date).raw(' ').nstring(envelope.subject);
  const { from, sender, replyTo, to, cc, bcc } = envelope;
  for (const addresses of [from, sender, replyTo, to, cc, bcc]) {
    line.raw(' ');
    writeAddresses(line, addresses);
  }
  line.raw(' ').nstring(envelope.inReplyTo).raw(' ').nstring(envelope.messageId).raw(')');
}

/** `extensible` gives BODYSTRUCTURE, else BODY. */
export function writeStructure(line: ResponseLine, part: Part, extensible: boolean): void {
  line.raw('(');
  if (part.kind === 'multipart') {
    for (const child of part.children) writeStructure(line, child, extensible);
    line.raw(' ').nstring(part.subtype);
    if (extensible) writeParameters(line.raw(' '), part.params);
  } else {
    writeSinglePart(line, part, extensible);
  }
  if (extensible) writeExtension(line, part);
  line.raw(')');
}

function writeSinglePart(line: ResponseLine, part: Exclude<Part, { kind: 'multipart' }>, extensible: boolean): void {
  line.nstring(part.type).raw(' ').nstring(part.subtype).raw(' ');
  writeParameters(line, part.params);
  line.raw(' ').nstring(part.id).raw(' ').nstring(part.description).raw(' ').nstring(part.encoding);
  line.raw(` ${part.bodyEnd - part.bodyStart}`);
  if (part.kind === 'message') {
    writeEnvelope(line.raw(' '), part.envelope);
    writeStructure(line.raw(' '), part.message, extensible);
    line.raw(` ${part.lines}`);
  } else if (part.type === 'text') {
    line.raw(` ${part.lines}`);
  }
  if (extensible) line.raw(' ').nstring(part.md5);
}

/** body-ext-mpart and body-ext-1part end alike; the parameters of a multipart and the MD5 of others stand before. */
function writeExtension(line: ResponseLine, part: Part): void {
  line.raw(' ');
  if (part.disposition === null) line.raw('NIL');
  else {
    line.raw('(').nstring(part.disposition.type).raw(' ');
    writeParameters(line, part.disposition.params);
    line.raw(')');
  }
  line.raw(' ');
  if (part.language.length === 0) line.raw('NIL');
  else line.list(part.language, (tag) => line.nstring(tag));
  line.raw(' ').nstring(part.location);
}

function writeParameters(line: ResponseLine, params: readonly Parameter[]): void {
  if (params.length === 0) line.raw('NIL');
  else line.list(joinParameters(params), ([name, value]) => line.nstring(name).raw(' ').nstring(value));
}

function writeAddresses(line: ResponseLine, addresses: readonly EnvelopeAddress[]): void {
  if (addresses.length === 0) line.raw('NIL');
  else line.list(addresses, (address) => writeAddress(line, address), '');
}

function writeAddress(line: ResponseLine, { name, route, mailbox, host }: EnvelopeAddress): void {
  line.raw('(').nstring(name).raw(' ').nstring(route).raw(' ').nstring(mailbox).raw(' ').nstring(host).raw(')');
}
