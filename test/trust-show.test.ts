/** `trust show`: what an operator sees of contacts, in words and as JSON, over a real database. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandError, EXIT, type Output } from '../src/admin/output.ts';
import { showContact, showTrust, verifyTrust } from '../src/admin/trust.ts';
import { masterKeyPair, messageKeyPair } from '../src/smimp/crypto.ts';
import { fingerprintOf } from '../src/smimp/fingerprint.ts';
import { createRecord } from '../src/smimp/record.ts';
import { type ConfigFile, configFile } from './support/config-file.ts';
import type { ServedUser } from './support/hostile-server.ts';
import { type MailSite, mailSite } from './support/mail-site.ts';

type Shown = { contact: string; state: string | null; why: string | null } & Record<string, unknown>;

let site: MailSite;
let file: ConfigFile;
let alice: ServedUser;
beforeAll(async () => {
  site = await mailSite();
  file = await configFile(site.opened.connection);
  alice = site.server.addUser('alice', site.clock.seconds());
  const carol = site.server.addUser('carol', site.clock.seconds());
  await site.receive({ from: alice });
  await site.receive({ from: carol });
  await site.open();
  site.clock.advance(120_000);
  alice.change({ now: site.clock.seconds(), rotate: true });
  await site.receive({ from: alice });
  await site.open();
  site.clock.advance(120_000);
  const master = masterKeyPair();
  Object.assign(alice, {
    master,
    records: [createRecord({ address: alice.address, master, now: site.clock.seconds() })],
  });
  await site.receive({ from: alice });
  const stranger = site.server.addUser('stranger', site.clock.seconds());
  await site.receive({ from: stranger, key: Buffer.from(messageKeyPair().publicKey) });
  await site.open();
  const pinned = site.opened.db.deleteFrom('pin').where('contact', '=', stranger.address);
  await pinned.execute();
});
afterAll(async () => {
  await file[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

/** What a command prints, in both forms. */
async function printed(run: (command: { output: Output; configPath: string; account: string }) => Promise<void>) {
  const results: { value: Shown[]; text: string }[] = [];
  const output: Output = {
    result: (value, text) => void results.push({ value: JSON.parse(JSON.stringify(value)) as Shown[], text }),
    say: () => undefined,
  };
  await run({ output, configPath: file.path, account: 'bob@corp.test' });
  const [first] = results;
  if (first === undefined) throw new Error('nothing was printed');
  return first;
}

describe('trust show', () => {
  it('lists every contact with its state and its alarm, and who is not pinned but gave one', async () => {
    const { value, text } = await printed(showTrust);
    expect(value.map(({ contact, state, why }) => [contact, state, why])).toEqual([
      ['alice#acme.test', 'REPLACED', 'The identity of alice@acme.test was replaced'],
      ['carol#acme.test', 'NEW', null],
      ['stranger#acme.test', null, null],
    ]);
    expect(value[0]).toMatchObject({ evidence: true, verified: false, records: 2, masterKeys: 2 });
    expect(value[0]?.alarms).toMatchObject([
      { kind: 'key-changed', times: 1, evidence: false },
      { kind: 'pin-replaced', times: 1, evidence: true, ended: null, told: { by: 'mail' } },
    ]);
    const line = (name: string): string => text.split('\n').find((one) => one.startsWith(name)) ?? '';
    expect(line('alice@acme.test')).toMatch(/REPLACED .* was replaced, since 2026-01-15 12:04$/);
    expect(line('carol@acme.test')).toMatch(/ NEW /);
    expect(line('stranger@acme.test')).toMatch(/not pinned .*Invalid message claimed to be from stranger@acme\.test/);
  });

  it('tells of one contact everything that happened, with the evidence', async () => {
    const { value, text } = await printed((command) => showContact({ ...command, contact: 'Alice@Acme.test' }));
    const [shown] = value;
    const history = shown?.history as { event: string; detail: string }[];
    expect(history.map(({ event, detail }) => `${event} ${detail}`)).toEqual([
      'record-seen 0',
      'new-key 1',
      'alarm key-changed',
      'told key-changed',
      'alarm pin-replaced',
      'told pin-replaced',
    ]);
    expect(shown?.evidence).toMatchObject({ head: alice.trueHead(), records: [{ data: alice.records[0]?.data }] });
    expect(text).toMatch(/^state {8}REPLACED$/m);
    expect(text).toMatch(/^since {8}2026-01-15 12:04$/m);
    expect(text).toMatch(/^why {10}The identity of alice@acme\.test was replaced$/m);
    expect(text).toMatch(/^evidence {5}another history of 1 records$/m);
    expect(text).toMatch(/^2026-01-15 12:02 {2}new-key/m);
  });

  it('shows what a fingerprint ended, and keeps the evidence', async () => {
    // The command looks at the contact's server, which only this test can reach: the check itself is done here.
    const signed = alice.records[0]?.signed_hash;
    if (signed === undefined) throw new Error('no record');
    const fingerprint = fingerprintOf(alice.address, signed);
    site.clock.advance(60_000);
    await site.identity.verify({ accountId: site.bobId, contact: alice.address, fingerprint });
    const { value, text } = await printed((command) => showContact({ ...command, contact: 'alice@acme.test' }));
    expect(value[0]).toMatchObject({
      state: 'OK',
      since: null,
      why: null,
      verified: true,
      archived: 1,
      evidence: null,
    });
    expect((value[0]?.alarms as unknown[] | undefined)?.[1]).toMatchObject({
      kind: 'pin-replaced',
      evidence: { head: alice.trueHead() },
    });
    const history = value[0]?.history as { event: string; detail: string }[];
    const events = history.map(({ event, detail }) => `${event} ${detail}`.trim());
    expect(events.slice(-4).sort()).toEqual(['archived 2', 'ended pin-replaced', 'record-seen 0', 'verified'].sort());
    expect(text).toMatch(/^verified {5}yes, 2026-01-15 12:05$/m);
  });

  it('knows nothing of others, and says so', async () => {
    const unknown = printed((command) => showContact({ ...command, contact: 'nobody@acme.test' }));
    await expect(unknown).rejects.toMatchObject({ exitCode: EXIT.notFound });
    const odd = printed((command) => verifyTrust({ ...command, contact: 'alice@acme.test', fingerprint: 'no' }));
    await expect(odd).rejects.toThrow(CommandError);
    await expect(odd).rejects.toMatchObject({ exitCode: EXIT.badInput });
  });
});
