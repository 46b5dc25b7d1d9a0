/**
 * What a check of the conformance kit is. It ends met, unmet with what was expected and what came instead, or not run with
 * the reason. A check that did not run never counts as passed.
 */
import type { CallName } from '../smimp/api.ts';
import type { World } from './world.ts';

export * from './answer.ts';
export * from './errors.ts';

/** `anonymous`: no account. `owner`: accounts by one-time codes. `sending`: two of them. `counterpart`: a server of the kit. */
export const LEVELS = ['anonymous', 'owner', 'sending', 'counterpart'] as const;
export type Level = (typeof LEVELS)[number];

export interface Check {
  /** `area.what`, for `--only` and for reports; never changes its meaning. */
  readonly id: string;
  readonly title: string;
  /** Rules of docs/protocol.md. */
  readonly rules: readonly string[];
  readonly level: Level;
  /** Calls that a server may leave out; without them the check does not run. */
  readonly needs?: readonly CallName[];
  run(world: World): Promise<void>;
}
