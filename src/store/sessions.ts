/** Logins at the API (SMIMP 0.1 §5): one-time tokens, sessions by the hash of their token, proof-of-work nonces. */
import type { Insertable, Selectable } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { PowNonceTable, SessionTable } from './schema.ts';

export type StoredSession = Selectable<SessionTable>;
export type StoredNonce = Selectable<PowNonceTable>;

/** Stores a token; the oldest beyond `most` go, of the address and of all. */
export async function insertLoginToken(
  db: Executor,
  token: { token: Buffer; address: string; expiresAt: Date },
  most: { perAddress: number; overall: number },
): Promise<void> {
  const { expiresAt, ...row } = token;
  const { position } = await db
    .insertInto('login_token')
    .values({ ...row, expires_at: expiresAt })
    .returning('position')
    .executeTakeFirstOrThrow();
  // Many ask at once: who finds a row taken leaves it to whoever took it.
  const beyond = db
    .selectFrom('login_token')
    .select('token')
    .where('address', '=', row.address)
    .orderBy('position', 'desc')
    .offset(most.perAddress)
    .forUpdate()
    .skipLocked();
  await db.deleteFrom('login_token').where('token', 'in', beyond).execute();
  const oldest = db
    .selectFrom('login_token')
    .select('token')
    .where('position', '<=', position - most.overall)
    .forUpdate()
    .skipLocked();
  await db.deleteFrom('login_token').where('token', 'in', oldest).execute();
}

/** Uses the token up. Undefined when it is unknown or was used. */
export function takeLoginToken(
  db: Executor,
  token: Buffer,
): Promise<{ address: string; expires_at: Date } | undefined> {
  return db
    .deleteFrom('login_token')
    .where('token', '=', token)
    .returning(['address', 'expires_at'])
    .executeTakeFirst();
}

export async function insertSession(db: Executor, session: Insertable<SessionTable>): Promise<void> {
  await db.insertInto('session').values(session).execute();
}

/** The session, if it has not ended: neither past its end nor idle since `idleSince`. */
export function findSession(
  db: Executor,
  ask: { tokenHash: Buffer; now: Date; idleSince: Date },
): Promise<StoredSession | undefined> {
  return db
    .selectFrom('session')
    .selectAll()
    .where('token_hash', '=', ask.tokenHash)
    .where('expires_at', '>', ask.now)
    .where('last_used_at', '>', ask.idleSince)
    .executeTakeFirst();
}

export async function touchSession(db: Executor, tokenHash: Buffer, now: Date): Promise<void> {
  await db.updateTable('session').set({ last_used_at: now }).where('token_hash', '=', tokenHash).execute();
}

/** Keeps the session from being ended until the transaction is over; false when it has ended. */
export async function holdSession(tx: Tx, tokenHash: Buffer): Promise<boolean> {
  const held = await tx
    .selectFrom('session')
    .select('token_hash')
    .where('token_hash', '=', tokenHash)
    .forKeyShare()
    .executeTakeFirst();
  return held !== undefined;
}

export async function setKeyChecked(db: Executor, tokenHash: Buffer, now: Date): Promise<void> {
  await db.updateTable('session').set({ key_checked_at: now }).where('token_hash', '=', tokenHash).execute();
}

export async function deleteSession(db: Executor, tokenHash: Buffer): Promise<void> {
  await db.deleteFrom('session').where('token_hash', '=', tokenHash).execute();
}

/** Ends every session of an address: after a change of its key, or when it is removed. */
export async function deleteSessionsOf(db: Executor, address: string): Promise<void> {
  await db.deleteFrom('session').where('address', '=', address).execute();
}

/** Holds the session until the transaction ends; false when it has `most` unused nonces that are still good. */
export async function holdForNonce(tx: Tx, sessionHash: Buffer, limit: { most: number; now: Date }): Promise<boolean> {
  await tx.selectFrom('session').select('token_hash').where('token_hash', '=', sessionHash).forUpdate().execute();
  const { unused } = await tx
    .selectFrom('pow_nonce')
    .select((eb) => eb.fn.countAll<number>().as('unused'))
    .where('session_hash', '=', sessionHash)
    .where('expires_at', '>', limit.now)
    .executeTakeFirstOrThrow();
  return unused < limit.most;
}

export async function insertPowNonce(tx: Tx, nonce: Insertable<PowNonceTable>): Promise<void> {
  await tx.insertInto('pow_nonce').values(nonce).execute();
}

export function findPowNonce(db: Executor, nonce: Buffer): Promise<StoredNonce | undefined> {
  return db.selectFrom('pow_nonce').selectAll().where('nonce', '=', nonce).executeTakeFirst();
}

/** The message an envelope became when it was handed in before in the same session. */
export async function findSentEnvelope(
  db: Executor,
  envelope: { sessionHash: Buffer; digest: Buffer; recipient: string },
): Promise<Buffer | null> {
  const row = await db
    .selectFrom('sent_envelope')
    .select('message_id')
    .where('session_hash', '=', envelope.sessionHash)
    .where('digest', '=', envelope.digest)
    .where('recipient_address', '=', envelope.recipient)
    .executeTakeFirst();
  return row?.message_id ?? null;
}

export async function insertSentEnvelope(
  tx: Tx,
  sent: { sessionHash: Buffer; digest: Buffer; recipient: string; messageId: Buffer; now: Date },
): Promise<void> {
  await tx
    .insertInto('sent_envelope')
    .values({
      session_hash: sent.sessionHash,
      digest: sent.digest,
      recipient_address: sent.recipient,
      message_id: sent.messageId,
      sent_at: sent.now,
    })
    .execute();
}

/**
 * Removes what has ended: tokens, nonces, sessions, and the memory of handed-in envelopes. Those are kept for
 * `keepSentMs`, at least as long as a session can live.
 */
export async function purgeExpired(
  db: Executor,
  now: Date,
  limits: { idleMs: number; keepSentMs: number },
): Promise<void> {
  const idleSince = new Date(now.getTime() - limits.idleMs);
  await db.deleteFrom('login_token').where('expires_at', '<=', now).execute();
  await db.deleteFrom('pow_nonce').where('expires_at', '<=', now).execute();
  await db
    .deleteFrom('session')
    .where((eb) => eb.or([eb('expires_at', '<=', now), eb('last_used_at', '<=', idleSince)]))
    .execute();
  await db
    .deleteFrom('sent_envelope')
    .where('sent_at', '<', new Date(now.getTime() - limits.keepSentMs))
    .execute();
}
