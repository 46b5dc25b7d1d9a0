/**
 * What `header.original` of a legacy message holds (SMIMP 0.1 §4.1, docs/original.md): the bytes of the message, in which
 * every attachment that the body carries is a reference to it. Whoever wrote the message could have put anything here.
 */
import { z } from 'zod';
import type { Base64, Hex32 } from '../../smimp/encoding.ts';
import { base64, count, hex32 } from '../../smimp/fields.ts';

export const ORIGINAL_FORMAT = 'smimp-bridge/original/1';

/** The largest message that is packed or rebuilt: what a server takes in at most, base64 included. */
export const MAX_ORIGINAL_BYTES = 64 * 1024 * 1024;
/** What stands in the skeleton itself: all that is not an attachment, and attachments that cannot be referred to. */
export const MAX_SKELETON_BYTES = 16 * 1024 * 1024;
/** The skeleton as it travels, before base64. Half of the longest texts there are still fit. */
export const MAX_PACKED_BYTES = 4 * 1024 * 1024;
/** A skeleton may unfold to this many bytes whatever it was packed into … */
export const FREE_EXPANSION_BYTES = 1024 * 1024;
/** … and beyond that to this multiple of its packed size. Text reaches 10, a log file perhaps 30, a bomb 1,000. */
export const MAX_EXPANSION = 100;
/** As many as a message has parts. */
export const MAX_REFERENCES = 1_000;
/** Kinds of lines in one encoded attachment. Programs make one or two; a list of every line would be no skeleton. */
export const MAX_LINE_RUNS = 500;

/** Bytes of quoted-printable that are written otherwise than others of their value: a dot or an F that begins a line. */
export const MAX_EXCEPTIONS = 500;
/** Quoted-printable is for text; more of it is carried as it is. */
export const MAX_QUOTED_BYTES = 8 * 1024 * 1024;

/** Letters in a line, and how many such lines follow each other. */
const lineRun = z.tuple([z.int().positive(), z.int().positive()]);
export type LineRun = z.infer<typeof lineRun>;

/** Stands at offset `at` of the skeleton, for attachment number `attachment` of the body. */
const identityReference = z.object({ at: count, attachment: count, encoding: z.literal('identity') });
const base64Reference = z.object({
  at: count,
  attachment: count,
  encoding: z.literal('base64'),
  /** Between lines, never behind the last. `=` is there for base64 within quoted-printable. */
  line_end: z.string().regex(/^[\t\r\n =]{0,4}$/),
  lines: z.array(lineRun).min(1).max(MAX_LINE_RUNS),
});
export type Base64Layout = Pick<z.infer<typeof base64Reference>, 'line_end' | 'lines'>;

const quotedReference = z.object({
  at: count,
  attachment: count,
  encoding: z.literal('quoted-printable'),
  /** That it takes up in the message. */
  bytes: count,
  /** Behind the `=` of a soft line break. */
  line_end: z.string().regex(/^\r?\n?$/),
  /** Hex digits of escapes. */
  upper_case: z.boolean(),
  /** Values that are escaped: one bit each, the lowest bit of the first byte for 0. */
  escaped: hex32,
  /** Positions in the attachment of bytes that are written otherwise than `escaped` says. */
  exceptions: z.array(count).max(MAX_EXCEPTIONS),
  /** So many bytes of the skeleton, from `at` on, say where the lines end. They are no part of the message. */
  lines: count,
});
export type QuotedLayout = Omit<z.infer<typeof quotedReference>, 'at' | 'attachment' | 'encoding'>;

const reference = z.discriminatedUnion('encoding', [identityReference, base64Reference, quotedReference]);
export type Reference = z.infer<typeof reference>;

/** What IMAP can say: years of four digits, zones of less than a day (RFC 9051 §9, date-time). */
export const MAX_ZONE_MINUTES = 1_439;
const YEAR_0_SECONDS = -62_167_219_200;
const YEAR_10000_SECONDS = 253_402_300_800;
const DAY_SECONDS = 86_400;
export const internalDateSchema = z.object({
  unix_seconds: z
    .int()
    .min(YEAR_0_SECONDS - DAY_SECONDS)
    .max(YEAR_10000_SECONDS + DAY_SECONDS),
  zone_minutes: z.int().min(-MAX_ZONE_MINUTES).max(MAX_ZONE_MINUTES),
});

/** Unknown members are ignored (SMIMP 0.1 §1.1). */
export const originalSchema = z.object({
  format: z.literal(ORIGINAL_FORMAT),
  size: count,
  hash: hex32,
  skeleton: base64,
  references: z.array(reference).max(MAX_REFERENCES),
  /** Only in mail that its owner put in herself: when she says it came. */
  internal_date: internalDateSchema.nullable(),
});

export type Original = {
  format: typeof ORIGINAL_FORMAT;
  /** Bytes of the message. */
  size: number;
  /** H of the message. */
  hash: Hex32;
  /** Raw deflate (RFC 1951). */
  skeleton: Base64;
  /** In the order of their places. */
  references: Reference[];
  internal_date: z.infer<typeof internalDateSchema> | null;
};

/**
 * Why there are no bytes: `form` it is of another form · `too-large` · `reference` one stands outside the skeleton, out of order
 * or names no attachment · `lines` they do not make up the attachment · `skeleton` it does not unfold to what is missing ·
 * `hash` the result is not what was packed.
 */
export type OriginalErrorCode = 'form' | 'too-large' | 'reference' | 'lines' | 'skeleton' | 'hash';

export class OriginalError extends Error {
  override readonly name = 'OriginalError';
  readonly code: OriginalErrorCode;

  constructor(code: OriginalErrorCode, options?: { cause?: unknown }) {
    super(code, options);
    this.code = code;
  }
}
