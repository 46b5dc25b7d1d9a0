/**
 * From received bytes to commands (RFC 3501 §2.2.1, §4.3; literals of RFC 7888). Incremental: however the bytes are cut
 * into chunks, the same events come out. Bounded: see DecoderLimits.
 *
 * Events are pulled. `next` decodes one event and leaves the rest of the input alone, because what the rest means may
 * depend on the answer: a line after IDLE or AUTHENTICATE is no command, and what was pipelined behind STARTTLS must
 * be thrown away.
 *
 * An oversized synchronising literal is refused before its bytes come. A refused non-synchronising literal is skipped,
 * with the rest of its command, and the error comes at the end of the command. LF alone ends a line as CRLF does.
 */
import { ByteQueue, GrowingBuffer } from './byte-queue.ts';
import { parseCommand } from './command-parser.ts';
import type { CommandFrame } from './command-reader.ts';
import type { Command } from './commands.ts';
import { ASCII, type Dialect } from './dialect.ts';
import { DEFAULT_LIMITS, type DecoderLimits } from './limits.ts';
import { LiteralAdmission, type LiteralMarker, parseLiteralMarker } from './literal.ts';
import { WireError, type WireErrorCode } from './wire-error.ts';

export type DecoderEvent =
  | { type: 'command'; command: Command }
  /** A line asked for with `expectLine`, without its line end. */
  | { type: 'line'; line: Buffer }
  /** A synchronising literal is announced and welcome: send `+ ` and flush. */
  | { type: 'continue' }
  /** `fatal`: say BYE and close; nothing more will be decoded. */
  | { type: 'error'; tag: string | null; code: WireErrorCode; message: string; fatal: boolean };

