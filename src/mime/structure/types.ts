/**
 * What is kept of a message so that ENVELOPE, BODYSTRUCTURE and headers are answered without its body
 * (RFC 3501 §7.4.2). Everything is plain JSON. Text of the message is not decoded: a ByteString holds its bytes.
 */
declare const byteStringBrand: unique symbol;

/** Bytes as they stand in the message, one character (U+0000 to U+00FF) for each. */
export type ByteString = string & { readonly [byteStringBrand]: 'ByteString' };

/** RFC 3501 §7.4.2: address structure. A group starts with `host` null and ends with everything null. */
export interface EnvelopeAddress {
  /** Display name, or the comment behind the address; quoting removed. */
  name: ByteString | null;
  /** Source route, `@a,@b`. */
  route: ByteString | null;
  /** Local part without quoting, or the name of the group that starts. */
  mailbox: ByteString | null;
  host: ByteString | null;
}

/** RFC 3501 §7.4.2: envelope structure. `sender` and `replyTo` are those of `from` where the message has none. */
export interface Envelope {
  date: ByteString | null;
  subject: ByteString | null;
  from: EnvelopeAddress[];
  sender: EnvelopeAddress[];
  replyTo: EnvelopeAddress[];
  to: EnvelopeAddress[];
  cc: EnvelopeAddress[];
  bcc: EnvelopeAddress[];
  inReplyTo: ByteString | null;
  messageId: ByteString | null;
}

export type Parameter = [name: ByteString, value: ByteString];

export interface Disposition {
  type: ByteString;
  params: Parameter[];
}

interface PartFields {
  /** Lower case. */
  type: ByteString;
  /** Lower case. */
  subtype: ByteString;
  params: Parameter[];
  id: ByteString | null;
  description: ByteString | null;
  /** As sent, `7bit` when the part does not say. */
  encoding: ByteString;
  md5: ByteString | null;
  disposition: Disposition | null;
  language: ByteString[];
  location: ByteString | null;
  /** Offsets into the message. The header, with its blank line, ends where the body starts. */
  headerStart: number;
  bodyStart: number;
  bodyEnd: number;
  /** Lines of the body; the last one counts even without a line end. */
  lines: number;
}

/** `opaque`: a multipart or message beyond a limit, shown as application/octet-stream. */
export type LeafPart = PartFields & { kind: 'leaf'; opaque: boolean };
/** At least one child. */
export type MultipartPart = PartFields & { kind: 'multipart'; children: Part[] };
/** message/rfc822. `message` is the part whose header is that of the embedded message. */
export type MessagePart = PartFields & { kind: 'message'; envelope: Envelope; message: Part };
export type Part = LeafPart | MultipartPart | MessagePart;

export const MESSAGE_INDEX_VERSION = 1;

export interface MessageIndex {
  version: typeof MESSAGE_INDEX_VERSION;
  sizeBytes: number;
  /** Header of the message with its blank line. */
  headerBytes: number;
  /** The header itself, or null when it is larger than `StructureLimits.keptHeaderBytes`. */
  header: ByteString | null;
  envelope: Envelope;
  /** The message itself as a part. */
  structure: Part;
}

export interface StructureLimits {
  /** Open multiparts and embedded messages; deeper ones are opaque leaves. */
  depth: number;
  /** Parts of one message; the last one takes the rest of the message. */
  parts: number;
  /** Addresses of one envelope field; the rest is left out. */
  addresses: number;
  /** Parameters of one field, and languages; the rest is left out. */
  parameters: number;
  /** Bytes of one field that are looked at for envelope and structure. */
  fieldBytes: number;
  /** The largest header that the index keeps. */
  keptHeaderBytes: number;
}

export const DEFAULT_STRUCTURE_LIMITS: Readonly<StructureLimits> = {
  // Forwards of forwards reach ten or so. Clients read the answer with recursive parsers of their own.
  depth: 50,
  parts: 1_000,
  addresses: 5_000,
  parameters: 100,
  fieldBytes: 256 * 1024,
  keptHeaderBytes: 256 * 1024,
};
