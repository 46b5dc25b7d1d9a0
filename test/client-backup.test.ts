/** Keystore backups: the vectors, the description read literally, the limits, and that nothing costs work before it must. */
import { argon2Sync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import sodium from 'libsodium-wrappers';
import { beforeAll, describe, expect, it } from 'vitest';
import { BACKUP_HEADER_BYTES, BackupError, MAX_BACKUP_BYTES, openBackup, sealBackup } from '../src/client/backup.ts';
import { type KeystoreData, parseKeystore } from '../src/client/keystore-data.ts';
import { errorOf } from './support/errors.ts';

type Case = { id: string; comment: string; passphrase: string; file: string; result: string; error: string | null };
const { keystore, cases } = JSON.parse(
  readFileSync(new URL('../fixtures/keystore-backup.json', import.meta.url), 'utf8'),
) as { keystore: KeystoreData; cases: Case[] };

const COST = { memoryKib: 19 * 1024, passes: 2, lanes: 1 };
const PASSPHRASE = 'correct horse battery staple';
const whole = Buffer.from(cases[0]?.file ?? '', 'base64');

describe('the vectors', () => {
  it.each(cases)('$id: $comment', async ({ passphrase, file, result, error }) => {
    const opening = openBackup({ file: Buffer.from(file, 'base64'), passphrase });
    if (result === 'valid') expect(await opening).toEqual(keystore);
    else expect(await errorOf(opening)).toMatchObject({ name: 'BackupError', code: error });
  });
});

/** docs/client.md, step by step, with nothing of our own. */
function openByDescription(file: Buffer, passphrase: string): unknown {
  const parameters = { memory: file.readUInt32LE(10), passes: file.readUInt32LE(14), parallelism: file[18] ?? 0 };
  const nonce = file.subarray(19, 35);
  const root = argon2Sync('argon2id', { message: Buffer.from(passphrase), nonce, tagLength: 32, ...parameters });
  const verifier = sodium.crypto_generichash(32, 'smimp keystore backup/1/verifier', root);
  expect(Buffer.from(verifier)).toEqual(file.subarray(35, 67));
  expect(Buffer.from(sodium.crypto_generichash(32, file.subarray(0, 75), null).subarray(0, 16))).toEqual(
    file.subarray(75, 91),
  );
  const key = sodium.crypto_generichash(32, 'smimp keystore backup/1/key', root);
  const [box, aad] = [file.subarray(115), file.subarray(0, 91)];
  const plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, box, aad, file.subarray(91, 115), key);
  return JSON.parse(Buffer.from(plain).toString('utf8'));
}

describe('a backup', () => {
  beforeAll(() => sodium.ready);

  it('opens by its description alone', async () => {
    expect(openByDescription(whole, PASSPHRASE)).toEqual(keystore);
    const file = await sealBackup({ data: keystore, passphrase: PASSPHRASE, cost: COST });
    expect(openByDescription(file, PASSPHRASE)).toEqual(keystore);
  });

  it('is another file each time', async () => {
    const seal = () => sealBackup({ data: keystore, passphrase: PASSPHRASE, cost: COST });
    const [a, b] = [await seal(), await seal()];
    expect(a.subarray(19, 35)).not.toEqual(b.subarray(19, 35));
    expect(a.subarray(91)).not.toEqual(b.subarray(91));
  });

  it('costs by default what RFC 9106 recommends', async () => {
    const file = await sealBackup({ data: keystore, passphrase: PASSPHRASE });
    expect([file.readUInt32LE(10), file.readUInt32LE(14), file[18]]).toEqual([65_536, 3, 4]);
    expect(await openBackup({ file, passphrase: PASSPHRASE })).toEqual(keystore);
  });

  it('that is larger than any backup is refused before it is looked at', async () => {
    // Never written to, so it takes no memory.
    const file = Buffer.alloc(MAX_BACKUP_BYTES + 1);
    whole.copy(file);
    expect(await errorOf(openBackup({ file, passphrase: PASSPHRASE }))).toMatchObject({ code: 'form' });
  });

  it('is not made with less work than it may be opened with, nor of what is no keystore', async () => {
    const seal = (data: unknown, cost = COST) =>
      errorOf(sealBackup({ data: data as KeystoreData, passphrase: 'x', cost }));
    expect(await seal(keystore, { ...COST, passes: 1 })).toMatchObject({ code: 'unsupported' });
    expect(await seal({ ...keystore, master: '00'.repeat(64) })).toMatchObject({ code: 'bad-field', path: 'master' });
  });

  it('whatever is changed in it never opens, and never throws anything else', async () => {
    const header = fc.nat({ max: BACKUP_HEADER_BYTES - 1 });
    await fc.assert(
      fc.asyncProperty(header, fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        const file = Buffer.from(whole);
        file[at] = (file[at] ?? 0) ^ bits;
        expect(await errorOf(openBackup({ file, passphrase: PASSPHRASE }))).toBeInstanceOf(BackupError);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

describe('a keystore', () => {
  const changed = (change: (data: KeystoreData) => void): unknown => {
    const data = structuredClone(keystore);
    change(data);
    return data;
  };
  const [first, second] = keystore.message_keys;

  it.each<[string, unknown, string]>([
    ['has the master key that its history ends in', changed((data) => void data.own_history.pop()), 'bad-field'],
    ['has a history that verifies', changed((data) => void data.own_history.shift()), 'record-seq'],
    [
      'has the secret of each key',
      changed((data) => void data.message_keys.splice(0, 1, { ...first, secret_key: second?.secret_key } as never)),
      'bad-field',
    ],
    ['has one pin of a contact', changed((data) => void data.pins.push(...structuredClone(data.pins))), 'bad-field'],
    [
      'has a time for each pinned record',
      changed((data) => void data.pins[0]?.pin.first_seen.push('2026-01-01 00:00:00' as never)),
      'bad-field',
    ],
  ])('%s', (_name, data, code) => {
    expect(() => parseKeystore(data)).toThrow(expect.objectContaining({ code }));
  });
});
