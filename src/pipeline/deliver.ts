/**
 * Hands the envelope in (SMIMP 0.1 §5, `send_message`). The same envelope in the same session is answered with the same
 * message id, so a crash between post and commit makes no second copy.
 */

import { freeMemory } from '../memory/free-memory.ts';
import type { HomeClient } from '../remote/home.ts';
import type { Sessions } from '../remote/sessions.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { sentEnvelope } from '../smimp/envelope.ts';
import type { Db } from '../store/database.ts';
import { forgetRefused } from './failures.ts';
import { keptMessage, readMinted } from './kept-message.ts';
import { envelopeJson } from './large-json.ts';
import type { Stage } from './stage.ts';

const NO_BYTES = new Uint8Array();

export function createDeliver(options: { db: Db; sessions: Sessions; home: HomeClient }): Stage {
  const { db, sessions, home } = options;
  return async (work) => {
    const { delivery, recipient, signal } = work;
    const accountId = delivery.account_id;
    const sealed = await keptMessage(db, work);
    if (sealed === null) return { kind: 'advance', to: 'seal', change: {} };
    const { minted_envelope: minted, session: boundTo } = delivery;
    if (minted === null || boundTo === null) return { kind: 'advance', to: 'mint', change: {} };
    const loginTokenHash = toHex<Hex32>(boundTo);
    const session = await sessions.find({
      accountId,
      baseUrl: delivery.base_url as BaseUrl,
      loginTokenHash,
      keys: work.keys,
    });
    if (session === null) return { kind: 'advance', to: 'mint', change: {}, detail: { session: 'ended' } };
    const { message: _none, ...envelope } = sentEnvelope({ ...sealed, ciphertext: NO_BYTES }, readMinted(minted));
    work.kept = null;
    const { messageId } = await home
      .sendMessage(session, recipient, envelopeJson(envelope, sealed.ciphertext), signal)
      .catch((error: unknown) => forgetRefused(sessions, accountId, session, error))
      .finally(() => freeMemory(sealed.ciphertext));
    return { kind: 'done', messageId };
  };
}