const LF = 0x0a;
const TAG_AT_START = /^([^\x00-\x20(){%*"\\+\x7f-\xff]{1,128}) /;

type State = 'line' | 'literal' | 'skip' | 'dead';

export class CommandDecoder {
  readonly #limits: DecoderLimits;
  readonly #input = new ByteQueue();
  readonly #admission: LiteralAdmission;
  #state: State = 'line';
  #line: GrowingBuffer;
  #literal = new GrowingBuffer(0);
  #marker: LiteralMarker | null = null;
  #frame: CommandFrame = { lines: [], literals: [] };
  /** Bytes still to come of the literal that is collected or skipped. */
  #remaining = 0;
  /** Why the present command is being skipped. */
  #refusal: WireError | null = null;
  #lineExpected = false;
  #dialect: Dialect = ASCII;

  constructor(options: { limits?: Partial<DecoderLimits> } = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#admission = new LiteralAdmission(this.#limits);
    this.#line = new GrowingBuffer(this.#limits.lineBytes);
  }

  /** Received bytes not decoded yet. The connection stops reading while this is large. */
  get bufferedBytes(): number {
    return this.#input.sizeBytes;
  }

  /** True between commands: everything decoded so far was complete. */
  get idle(): boolean {
    return this.#state === 'line' && this.#line.length === 0 && this.#frame.lines.length === 0;
  }

  /** True when a literal is whole and nothing has come of what follows it. */
  get afterLiteral(): boolean {
    return this.#state === 'line' && this.#line.length === 0 && this.#frame.literals.length > 0;
  }

  /** Changes limits, for literals announced from now on; login raises `appendLiteralBytes`. */
  setLimits(limits: Partial<DecoderLimits>): void {
    Object.assign(this.#limits, limits);
  }

  /** For commands that end from now on. */
  setDialect(dialect: Dialect): void {
    this.#dialect = dialect;
  }

  /** Adds received bytes. The chunk is kept, not copied: do not write to it afterwards. */
  push(chunk: Buffer): void {
    if (this.#state !== 'dead') this.#input.push(chunk);
  }

  /** The next line is not a command but an answer: base64 or `*` in AUTHENTICATE, DONE in IDLE. For one line. */
  expectLine(): void {
    this.#lineExpected = true;
  }

  /** Forgets `expectLine`: the next line is a command again. */
  expectCommand(): void {
    this.#lineExpected = false;
  }

  /** Throws away all undecoded input and says how many bytes it was. STARTTLS must do so (RFC 3501 §6.2.1). */
  discardInput(): number {
    const discarded = this.#input.sizeBytes + this.#line.length;
    this.#input.clear();
    this.#resetCommand();
    return discarded;
  }

  /** The next event, or null when more bytes are needed. */
  next(): DecoderEvent | null {
    for (let chunk = this.#input.peek(); chunk !== null; chunk = this.#input.peek()) {
      const event = this.#advance(chunk);
      if (event !== null) return event;
    }
    return null;
  }

  #advance(chunk: Buffer): DecoderEvent | null {
    if (this.#state === 'line') return this.#readLine(chunk);
    const count = Math.min(chunk.length, this.#remaining);
    if (this.#state === 'literal') this.#literal.append(chunk.subarray(0, count));
    this.#input.consume(count);
    this.#remaining -= count;
    if (this.#remaining === 0) this.#endLiteral();
    return null;
  }

  #readLine(chunk: Buffer): DecoderEvent | null {
    const newline = chunk.indexOf(LF);
    const count = newline < 0 ? chunk.length : newline + 1;
    if (this.#line.length + count > this.#limits.lineBytes) {
      return this.#die(new WireError('LINE_TOO_LONG', 'Line is too long'));
    }
    this.#line.append(chunk.subarray(0, count));
    this.#input.consume(count);
    return newline < 0 ? null : this.#endLine(withoutLineEnd(this.#line.take()));
  }

  #endLine(line: Buffer): DecoderEvent | null {
    if (this.#lineExpected && this.#frame.lines.length === 0) {
      this.#lineExpected = false;
      return { type: 'line', line };
    }
    const marker = parseLiteralMarker(line);
    // An empty line between commands is what some clients send after a literal.
    if (marker === null && line.length === 0 && this.#frame.lines.length === 0) return null;
    if (this.#refusal !== null) return this.#endSkippedLine(line.length, marker);
    this.#frame.lines.push(line.toString('latin1', 0, line.length - (marker?.markerBytes ?? 0)));
    this.#refusal = this.#admission.countLine(line.length);
    return marker === null ? this.#endCommand() : this.#beginLiteral(marker);
  }

  #endSkippedLine(sizeBytes: number, marker: LiteralMarker | null): DecoderEvent | null {
    const overflow = this.#admission.countDiscarded(sizeBytes);
    if (overflow !== null) return this.#die(overflow);
    return marker === null || marker.synchronising ? this.#endCommand() : this.#skipLiteral(marker);
  }

  #beginLiteral(marker: LiteralMarker): DecoderEvent | null {
    this.#refusal ??= this.#admission.admit(marker, this.#frame);
    if (this.#refusal !== null) return marker.synchronising ? this.#endCommand() : this.#skipLiteral(marker);
    this.#marker = marker;
    this.#literal = new GrowingBuffer(marker.sizeBytes);
    this.#state = 'literal';
    this.#remaining = marker.sizeBytes;
    if (marker.sizeBytes === 0) this.#endLiteral();
    return marker.synchronising ? { type: 'continue' } : null;
  }

  #skipLiteral(marker: LiteralMarker): DecoderEvent | null {
    const overflow = this.#admission.countDiscarded(marker.sizeBytes);
    if (overflow !== null) return this.#die(overflow);
    this.#state = 'skip';
    this.#remaining = marker.sizeBytes;
    if (marker.sizeBytes === 0) this.#endLiteral();
    return null;
  }

  #endLiteral(): void {
    if (this.#state === 'literal') {
      this.#frame.literals.push({ bytes: this.#literal.take(), binary: this.#marker?.binary ?? false });
    }
    this.#state = 'line';
  }

  #endCommand(): DecoderEvent {
    const frame = this.#frame;
    const refusal = this.#refusal;
    this.#resetCommand();
    if (refusal !== null) return errorEvent(tagOf(frame), refusal, false);
    const parsed = parseCommand(frame, this.#limits, this.#dialect);
    if ('error' in parsed) return errorEvent(parsed.tag, parsed.error, false);
    return { type: 'command', command: parsed.command };
  }

  #die(error: WireError): DecoderEvent {
    const tag = tagOf(this.#frame);
    this.#input.clear();
    this.#resetCommand();
    this.#state = 'dead';
    return errorEvent(tag, error, true);
  }

  #resetCommand(): void {
    if (this.#state !== 'dead') this.#state = 'line';
    this.#line = new GrowingBuffer(this.#limits.lineBytes);
    this.#literal = new GrowingBuffer(0);
    this.#marker = null;
    this.#frame = { lines: [], literals: [] };
    this.#remaining = 0;
    this.#refusal = null;
    this.#admission.reset();
  }
}

function withoutLineEnd(line: Buffer): Buffer {
  const end = line.length - 1;
  return line.subarray(0, line[end - 1] === 0x0d ? end - 1 : end);
}

function tagOf(frame: CommandFrame): string | null {
  return TAG_AT_START.exec(frame.lines[0] ?? '')?.[1] ?? null;
}

function errorEvent(tag: string | null, error: WireError, fatal: boolean): DecoderEvent {
  return { type: 'error', tag, code: error.code, message: error.message, fatal };
}
