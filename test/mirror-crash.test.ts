/** A mirror that is killed at any step, or whose home begins anew: both sides agree afterwards, nothing is lost or doubled. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readOwnHistory } from '../src/identity/own-history.ts';
import { rotateMaster } from '../src/mirror/rotation.ts';
import { maintainMirror } from '../src/mirror/round.ts';
import type { Hex32 } from '../src/smimp/encoding.ts';
import { findAccount } from '../src/store/accounts.ts';
import { changeMirror } from '../src/store/mirrors.ts';
import { BASE_URL, BOB } from './support/api-site.ts';
import { plainMail } from './support/mail-site.ts';
import { type Bob, CODE, Killed, type MirrorSite, mirrorSite, PASSWORD } from './support/mirror-site.ts';

let site: MirrorSite;
let bob: Bob;

beforeEach(async () => {
  site = await mirrorSite();
});
afterEach(async () => {
  await site[Symbol.asyncDispose]();
});

const letter = (subject: string): Buffer => plainMail({ Subject: subject }, 'Text\r\n');

async function pick(path: string, subject: string) {
  const view = await bob.mail.view(await bob.mail.folders.find(path));
  const listed = await view.list(view.opened);
  const messages = view.opened.filter((_message, n) => listed[n]?.index.envelope.subject === subject);
  expect(messages).toHaveLength(1);
  return { view, messages };
}

/** Kills `work` at its first step, then at its second, and so on, until it comes through. How often it was killed. */
async function killedEverywhere(work: () => Promise<unknown>): Promise<number> {
  for (let steps = 1; ; steps += 1) {
    site.steps = 0;
    site.killAfter = steps;
    const killed = await work().then(
      () => false,
      (error: unknown) => {
        if (!(error instanceof Killed)) throw error;
        return true;
      },
    );
    site.killAfter = Number.POSITIVE_INFINITY;
    if (!killed) return steps - 1;
  }
}

describe('killed at every request and every statement', () => {
  it('a round brings both sides together all the same', async () => {
    bob = await site.connected();
    const ids: Record<string, Hex32> = {};
    for (const subject of ['a', 'b', 'c', 'd', 'e']) ids[subject] = await bob.other.put(subject);
    const there = await bob.other.makeFolder('There');
    await bob.sync();
    const mine = await bob.mail.folders.create('Here', null).then(() => bob.mail.folders.find('Here'));
    const { view, messages } = await pick('INBOX', 'a');
    await view.changeFlags(messages, { mode: 'add', flags: ['\\Seen', '\\Flagged', 'here'] });
    await view.copy(messages, mine);
    await view.move((await pick('INBOX', 'b')).messages, mine);
    await view.remove((await pick('INBOX', 'c')).messages);
    await bob.mail.append({ folder: mine, raw: letter('new here'), flags: ['\\Flagged'], internalDate: null });
    await view.copy((await pick('INBOX', 'd')).messages, await bob.mail.folders.find('Archive'));
    await bob.other.flag(ids.a as Hex32, 'add', 'there');
    await bob.other.copy(ids.c as Hex32, there);
    await bob.other.move(ids.d as Hex32, there);
    await bob.other.delete(ids.e as Hex32);
    await bob.other.put('new there', there);
    const kills = await killedEverywhere(() => bob.sync());
    expect(kills).toBeGreaterThan(50);
    const here = await bob.shownHere();
    expect(here).toEqual({
      Archive: ['d'],
      Here: ['a \\Flagged \\Seen here', 'b', 'new here \\Flagged'],
      INBOX: ['a \\Flagged \\Seen here there'],
      There: ['c', 'd', 'new there'],
    });
    expect(await bob.shownAtHome()).toEqual(here);
    expect(site.log.filter((line) => line.includes('mirror_refused'))).toEqual([]);
  }, 120_000);

  it('an account is connected with the keys that were made first', async () => {
    await site.invite();
    const connect = () => site.connect({ address: BOB, code: CODE, password: PASSWORD, name: null });
    const kills = await killedEverywhere(connect);
    expect(kills).toBeGreaterThan(10);
    const account = await findAccount(site.opened.db, BOB);
    const { history } = await readOwnHistory(site.opened.db, { accountId: account?.id ?? 0, address: BOB });
    expect(await site.services.home.publicKey(BASE_URL, BOB)).toMatchObject({ head: history.head, seq: 0 });
    await expect(connect()).rejects.toMatchObject({ code: 'exists' });
  });

  it('new keys are published, the master key among them, and none is lost', async () => {
    bob = await site.connected();
    await bob.other.put('before');
    await bob.sync();
    const first = await bob.other.owner.nonEphemeralKey(bob.other.session);
    site.api.later(8 * 86_400);
    await bob.other.logIn();
    await killedEverywhere(async () => maintainMirror(await bob.mirror()));
    const second = await bob.other.owner.nonEphemeralKey(bob.other.session);
    expect(second.public_key).not.toBe(first.public_key);
    expect(await secretOf(second.public_key)).not.toBeNull();

    await killedEverywhere(async () => rotateMaster(await bob.mirror()));
    const { history } = await readOwnHistory(site.opened.db, bob.account);
    expect(history.masterKeys.length).toBeGreaterThan(1);
    const shown = await site.services.home.publicKey(BASE_URL, BOB);
    expect(shown).toMatchObject({ head: history.head, public_key: history.currentKey });
    await bob.other.logIn();
    const { keys } = await bob.other.owner.ephemeralKeys(bob.other.session);
    expect(keys).toHaveLength(100);
    for (const key of keys.slice(0, 3)) expect(await secretOf(key.public_key)).not.toBeNull();
    await bob.other.put('after');
    await bob.mail.append({
      folder: await bob.mail.folders.find('Drafts'),
      raw: letter('mine'),
      flags: [],
      internalDate: null,
    });
    await bob.sync();
    expect(await bob.shownHere()).toEqual({ Drafts: ['mine'], INBOX: ['after', 'before'] });
    expect(await bob.shownAtHome()).toEqual(await bob.shownHere());
  }, 120_000);
});

const secretOf = (publicKey: Hex32) => bob.account.keys.messageSecret(Buffer.from(publicKey, 'hex'));

describe('a home that begins anew', () => {
  it('is listed again, and what it lost stays here', async () => {
    bob = await site.connected();
    const [kept, lost] = [await bob.other.put('kept'), await bob.other.put('lost')];
    await bob.sync();
    const { db } = site.api.opened;
    await db.deleteFrom('message').where('message_id', '=', Buffer.from(lost, 'hex')).execute();
    await bob.other.flag(kept, 'add', '\\Flagged');
    await bob.other.put('new');
    await changeMirror(site.opened.db, bob.accountId, { cursor: 'r999999' });
    const kills = await killedEverywhere(() => bob.sync());
    expect(kills).toBeGreaterThan(20);
    expect(await bob.shownHere()).toEqual({ INBOX: ['kept \\Flagged', 'lost', 'new'] });
    expect(await bob.shownAtHome()).toEqual({ INBOX: ['kept \\Flagged', 'new'] });
    expect(site.log.some((line) => line.includes('home_lost_it'))).toBe(true);
    const { view, messages } = await pick('INBOX', 'lost');
    await view.remove(messages);
    await bob.sync();
    expect(await bob.shownAtHome()).toEqual(await bob.shownHere());
  }, 60_000);
});
