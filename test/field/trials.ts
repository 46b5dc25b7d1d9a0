/** All trials, in the order in which they are run. */
import { curlTrial } from './curl.ts';
import { fetchmailTrial } from './fetchmail.ts';
import { getmailTrial } from './getmail.ts';
import { muttTrial } from './mutt.ts';
import { postfixTrial } from './postfix/relay.ts';
import { sessionsTrial } from './sessions/sessions.ts';
import { signaturesTrial } from './signatures.ts';
import { syncTrials } from './sync/sync.ts';
import { thunderbirdTrial } from './thunderbird.ts';
import type { Trial } from './trial.ts';

export const TRIALS: readonly Trial[] = [
  signaturesTrial,
  ...syncTrials,
  getmailTrial,
  fetchmailTrial,
  muttTrial,
  curlTrial,
  thunderbirdTrial,
  postfixTrial,
  sessionsTrial,
];
