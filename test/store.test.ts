import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccount, findAccount } from '../src/store/accounts.ts';
import { notify, type OpenedDatabase } from '../src/store/database.ts';
import { deleteMessages, findMessage, inboxId, insertMessage, type NewMessage } from '../src/store/messages.ts';
import { testDatabase } from './support/database.ts';

const NOW = new Date('2026-01-15T12:00:00Z');
const bytes = (size: number, value: number): Buffer => Buffer.alloc(size, value);

let opened: OpenedDatabase;
beforeAll(async () => {
  opened = await testDatabase();
});
afterAll(() => opened[Symbol.asyncDispose]());

function message(accountId: number, folderId: number, number: number): NewMessage {
  return {
    message_id: bytes(32, number),
    account_id: accountId,
    folder_id: folderId,
    message_type: 'email',
    ciphertext: bytes(100, number),
    message_public_key: bytes(32, 7),
    nonce: bytes(24, 0),
    proof_of_work: null,
    message_hash: bytes(96, number),
    sender_address: 'alice#acme.test',
    sender_public_key: bytes(32, 1),
    time_received: NOW,
    pow_zero_bits: null,
    pow_nonce: null,
    login_token_hash: bytes(32, 2),
    received_via: 'smimp_client',
    extensions_data: null,
    state: 'pending',
  };
}

describe('a mailbox in the database', () => {
  it('gives rising seqs, counts its size and forgets a key with its last message', async () => {
    const { db } = opened;
    const account = await db
      .transaction()
      .execute((tx) => createAccount(tx, { address: 'bob#corp.test', initializeHash: null, now: NOW }));
    const folder = await inboxId(db, account.id);
    for (const number of [1, 2]) {
      const place = await db.transaction().execute((tx) => insertMessage(tx, message(account.id, folder, number)));
      expect(place).toEqual({ seq: number, revision: number });
    }
    await db
      .insertInto('secret')
      .values({
        account_id: account.id,
        purpose: 'message',
        public_key: bytes(32, 7),
        kind: 'ephemeral',
        sealed: bytes(40, 9),
        created_at: NOW,
      })
      .execute();
    const secrets = () => db.selectFrom('secret').select('public_key').execute();
    await db.transaction().execute((tx) => deleteMessages(tx, account.id, [bytes(32, 1)]));
    expect(await secrets()).toHaveLength(1);
    expect((await findAccount(db, 'bob#corp.test'))?.size_bytes).toBe(100);
    await db.transaction().execute((tx) => deleteMessages(tx, account.id, [bytes(32, 2), bytes(32, 9)]));
    expect(await secrets()).toHaveLength(0);
    expect(await findMessage(db, account.id, bytes(32, 2))).toBeUndefined();
  });

  it('tells other connections at commit', async () => {
    const heard = new Promise<string>((resolve) => opened.listener.once('mailbox_changed', resolve));
    await notify(opened.db, 'mailbox_changed', 42);
    expect(await heard).toBe('42');
  });
});
