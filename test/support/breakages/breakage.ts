/** One way of not keeping to the protocol, and the checks of the kit that must notice it. */
import type { Spoiler } from '../spoiling-proxy.ts';

export type Breakage = {
  name: string;
  /** Accounts given to the kit; what needs more does not run. */
  accounts: number;
  counterpart?: boolean;
  /** Checks that are left out of most runs for the time they take. */
  including?: string[];
  /** Areas that are run besides those in which something fails. */
  areas?: string[];
  spoil: () => Spoiler;
  /** All checks that fail, and no others do. */
  fails: string[];
};
