/** What a part says about itself in its header: its Content fields, with the defaults of RFC 2045. */
import { parameterValue, parseContentType, parseDisposition, parseLanguages } from './content-fields.ts';
import { ENVELOPE_FIELDS } from './envelope.ts';
import { collectFields } from './header-fields.ts';
import type { ByteString, Disposition, Parameter, StructureLimits } from './types.ts';

export interface PartDescription {
  type: ByteString;
  subtype: ByteString;
  params: Parameter[];
  id: ByteString | null;
  description: ByteString | null;
  encoding: ByteString;
  md5: ByteString | null;
  disposition: Disposition | null;
  language: ByteString[];
  location: ByteString | null;
}

/** `digest`: parts of multipart/digest are messages unless they say otherwise (RFC 2046 §5.1.5). */
export type DefaultType = 'text' | 'digest';

const WANTED: ReadonlySet<string> = new Set([
  'content-type',
  'content-id',
  'content-description',
  'content-transfer-encoding',
  'content-md5',
  'content-disposition',
  'content-language',
  'content-location',
  ...ENVELOPE_FIELDS,
]);

export type HeaderValues = ReadonlyMap<string, readonly ByteString[]>;

/** The values of every field that describes a part or goes into an envelope. */
export function readHeader(raw: Buffer, start: number, end: number, limits: StructureLimits): HeaderValues {
  return collectFields(raw, { start, end, wanted: WANTED, maxBytes: limits.fieldBytes });
}

export function describePart(values: HeaderValues, defaultType: DefaultType, limits: StructureLimits): PartDescription {
  const first = (name: string): ByteString | null => values.get(name)?.[0] ?? null;
  const disposition = first('content-disposition');
  return {
    ...contentType(first('content-type'), defaultType, limits),
    id: first('content-id'),
    description: first('content-description'),
    encoding: encodingOf(first('content-transfer-encoding')),
    md5: first('content-md5'),
    disposition: disposition === null ? null : parseDisposition(disposition, limits.parameters),
    language: parseLanguages(first('content-language') ?? '', limits.parameters),
    location: (first('content-location')?.replace(/\s/g, '') as ByteString | undefined) ?? null,
  };
}

/** A part without header, of nothing, in plain text: what an empty multipart is shown to hold. */
export function emptyDescription(limits: StructureLimits): PartDescription {
  return describePart(new Map(), 'text', limits);
}

export function boundaryOf(params: readonly Parameter[]): string | null {
  // RFC 2046 §5.1.1: white space at the end of a boundary does not count.
  const boundary = parameterValue(params, 'boundary')?.trimEnd() ?? '';
  return boundary === '' ? null : boundary;
}

function contentType(
  value: ByteString | null,
  defaultType: DefaultType,
  limits: StructureLimits,
): Pick<PartDescription, 'type' | 'subtype' | 'params'> {
  if (value !== null) return parseContentType(value, limits.parameters) ?? plainText();
  return defaultType === 'text' ? plainText() : { ...plainText(), ...typeNames('message', 'rfc822'), params: [] };
}

function plainText(): Pick<PartDescription, 'type' | 'subtype' | 'params'> {
  return { ...typeNames('text', 'plain'), params: [['charset' as ByteString, 'us-ascii' as ByteString]] };
}

function typeNames(type: string, subtype: string): { type: ByteString; subtype: ByteString } {
  return { type: type as ByteString, subtype: subtype as ByteString };
}

function encodingOf(value: ByteString | null): ByteString {
  const token = /^[^\s;(]+/.exec(value ?? '');
  return (token?.[0] ?? '7bit') as ByteString;
}
