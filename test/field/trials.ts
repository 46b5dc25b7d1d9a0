/** All trials, in the order in which they are run. */
import { fetchmailTrial } from './fetchmail.ts';
import { getmailTrial } from './getmail.ts';
import { sessionsTrial } from './sessions/sessions.ts';
import { signaturesTrial } from './signatures.ts';
import { syncTrials } from './sync/sync.ts';
import type { Trial } from './trial.ts';

export const TRIALS: readonly Trial[] = [signaturesTrial, ...syncTrials, sessionsTrial, getmailTrial, fetchmailTrial];
