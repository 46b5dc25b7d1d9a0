/** All trials, in the order in which they are run. */
import { signaturesTrial } from './signatures.ts';
import type { Trial } from './trial.ts';

export const TRIALS: readonly Trial[] = [signaturesTrial];
