/** What a trial is, and what becomes of its checks. */
import type { World } from './world.ts';

export interface Trial {
  readonly name: string;
  /** In a few words. */
  readonly what: string;
  /** Each must be on the PATH, or the trial is skipped. */
  readonly programs: readonly string[];
  readonly run: (field: Field) => Promise<void>;
}

export interface Field {
  /** For whatever the trial writes; removed at the end. */
  readonly directory: string;
  /** How long something long is to last. */
  readonly minutes: number;
  /** The two bridges that trials share; started when first asked for. */
  world(): Promise<World>;
  /** One line: it holds when there are no problems. */
  check(what: string, problems: readonly string[]): void;
  /** It holds when the two are the same, compared as JSON. */
  same(what: string, found: unknown, expected: unknown): void;
  /** Something measured, for people. */
  note(text: string): void;
}

const MOST_SHOWN = 12;
const MOST_LETTERS = 1_500;

export class Findings {
  passed = 0;
  failed = 0;
  skipped = 0;
  readonly #say: (line: string) => void;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  skip(trial: string, missing: readonly string[]): void {
    this.skipped += 1;
    this.#say(`${trial}: skipped: no ${missing.join(', ')}`);
  }

  of(trial: string): Pick<Field, 'check' | 'same' | 'note'> {
    const check: Field['check'] = (what, problems) => {
      if (problems.length === 0) this.passed += 1;
      else this.failed += 1;
      this.#say(`${trial}: ${problems.length === 0 ? 'ok' : 'FAILED'}  ${what}`);
      for (const problem of problems.slice(0, MOST_SHOWN)) this.#say(`    ${problem.slice(0, MOST_LETTERS)}`);
      if (problems.length > MOST_SHOWN) this.#say(`    and ${problems.length - MOST_SHOWN} more`);
    };
    return {
      check,
      same: (what, found, expected) => {
        const [is, shouldBe] = [JSON.stringify(found), JSON.stringify(expected)];
        check(what, is === shouldBe ? [] : [`found    ${is}`, `expected ${shouldBe}`]);
      },
      note: (text) => this.#say(`${trial}:     ${text}`),
    };
  }
}
