/**
 * What is listed of a message, as one piece of bytes: so it is sealed, and so it is kept in memory, where an object for every
 * part and address would take several times as much. Sizes and dates stand at fixed places, the header as it is; what is
 * seldom asked for (envelope, structure) is JSON that is parsed when it is asked for.
 *
 *   1 version ‖ 1 whether the header is kept ‖ u32 size ‖ u32 bytes of the header ‖ f64 unix seconds ‖ i16 zone minutes ‖
 *   u32 bytes of the JSON ‖ JSON ‖ header ‖ zeros
 *
 * Before there was this form the whole was JSON and began with `{`: that is read for ever.
 */
import type { RendererVersion } from '../mime/from-email.ts';
import type { LegacyView } from '../mime/legacy-view.ts';
import type { ByteString, Envelope, MessageIndex, Part } from '../mime/structure/types.ts';
import { MESSAGE_INDEX_VERSION } from '../mime/structure/types.ts';
import type { Trace } from '../mime/trace.ts';
import type { Caution } from '../smimp/open.ts';
import { paddedLength } from '../smimp/payload.ts';
import { compactEnvelope, compactPart, expandEnvelope, expandPart } from './compact-index.ts';
import type { Rendered } from './kept-rendered.ts';
import type { InternalDate, OriginalDisplay } from './rendering.ts';

/** What a reader made of a content and will need again: kept as long as the content is. */
export type Memo = { [name: string]: string | undefined };

/** What is listed of a message. */
export type Content = {
  readonly index: MessageIndex;
  readonly internalDate: InternalDate;
  readonly cautions: readonly Caution[];
  /** Who is shown as a mailbox of the old internet; absent: nobody. */
  readonly legacyView?: LegacyView | undefined;
  /** Not in what was kept before there were previews. */
  readonly preview?: string;
  /** What was found out when it was received; of mail that was not, or before this was kept: nothing. */
  readonly trace?: Trace | null | undefined;
  /** What becomes of its original; absent: it is shown. */
  readonly originals?: OriginalDisplay | undefined;
  /** Of a small message that was just rendered: its bytes. */
  readonly rendered?: Rendered | null;
};

const FORM = 1;
const BRACE = 0x7b;
const AT = { form: 0, keepsHeader: 1, size: 2, headerSize: 6, seconds: 10, zone: 18, jsonSize: 20 } as const;
const FIXED_BYTES = 24;
/** The objects around the bytes, and what readers keep beside them: what they answer with is much like what is packed. */
const OBJECT_BYTES = 400;
const MEMO_FACTOR = 1.5;

/** What `compactEnvelope` and `compactPart` made, and the rest. */
type Json = [envelope: unknown[], structure: unknown[], rest: Rest];
type Rest = {
  cautions: readonly Caution[];
  legacyView?: LegacyView | undefined;
  trace?: Trace;
  preview?: string;
  originals?: OriginalDisplay;
};

/** Zeros behind it bring it to a size that many have: how long a subject is shows no more than in the ciphertext. */
export function packContent(content: Content): Buffer {
  const { index, internalDate } = content;
  const { envelope, structure, header } = index;
  const listed: Json = [compactEnvelope(envelope), compactPart(structure), restOf(content)];
  const json = Buffer.from(JSON.stringify(listed), 'utf8');
  const kept = header === null ? 0 : header.length;
  const packed = Buffer.alloc(paddedLength(FIXED_BYTES + json.length + kept));
  packed.writeUInt8(FORM, AT.form);
  packed.writeUInt8(header === null ? 0 : 1, AT.keepsHeader);
  packed.writeUInt32LE(index.sizeBytes, AT.size);
  packed.writeUInt32LE(index.headerBytes, AT.headerSize);
  packed.writeDoubleLE(internalDate.unixSeconds, AT.seconds);
  packed.writeInt16LE(internalDate.zoneMinutes, AT.zone);
  packed.writeUInt32LE(json.length, AT.jsonSize);
  json.copy(packed, FIXED_BYTES);
  if (header !== null) packed.write(header, FIXED_BYTES + json.length, 'latin1');
  return packed;
}

/** What is seldom so is left out. */
function restOf({ cautions, legacyView, preview, trace, originals }: Content): Rest {
  const rest: Rest = { cautions, legacyView };
  if (preview !== undefined) rest.preview = preview;
  if (trace != null) rest.trace = trace;
  if (originals === 'attach') rest.originals = originals;
  return rest;
}

/** What `packContent` packed, or what was stored as JSON. */
export function unpackContent(packed: Buffer, version: RendererVersion | null): PackedContent {
  if (packed[0] === BRACE) return unpackContent(packContent(JSON.parse(packed.toString('utf8')) as Content), version);
  return new PackedContent(packed, version);
}

export class PackedContent implements Content {
  readonly index: PackedIndex;
  readonly memo: Memo = {};

  /** Of the renderer that the sizes come from; null for one that this program does not have. */
  readonly version: RendererVersion | null;

  constructor(packed: Buffer, version: RendererVersion | null) {
    this.index = new PackedIndex(packed);
    this.version = version;
  }

  get internalDate(): InternalDate {
    return this.index.internalDate;
  }

  get cautions(): readonly Caution[] {
    return this.index.json[2].cautions;
  }

  get legacyView(): LegacyView | undefined {
    return this.index.json[2].legacyView;
  }

  get preview(): string | undefined {
    return this.index.json[2].preview;
  }

  get trace(): Trace | undefined {
    return this.index.json[2].trace;
  }

  get originals(): OriginalDisplay | undefined {
    return this.index.json[2].originals;
  }

  /** Of memory, with what readers will make of it. */
  get memoryBytes(): number {
    return OBJECT_BYTES + this.index.packedBytes * MEMO_FACTOR;
  }
}

/**
 * The JSON and the header are kept as text: a string has little around it, and nothing of the buffer that it came from.
 * `envelope` and `structure` are other objects each time they are asked for.
 */
class PackedIndex implements MessageIndex {
  readonly version = MESSAGE_INDEX_VERSION;
  readonly sizeBytes: number;
  readonly headerBytes: number;
  readonly header: ByteString | null;
  readonly #unixSeconds: number;
  readonly #zoneMinutes: number;
  readonly #json: string;

  constructor(packed: Buffer) {
    this.sizeBytes = packed.readUInt32LE(AT.size);
    this.headerBytes = packed.readUInt32LE(AT.headerSize);
    this.#unixSeconds = packed.readDoubleLE(AT.seconds);
    this.#zoneMinutes = packed.readInt16LE(AT.zone);
    const end = FIXED_BYTES + packed.readUInt32LE(AT.jsonSize);
    this.#json = packed.toString('utf8', FIXED_BYTES, end);
    const isKept = packed[AT.keepsHeader] !== 0;
    this.header = isKept ? (packed.toString('latin1', end, end + this.headerBytes) as ByteString) : null;
  }

  get envelope(): Envelope {
    return expandEnvelope(this.json[0]);
  }

  get structure(): Part {
    return expandPart(this.json[1]);
  }

  get internalDate(): InternalDate {
    return { unixSeconds: this.#unixSeconds, zoneMinutes: this.#zoneMinutes };
  }

  get packedBytes(): number {
    return this.#json.length + (this.header?.length ?? 0);
  }

  get json(): Json {
    return JSON.parse(this.#json) as Json;
  }
}
