/** Avatars (SMIMP 0.1 §5): one picture for an account, with what its owner signed. */
import type { Selectable } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { AvatarTable } from './schema.ts';

export type StoredAvatar = Selectable<AvatarTable>;

/** Without the picture. */
export function findAvatar(db: Executor, accountId: number): Promise<Omit<StoredAvatar, 'image'> | undefined> {
  return db
    .selectFrom('avatar')
    .select(['account_id', 'content_type', 'date', 'signed_hash'])
    .where('account_id', '=', accountId)
    .executeTakeFirst();
}

/** The picture of an address whose signed hash is this one: another picture has another. */
export function findAvatarImage(
  db: Executor,
  picture: { address: string; signedHash: Buffer },
): Promise<Pick<StoredAvatar, 'image' | 'content_type'> | undefined> {
  return db
    .selectFrom('avatar')
    .innerJoin('account', 'account.id', 'avatar.account_id')
    .select(['avatar.image', 'avatar.content_type'])
    .where('account.address', '=', picture.address)
    .where('avatar.signed_hash', '=', picture.signedHash)
    .executeTakeFirst();
}

/** In the place of the one before. The caller holds the mailbox and has verified it under the present key. */
export async function setAvatar(tx: Tx, avatar: StoredAvatar): Promise<void> {
  const { image, content_type, date, signed_hash } = avatar;
  await tx
    .insertInto('avatar')
    .values(avatar)
    .onConflict((conflict) => conflict.column('account_id').doUpdateSet({ image, content_type, date, signed_hash }))
    .execute();
}

export async function dropAvatar(tx: Tx, accountId: number): Promise<void> {
  await tx.deleteFrom('avatar').where('account_id', '=', accountId).execute();
}
