/** Announcements of literals (RFC 3501 §4.3, RFC 7888, literal8 of RFC 3516 §4.4) and which of them are welcome. */
import type { CommandFrame } from './command-reader.ts';
import type { DecoderLimits } from './limits.ts';
import { WireError } from './wire-error.ts';

export interface LiteralMarker {
  sizeBytes: number;
  /** The client waits for `+` before it sends the bytes. */
  synchronising: boolean;
  binary: boolean;
  /** Length of the announcement itself at the end of its line. */
  markerBytes: number;
}

const MARKER = /(~?)\{(\d+)(\+?)\}$/;
const MIB = 1024 * 1024;
const CLOSING_BRACE = 0x7d;
const OPENING_BRACE = 0x7b;
const APPEND = /^[^ ]+ +(?:APPEND|(?:UID +)?REPLACE +[^ ]+) +/i;

/** The announcement at the end of the line, or null. A number too large to be real stays as large as it is. */
export function parseLiteralMarker(line: Buffer): LiteralMarker | null {
  if (line[line.length - 1] !== CLOSING_BRACE) return null;
  // Where the brace opens, with room for the tilde: the rest of the line is not looked at.
  const start = Math.max(line.lastIndexOf(OPENING_BRACE) - 1, 0);
  const match = MARKER.exec(line.toString('latin1', start));
  if (match === null) return null;
  return {
    sizeBytes: Number(match[2]),
    synchronising: match[3] === '',
    binary: match[1] === '~',
    markerBytes: match[0].length,
  };
}

/** Counts what one command holds and says which literals it may still have. */
export class LiteralAdmission {
  readonly #limits: DecoderLimits;
  #literals = 0;
  #commandBytes = 0;
  #discardedBytes = 0;
  #messageBytes = 0;

  constructor(limits: DecoderLimits) {
    this.#limits = limits;
  }

  reset(): void {
    this.#literals = 0;
    this.#commandBytes = 0;
    this.#discardedBytes = 0;
    this.#messageBytes = 0;
  }

  countLine(sizeBytes: number): WireError | null {
    return this.#countBytes(sizeBytes);
  }

  /** Why the literal is refused, or null. `frame` holds the command up to its announcement. */
  admit(marker: LiteralMarker, frame: CommandFrame): WireError | null {
    this.#literals += 1;
    if (this.#literals > this.#limits.literals) {
      return new WireError('TOO_MANY_LITERALS', 'Command has too many literals');
    }
    const isMessage = announcesMessage(frame);
    // Several messages of one APPEND (RFC 3502) together may have the bytes of one.
    const leftBytes = this.#limits.appendLiteralBytes - this.#messageBytes;
    const boundBytes = isMessage ? leftBytes : this.#limits.literalBytes;
    const wireBytes = marker.synchronising ? boundBytes : Math.min(boundBytes, this.#limits.nonSyncLiteralBytes);
    if (marker.sizeBytes > wireBytes) return new WireError('LITERAL_TOO_BIG', this.#tooBig(isMessage));
    if (!isMessage) return this.#countBytes(marker.sizeBytes);
    this.#messageBytes += marker.sizeBytes;
    return null;
  }

  /** Mail programs show this to people. */
  #tooBig(isMessage: boolean): string {
    const mib = this.#limits.appendLiteralBytes / MIB;
    if (!isMessage || mib === 0) return 'Literal is too big';
    return `The message is too large: at most ${mib.toFixed(1).replace(/\.0$/, '')} MiB are taken here, and attachments grow by a third`;
  }

  /** Throwing the connection away is the answer when it is not null. */
  countDiscarded(sizeBytes: number): WireError | null {
    this.#discardedBytes += sizeBytes;
    if (this.#discardedBytes <= this.#limits.discardBytes) return null;
    return new WireError('TOO_MUCH_DISCARDED', 'Literal is too big');
  }

  #countBytes(sizeBytes: number): WireError | null {
    this.#commandBytes += sizeBytes;
    if (this.#commandBytes <= this.#limits.commandBytes) return null;
    return new WireError('COMMAND_TOO_BIG', 'Command is too big');
  }
}

/** True when the literal now announced is a message of APPEND or REPLACE and not the name of a mailbox. */
function announcesMessage(frame: CommandFrame): boolean {
  const first = frame.lines[0] ?? '';
  const prefix = APPEND.exec(first);
  if (prefix === null) return false;
  return frame.literals.length > 0 || prefix[0].length < first.length;
}
