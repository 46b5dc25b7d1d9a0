/** A keystore put into a bridge while the same account is being given other keys by its one-time code: one of the two happens. */
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newState } from '../src/client/state.ts';
import { createEvents } from '../src/events.ts';
import { createKeystoreTransfer } from '../src/identity/transfer.ts';
import { createKeystore } from '../src/keystore/keystore.ts';
import { createLogger } from '../src/log.ts';
import { masterKeyPair } from '../src/smimp/crypto.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { createRecord } from '../src/smimp/record.ts';
import { createAccount } from '../src/store/accounts.ts';
import type { OpenedDatabase } from '../src/store/database.ts';
import { initializeAccount } from '../src/store/records.ts';
import { findUserByAddress } from '../src/store/users.ts';
import { BOB, keyOf, START } from './support/api-site.ts';
import { testDatabase } from './support/database.ts';
import { errorOf } from './support/errors.ts';

let opened: OpenedDatabase;
beforeAll(async () => {
  opened = await testDatabase();
});
afterAll(() => opened[Symbol.asyncDispose]());

describe('a keystore put in', () => {
  it('waits for keys that are just being published, and gives way to them', async () => {
    const { db } = opened;
    const clock = (): Date => START;
    const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 7) });
    const events = createEvents(createLogger({ level: 'silent' }));
    const transfer = createKeystoreTransfer({ db, keystore, events, clock });
    const account = { address: BOB, initializeHash: Buffer.alloc(32, 1), now: START };
    const { id: accountId } = await db.transaction().execute((tx) => createAccount(tx, account));

    const master = masterKeyPair();
    const other = { address: BOB, master };
    const publishing = await db.startTransaction().execute();
    await initializeAccount(publishing, {
      accountId,
      record: createRecord({ ...other, now: START.getTime() / 1000 }),
      masterKey: toHex(master.publicKey),
      nonEphemeralKey: keyOf(other, 'non-ephemeral', START),
      ephemeralKeys: [],
      now: START,
    });
    const { keystore: data } = newState({ address: BOB, now: START });
    const put = errorOf(transfer.put(data, 'a password'));
    const waiting = sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    await expect.poll(async () => (await waiting.execute(db)).rows[0]?.n).toBe(1);
    await publishing.commit().execute();
    expect(await put).toMatchObject({ code: 'other-history' });
    expect(await findUserByAddress(db, BOB)).toBeUndefined();
  });
});
