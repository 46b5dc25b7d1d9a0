/** Users of this bridge: password hash and wrapped account key. What the columns hold is decided in src/keystore. */
import { type Insertable, type Selectable, sql } from 'kysely';
import type { Executor } from './database.ts';
import type { MailUserTable } from './schema.ts';

export type MailUser = Selectable<MailUserTable> & { address: string };

export async function insertUser(db: Executor, user: Insertable<MailUserTable>): Promise<void> {
  await db.insertInto('mail_user').values(user).execute();
}

function users(db: Executor) {
  return db
    .selectFrom('mail_user')
    .innerJoin('account', 'account.id', 'mail_user.account_id')
    .selectAll('mail_user')
    .select('account.address');
}

export function findUser(db: Executor, accountId: number): Promise<MailUser | undefined> {
  return users(db).where('mail_user.account_id', '=', accountId).executeTakeFirst();
}

export function findUserByAddress(db: Executor, address: string): Promise<MailUser | undefined> {
  return users(db).where('account.address', '=', address).executeTakeFirst();
}

/** Some user, to try a server key on. */
export function anyUser(db: Executor): Promise<MailUser | undefined> {
  return users(db).orderBy('mail_user.account_id').limit(1).executeTakeFirst();
}

/** Ids of all accounts of people whose secrets are kept here; those of a gateway's correspondents stand apart. */
export async function listUserIds(db: Executor): Promise<number[]> {
  const rows = await db
    .selectFrom('mail_user')
    .select('account_id')
    .where(({ not, exists }) => not(exists(standsForLegacy(db))))
    .orderBy('account_id')
    .execute();
  return rows.map(({ account_id }) => account_id);
}

function standsForLegacy(db: Executor) {
  return db
    .selectFrom('legacy_identity')
    .select('legacy_identity.account_id')
    .whereRef('legacy_identity.account_id', '=', sql.ref('mail_user.account_id'));
}

/** False when there is no such user. */
export async function setPasswordHash(db: Executor, accountId: number, passwordHash: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('mail_user')
    .set({ password_hash: passwordHash, scram: null })
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Only while the password is the one it was made of. */
export async function setScram(db: Executor, accountId: number, passwordHash: string, scram: Buffer): Promise<void> {
  await db
    .updateTable('mail_user')
    .set({ scram })
    .where('account_id', '=', accountId)
    .where('password_hash', '=', passwordHash)
    .execute();
}

/** Accounts of people whose own server was last asked before `before`; they count as asked now. */
export async function claimOwnChecks(
  db: Executor,
  { before, now, limit }: { before: Date; now: Date; limit: number },
): Promise<number[]> {
  const due = db
    .selectFrom('mail_user')
    .select('account_id')
    .where((eb) => eb.or([eb('own_checked_at', 'is', null), eb('own_checked_at', '<', before)]))
    .where(({ not, exists }) => not(exists(standsForLegacy(db))))
    .orderBy('own_checked_at', (order) => order.asc().nullsFirst())
    .limit(limit)
    .forUpdate()
    .skipLocked();
  const rows = await db
    .updateTable('mail_user')
    .set({ own_checked_at: now })
    .where('account_id', 'in', due)
    .returning('account_id')
    .execute();
  return rows.map(({ account_id }) => account_id);
}
