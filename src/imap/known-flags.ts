/** Flags that a client was told of for a mailbox: no message may show one that FLAGS did not name (RFC 3501 §7.2.6). */
import { isTrustKeyword, TRUST_KEYWORDS } from '../mailbox/trust-keywords.ts';
import type { ShownMessage } from '../mailbox/types.ts';
import { KNOWN_KEYWORDS, SYSTEM_FLAGS } from './wire/flags.ts';
import { flagsLine, untaggedLine } from './wire/responses.ts';

/** Which flags a client may change for good: in a virtual mailbox only the one that removes. */
export type Settable = 'all' | 'deleted' | 'none';

export class KnownFlags {
  /** By lower case: keywords that differ in case only are one. */
  readonly #flags = new Map<string, string>();
  /** As they came, so that most need no lower case. */
  readonly #seen = new Set<string>();
  readonly #settable: Settable;

  constructor(messages: readonly ShownMessage[], settable: Settable) {
    this.#settable = settable;
    this.#learn([...SYSTEM_FLAGS, ...KNOWN_KEYWORDS, ...TRUST_KEYWORDS]);
    // Most messages share their list of flags with others.
    for (const flags of new Set(messages.map((message) => message.flags))) this.#learn(flags);
  }

  /** What is said of them, all anew, when one of these messages has another; else nothing. */
  learn(messages: readonly ShownMessage[]): Buffer[] {
    const before = this.#flags.size;
    for (const { flags } of messages) this.#learn(flags);
    return this.#flags.size === before ? [] : this.lines();
  }

  lines(): Buffer[] {
    const flags = [...this.#flags.values()];
    const all = [...flags.filter((flag) => !isTrustKeyword(flag)), '\\*'];
    const permanent = { none: [], deleted: ['\\Deleted'], all }[this.#settable];
    return [flagsLine(flags), untaggedLine('OK', 'Flags that are kept', { name: 'PERMANENTFLAGS', flags: permanent })];
  }

  #learn(flags: readonly string[]): void {
    for (const flag of flags) {
      if (this.#seen.has(flag)) continue;
      this.#seen.add(flag);
      const key = flag.toLowerCase();
      if (!this.#flags.has(key)) this.#flags.set(key, flag);
    }
  }
}
