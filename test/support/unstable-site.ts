/** A site as a program of its own that is killed with SIGKILL at drawn moments, counted in events that it logs, not in time. */
import { type RunningSite, type Site, startSite } from '../../src/admin/demo/sites.ts';

/** It lives for this many of its own log events at least, and twice as many at most. */
const EVENTS_BETWEEN_KILLS = 150;

/** mulberry32: small, seeded, good enough to draw moments. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Keeps one site running, killing it at drawn moments until `calm` is called. */
export class UnstableSite {
  kills = 0;
  #running: RunningSite | null = null;
  #calm = false;
  readonly #site: Site;
  readonly #random: () => number;
  readonly #eventsBetweenKills: number;
  #restarting: Promise<void> = Promise.resolve();

  constructor(site: Site, random: () => number, eventsBetweenKills = EVENTS_BETWEEN_KILLS) {
    this.#eventsBetweenKills = eventsBetweenKills;
    this.#site = site;
    this.#random = random;
  }

  async start(): Promise<void> {
    let left = this.#eventsBetweenKills * (1 + this.#random());
    this.#running = await startSite(this.#site, {
      onEvent: () => {
        left -= 1;
        if (left < 0 && left >= -1 && !this.#calm) this.#restarting = this.#killAndStart();
      },
    });
  }

  async #killAndStart(): Promise<void> {
    this.kills += 1;
    await this.#running?.kill();
    await this.start();
  }

  async calm(): Promise<void> {
    this.#calm = true;
    await this.#restarting;
  }

  async end(): Promise<void> {
    await this.calm();
    await this.#running?.[Symbol.asyncDispose]();
  }
}
