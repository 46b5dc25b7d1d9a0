/** Envelope and structure of a message as lists without names: a third of the JSON they would be, and as much less to parse. */
import type {
  Disposition,
  Envelope,
  EnvelopeAddress,
  LeafPart,
  MessagePart,
  MultipartPart,
  Part,
} from '../mime/structure/types.ts';

type Nullable<T> = { [Name in keyof T]: T[Name] | null };
type CompactAddress = Nullable<[string, string, string, string]>;
/** `SAME`: as `from`, which is what they mostly are. */
const SAME = 0;
type CompactAddresses = readonly CompactAddress[] | typeof SAME;

const addressesOf = (list: readonly EnvelopeAddress[]): CompactAddress[] =>
  list.map(({ name, route, mailbox, host }) => [name, route, mailbox, host]);

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export function compactEnvelope(envelope: Envelope): unknown[] {
  const { date, subject, from, sender, replyTo, to, cc, bcc, inReplyTo, messageId } = envelope;
  const orSame = (list: EnvelopeAddress[]): CompactAddresses => (isSame(list, from) ? SAME : addressesOf(list));
  const people = [
    addressesOf(from),
    orSame(sender),
    orSame(replyTo),
    addressesOf(to),
    addressesOf(cc),
    addressesOf(bcc),
  ];
  return [date, subject, ...people, inReplyTo, messageId];
}

const expandAddresses = (list: readonly CompactAddress[]): EnvelopeAddress[] =>
  list.map(([name, route, mailbox, host]) => ({ name, route, mailbox, host }) as EnvelopeAddress);

export function expandEnvelope(compact: unknown[]): Envelope {
  const [date, subject, from, sender, replyTo, to, cc, bcc, inReplyTo, messageId] = compact as [
    ...[Envelope['date'], Envelope['subject'], CompactAddress[], CompactAddresses, CompactAddresses],
    ...[CompactAddress[], CompactAddress[], CompactAddress[], Envelope['inReplyTo'], Envelope['messageId']],
  ];
  const orFrom = (list: CompactAddresses): EnvelopeAddress[] => expandAddresses(list === SAME ? from : list);
  return {
    ...{ date, subject, from: expandAddresses(from), sender: orFrom(sender), replyTo: orFrom(replyTo) },
    ...{ to: expandAddresses(to), cc: expandAddresses(cc), bcc: expandAddresses(bcc), inReplyTo, messageId },
  };
}

/** What every part has, in this order; behind it stands what its kind has besides. */
export function compactPart(part: Part): unknown[] {
  const { type, subtype, params, id, description, encoding, md5, disposition, language, location } = part;
  const spread = disposition === null ? null : [disposition.type, disposition.params];
  const named = [type, subtype, params, id, description, encoding, md5, spread, language, location];
  return [...named, part.headerStart, part.bodyStart, part.bodyEnd, part.lines, ...ownOf(part)];
}

function ownOf(part: Part): unknown[] {
  if (part.kind === 'leaf') return part.opaque ? ['leaf', true] : [];
  if (part.kind === 'multipart') return ['multipart', part.children.map(compactPart)];
  return ['message', compactEnvelope(part.envelope), compactPart(part.message)];
}

type Fields = Omit<LeafPart, 'kind' | 'opaque'>;
type CompactPart = [
  ...[Fields['type'], Fields['subtype'], Fields['params'], Fields['id'], Fields['description'], Fields['encoding']],
  ...[Fields['md5'], [Disposition['type'], Disposition['params']] | null, Fields['language'], Fields['location']],
  ...[headerStart: number, bodyStart: number, bodyEnd: number, lines: number, kind?: Part['kind'], ...own: unknown[]],
];

export function expandPart(compact: unknown[]): Part {
  const [type, subtype, params, id, description, encoding, md5, spread, language, location, ...rest] =
    compact as CompactPart;
  const [headerStart, bodyStart, bodyEnd, lines, kind = 'leaf', first, second] = rest;
  const disposition = spread === null ? null : { type: spread[0], params: spread[1] };
  const named = { type, subtype, params, id, description, encoding, md5, disposition, language, location };
  const fields: Fields = { ...named, headerStart, bodyStart, bodyEnd, lines };
  if (kind === 'leaf') return { kind, ...fields, opaque: first === true } satisfies LeafPart;
  if (kind === 'multipart') {
    const children = (first as unknown[][]).map(expandPart);
    return { kind, ...fields, children } satisfies MultipartPart;
  }
  const [envelope, message] = [expandEnvelope(first as unknown[]), expandPart(second as unknown[])];
  return { kind, ...fields, envelope, message } satisfies MessagePart;
}
