/** What becomes of a delivery when a stage threw: retry, back, hold or fail. Branches on codes, never on messages. */
import { KeystoreError } from '../keystore/keystore.ts';
import { RelayError } from '../legacy/relay-error.ts';
import { RemoteError } from '../remote/errors.ts';
import type { Session } from '../remote/home.ts';
import type { Sessions } from '../remote/sessions.ts';
import { ProfileError } from '../smimp/errors.ts';
import type { ActiveStage } from '../store/outbound.ts';
import { MintError } from './minter.ts';
import type { Reason } from './reasons.ts';
import type { StageOutcome } from './stage.ts';

/** A session that the server refused is forgotten before anybody uses it again. Throws `error`. */
export async function forgetRefused(
  sessions: Sessions,
  accountId: number,
  session: Session,
  error: unknown,
): Promise<never> {
  if (error instanceof RemoteError && error.disposition === 'session') await sessions.invalidate(accountId, session);
  throw error;
}

/** Null: nobody foresaw this error. */
export function outcomeOfError(error: unknown, stage: ActiveStage): StageOutcome | null {
  if (error instanceof RemoteError) return remoteOutcome(error, stage);
  if (error instanceof RelayError) return legacyOutcome(error);
  if (error instanceof ProfileError) return profileOutcome(error, stage);
  if (error instanceof KeystoreError) return keystoreOutcome(error);
  if (error instanceof MintError && (error.code === 'thread' || error.code === 'wrong-value')) return later('local');
  return null;
}

const later = (reason: Reason, retryAfterMs: number | null = null): StageOutcome => ({
  kind: 'retry',
  reason,
  retryAfterMs,
});

function remoteOutcome(error: RemoteError, stage: ActiveStage): StageOutcome {
  const reason: Reason = error.apiCode ?? (error.code === 'api' ? 'bad-response' : error.code);
  switch (error.disposition) {
    case 'retry':
      return later(reason, error.retryAfterMs);
    case 'permanent':
      return { kind: 'fail', reason };
    case 'hold':
      return { kind: 'hold', reason, change: {} };
    case 'reseal':
      return { kind: 'back', to: 'seal', reason, change: { sealed_envelope: null, minted_envelope: null } };
    case 'remint':
      return { kind: 'back', to: 'mint', reason, change: { minted_envelope: null } };
    case 'session':
      return { kind: 'back', to: stage === 'deliver' ? 'mint' : stage, reason, change: {} };
  }
}

function legacyOutcome({ code, permanent, said }: RelayError): StageOutcome {
  return permanent ? { kind: 'fail', reason: code, said } : { kind: 'retry', reason: code, retryAfterMs: null, said };
}

/** Of the checks of the profile only those on a message key can fail here: its server is faulty, or lies. */
function profileOutcome(error: ProfileError, stage: ActiveStage): StageOutcome | null {
  if (stage !== 'seal') return null;
  if (error.code === 'message-key-expired') return later('bad-message-key');
  return { kind: 'hold', reason: 'bad-message-key', change: {} };
}

function keystoreOutcome(error: KeystoreError): StageOutcome {
  if (error.code === 'locked' || error.code === 'wrong-server-key') {
    return { kind: 'hold', reason: 'account-locked', change: {} };
  }
  if (error.code === 'damaged') return { kind: 'fail', reason: 'content-lost' };
  return later('local');
}
