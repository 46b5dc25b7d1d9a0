/** What the demonstration says, and whether all that it claims held. */

export type Say = (line: string) => void;

export class Story {
  readonly say: Say;
  #failed = 0;
  #checks = 0;

  constructor(say: Say) {
    this.say = say;
  }

  check(what: string, holds: boolean): void {
    this.#checks += 1;
    if (!holds) this.#failed += 1;
    this.say(`  ${holds ? 'ok  ' : 'FAIL'} ${what}`);
  }

  finish(): boolean {
    this.say(`\n${this.#checks - this.#failed} of ${this.#checks} checks held.`);
    return this.#failed === 0;
  }
}
