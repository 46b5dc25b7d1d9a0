/**
 * Logs in, gets the parameters, works the proof on threads, signs (SMIMP 0.1 §4.3). Bound to a session: when it ends, the
 * delivery comes back here, not to seal. The outer box was made with one master key; after a rotation the message is sealed
 * anew, because its signature must be by the same key.
 */
import { workFor } from '../client/working.ts';
import type { HomeClient } from '../remote/home.ts';
import type { Sessions } from '../remote/sessions.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { parseHex } from '../smimp/encoding.ts';
import type { Db } from '../store/database.ts';
import { forgetRefused } from './failures.ts';
import { keptMessage } from './kept-message.ts';
import type { Minter } from './minter.ts';
import type { Stage, StageOutcome } from './stage.ts';

const AGAIN_TO_SEAL: StageOutcome = { kind: 'advance', to: 'seal', change: { sealed_envelope: null } };

export function createMint(options: {
  db: Db;
  sessions: Sessions;
  home: HomeClient;
  minter: Minter;
  /** More zero bits than this need the operator's consent. */
  askOperatorAboveBits: number;
}): Stage {
  const { db, sessions } = options;
  return async (work) => {
    const { delivery, recipient, signal } = work;
    const accountId = delivery.account_id;
    const sealed = await keptMessage(db, work);
    if (sealed === null) return AGAIN_TO_SEAL;
    const session = await sessions.get({ accountId, baseUrl: delivery.base_url as BaseUrl, keys: work.keys });
    if (session.publicKey !== sealed.senderPublicKey) return AGAIN_TO_SEAL;
    const worked = await workFor(options, {
      ...{ session, sealed, recipient, signal },
      agreedBits: Math.max(options.askOperatorAboveBits, delivery.approved_bits ?? 0),
      senderKey: async () => (await work.keys()).master(),
    }).catch((error: unknown) => forgetRefused(sessions, accountId, session, error));
    const { zeroBits: zero_bits } = worked;
    if (worked.kind === 'refused') return { kind: 'fail', reason: 'pow-refused' };
    if (worked.kind === 'asked') return { kind: 'hold', reason: 'pow-approval', change: { zero_bits } };
    if (worked.kind === 'rotated') return AGAIN_TO_SEAL;
    const { proofOfWork, messageHash } = worked;
    const minted = Buffer.from(JSON.stringify({ proofOfWork, messageHash }));
    const change = { minted_envelope: minted, session: Buffer.from(parseHex(session.loginTokenHash, 32)), zero_bits };
    return { kind: 'advance', to: 'deliver', change, detail: { zero_bits } };
  };
}
