/**
 * Deliveries through all their stages, against a real server over HTTPS that is honest until a test says otherwise, and
 * through crashes at every boundary.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addMasterSecret } from '../src/keystore/account-keys.ts';
import { HELD_RECHECK_MS, LONGEST_RETRY_MS } from '../src/pipeline/retry.ts';
import type { StageTable } from '../src/pipeline/runner.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { problem } from '../src/smimp/api.ts';
import { verifyHistory } from '../src/smimp/chain.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { historyFingerprint } from '../src/smimp/fingerprint.ts';
import { verifySubmission } from '../src/smimp/submit.ts';
import { type ActiveStage, findDelivery } from '../src/store/outbound.ts';
import { submissionContent } from '../src/store/submissions.ts';
import {
  type HostileServer,
  type HostileSettings,
  type ServedUser,
  startHostileServer,
} from './support/hostile-server.ts';
import {
  BODY,
  DELAY_NOTICE_MS,
  GIVE_UP_MS,
  type OutboundSite,
  outboundSite,
  START,
  TestClock,
  unseal,
} from './support/outbound-site.ts';
import { answerJson, answerText } from './support/tls-server.ts';

let clock: TestClock;
let settings: HostileSettings;
let corp: HostileServer;
let site: OutboundSite;
let bob: ServedUser;

beforeEach(async () => {
  clock = new TestClock();
  settings = { zeroBits: 4, now: clock.seconds };
  corp = await startHostileServer('corp.test', settings);
  bob = corp.addUser('bob', clock.seconds());
  site = await outboundSite([corp], clock);
});
afterEach(async () => {
  expect(site.log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
  await site[Symbol.asyncDispose]();
  await corp[Symbol.asyncDispose]();
});

async function submit(): Promise<number> {
  const [id] = await site.submit(bob.address);
  return id as number;
}

async function row(id: number) {
  const delivery = await findDelivery(site.opened.db, id);
  if (delivery === undefined) throw new Error('no such delivery');
  return delivery;
}

/** Moves the clock to the next attempt and makes it, until `stage` or for so many times. */
async function runUntil(id: number, stage: string, times = 200): Promise<number> {
  for (let tries = 1; tries <= times; tries++) {
    await site.run(id);
    const delivery = await row(id);
    if (delivery.stage === stage) return tries;
    clock.moveTo(delivery.next_attempt_at);
  }
  throw new Error(`never came to ${stage}, but to ${(await row(id)).stage}`);
}

const timeline = async (id: number): Promise<string[]> =>
  (await site.operations.show(id)).timeline.map(({ stage, outcome }) => `${stage} ${outcome}`);
const WHOLE_WAY = ['accept queued', 'route done', 'seal done', 'mint done', 'deliver done'];
const isDone = { stage: 'done', error_code: null, minted_envelope: null, session: null };

describe('a delivery', () => {
  it('goes all the way in one run, and arrives as it was meant', async () => {
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ ...isDone, zero_bits: 4, attempts: 0, finished_at: START });
    expect(await timeline(id)).toEqual(WHOLE_WAY);
    expect(corp.messages).toHaveLength(1);
    const [message] = corp.messages as [(typeof corp.messages)[0]];
    const { header, body } = unseal(bob, message);
    expect(body).toEqual(BODY);
    expect(header).toMatchObject({
      from: 'alice#acme.test',
      to: 'bob#corp.test',
      sent: '2026-01-15 12:00:00',
      via: null,
    });
    expect(header.recipient_head).toEqual({ seq: 0, head: bob.trueHead() });
    const own = await site.identity.ownHistory(site.alice.accountId);
    expect(header.sender_head).toEqual({ seq: own.seq, head: own.head });
    expect(header.uid).toBe((await row(id)).uid.toString('hex'));
    expect(await site.told()).toEqual([]);
  });

  it('sends what the server can check: key, work and signature', async () => {
    const id = await submit();
    let bound: Hex32 | null = null;
    const { deliver } = site.stages;
    const runner = site.runner({
      stages: {
        deliver: (work) => {
          bound = toHex(work.delivery.session ?? Buffer.alloc(0));
          return deliver(work);
        },
      },
    });
    await runner.run(id, new AbortController().signal);
    const [{ envelope, senderKey }] = corp.messages as [(typeof corp.messages)[0]];
    const nonce = envelope.proof_of_work?.split(':')[2] as Hex32;
    const check = {
      envelope,
      sender: site.alice.address,
      recipient: bob.address,
      senderPublicKey: senderKey,
      loginTokenHash: bound as unknown as Hex32,
      issuedKey: envelope.message_public_key,
      recipientMasterKeys: [toHex<Hex32>(bob.master.publicKey)],
      proofOfWorkParameters: { zero_bits: 4, nonce },
    };
    expect(verifySubmission(check).digest).toHaveLength(64);
  });

  it('to several people is one uid, and each copy names only its own recipient', async () => {
    const carol = corp.addUser('carol', clock.seconds());
    const ids = await site.submit(bob.address, carol.address);
    for (const id of ids) await site.run(id);
    const headers = corp.messages.map(
      (message) => unseal(message.recipient === bob.address ? bob : carol, message).header,
    );
    expect(headers.map(({ to }) => to).sort()).toEqual(['bob#corp.test', 'carol#corp.test']);
    expect(new Set(headers.map(({ uid }) => uid)).size).toBe(1);
  });

  it('takes its content with it when the last one ends, and not before', async () => {
    const carol = corp.addUser('carol', clock.seconds());
    const [first, second] = (await site.submit(bob.address, carol.address)) as [number, number];
    const { submission_id } = await row(first);
    await site.run(first);
    expect(await submissionContent(site.opened.db, submission_id)).not.toBeNull();
    await site.run(second);
    expect(await submissionContent(site.opened.db, submission_id)).toBeNull();
  });

  it('that is over, or not due yet, is left alone', async () => {
    const id = await submit();
    await site.run(id);
    await site.run(id);
    await site.run(id + 1000);
    expect(corp.messages).toHaveLength(1);
    corp.failOnce('send_message', 'unavailable');
    const other = await submit();
    await site.run(other);
    await site.run(other);
    expect((await row(other)).attempts).toBe(1);
  });
});

describe('a crash', () => {
  const STAGES: ActiveStage[] = ['route', 'seal', 'mint', 'deliver'];

  for (const stage of STAGES) {
    for (const when of ['before', 'after'] as const) {
      it(`${when} ${stage} did its work, and before it was written down, changes nothing`, async () => {
        const id = await submit();
        const dying = new AbortController();
        const stages: Partial<StageTable> = {
          [stage]: async (work: Parameters<StageTable['route']>[0]) => {
            if (when === 'after') await site.stages[stage](work);
            dying.abort();
            throw new Error('killed');
          },
        };
        await site.runner({ stages }).run(id, dying.signal);
        expect(await row(id)).toMatchObject({ stage, attempts: 0 });
        await site.run(id);
        expect(await row(id)).toMatchObject(isDone);
        expect(await timeline(id)).toEqual(WHOLE_WAY);
        const posted = corp.messages.map(({ envelope, senderKey }) => JSON.stringify({ envelope, senderKey }));
        expect(new Set(posted).size).toBe(1);
        expect(posted.length).toBe(stage === 'deliver' && when === 'after' ? 2 : 1);
      });
    }
  }

  it('while a failure is written down leaves neither the failure nor its notice', async () => {
    corp.removeUser(bob);
    const id = await submit();
    const broken = site.runner({
      tell: async (tx, delivery) => {
        await tx
          .insertInto('setting')
          .values({ name: `notice ${delivery.id}`, value: 'half' })
          .execute();
        throw new Error('killed');
      },
    });
    await broken.run(id, new AbortController().signal);
    expect(site.log.splice(0).join()).toContain('"unexpected"');
    expect(await row(id)).toMatchObject({ stage: 'route', finished_at: null, attempts: 1 });
    expect(await site.told()).toEqual([]);
    clock.moveTo((await row(id)).next_attempt_at);
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'failed' });
    expect(await site.told()).toEqual([`failed unknown-user ${id}`]);
  });

  it('never happens by two workers on one delivery', async () => {
    const id = await submit();
    const workers = Array.from({ length: 4 }, () => site.runner());
    await Promise.all(workers.map((worker) => worker.run(id, new AbortController().signal)));
    await site.run(id);
    expect(await row(id)).toMatchObject(isDone);
    expect(await timeline(id)).toEqual(WHOLE_WAY);
    expect(new Set(corp.messages.map(({ envelope }) => envelope.message_hash)).size).toBe(1);
  });
});

describe('what the server answers', () => {
  it.each(['unavailable', 'internal', 'too_many_requests'] as const)('%s: again later, sealed once', async (code) => {
    corp.failOnce('send_message', code, { 'retry-after': '120' });
    const id = await submit();
    await site.run(id);
    const waiting = await row(id);
    expect(waiting).toMatchObject({ stage: 'deliver', attempts: 1, error_code: code, error_stage: 'deliver' });
    expect(waiting.next_attempt_at.getTime()).toBeGreaterThanOrEqual(START.getTime() + 120_000);
    clock.moveTo(waiting.next_attempt_at);
    await site.run(id);
    expect(await row(id)).toMatchObject(isDone);
    expect((await timeline(id)).filter((line) => line === 'seal done')).toHaveLength(1);
    expect((await timeline(id)).filter((line) => line === 'mint done')).toHaveLength(1);
  });

  it.each(['key_consumed', 'bad_key'] as const)('%s: sealed anew at once', async (code) => {
    corp.failOnce('send_message', code);
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ ...isDone, attempts: 1 });
    expect(await timeline(id)).toEqual([...WHOLE_WAY.slice(0, 4), 'deliver back', ...WHOLE_WAY.slice(2)]);
  });

  it('bad_pow: minted anew, not sealed anew', async () => {
    corp.failOnce('send_message', 'bad_pow');
    const id = await submit();
    await site.run(id);
    expect(await timeline(id)).toEqual([...WHOLE_WAY.slice(0, 4), 'deliver back', 'mint done', 'deliver done']);
  });

  it('unauthorized: logged in and minted anew, not sealed anew', async () => {
    const id = await submit();
    const { deliver } = site.stages;
    let ended = false;
    const runner = site.runner({
      stages: {
        deliver: (work) => {
          if (!ended) corp.endSessions();
          ended = true;
          return deliver(work);
        },
      },
    });
    await runner.run(id, new AbortController().signal);
    expect(await row(id)).toMatchObject(isDone);
    expect(await timeline(id)).toEqual([...WHOLE_WAY.slice(0, 4), 'deliver back', 'mint done', 'deliver done']);
    expect(corp.requests.filter((line) => line.startsWith('POST /0.1/create_session'))).toHaveLength(2);
  });

  it('a session that ended while the message waited: minted anew, without counting as a failure', async () => {
    corp.failOnce('send_message', 'unavailable', { 'retry-after': '7200' });
    const id = await submit();
    await site.run(id);
    clock.moveTo((await row(id)).next_attempt_at);
    await site.run(id);
    expect(await row(id)).toMatchObject({ ...isDone, attempts: 1 });
    expect((await timeline(id)).slice(4)).toEqual(['deliver retry', 'deliver done', 'mint done', 'deliver done']);
  });

  it('the same refusal for ever: slower and slower, not a storm', async () => {
    corp.behave('send_message', (_request, response) => answerJson(response, problem('key_consumed'), 409));
    const id = await submit();
    await site.run(id);
    const waiting = await row(id);
    expect(waiting).toMatchObject({ stage: 'seal', attempts: 4 });
    expect(waiting.next_attempt_at.getTime()).toBeGreaterThan(START.getTime());
  });

  it('blocked: it bounces, once', async () => {
    corp.failOnce('get_message_key', 'blocked');
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'failed', error_code: 'blocked', error_stage: 'seal' });
    await site.run(id);
    expect(await site.told()).toEqual([`failed blocked ${id}`]);
    expect(await submissionContent(site.opened.db, (await row(id)).submission_id)).toBeNull();
  });

  it('too large: it bounces', async () => {
    corp.failOnce('send_message', 'too_large');
    const id = await submit();
    await site.run(id);
    expect(await site.told()).toEqual([`failed too_large ${id}`]);
  });

  it('nonsense: again later', async () => {
    corp.behave('get_message_key', (_request, response) => answerText(response, '{"address":'));
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'seal', attempts: 1, error_code: 'bad-response' });
  });
});

describe('who cannot be written to', () => {
  it('nobody of that name: it bounces', async () => {
    corp.removeUser(bob);
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'failed', error_code: 'unknown-user' });
    expect(await site.told()).toEqual([`failed unknown-user ${id}`]);
  });

  it('a domain that does not speak SMIMP: it bounces', async () => {
    corp.behave('smimp.txt', (_request, response) => answerText(response, 'not here', 404));
    const id = await submit();
    await site.run(id);
    expect(await site.told()).toEqual([`failed no-smimp ${id}`]);
  });

  it('a domain that spoke SMIMP before never stops doing so', async () => {
    const first = await submit();
    await site.run(first);
    corp.behave('smimp.txt', (_request, response) => answerText(response, 'not here', 404));
    clock.advance(2 * 3_600_000);
    const second = await submit();
    await site.run(second);
    expect(await row(second)).toMatchObject({ stage: 'route', attempts: 1, error_code: 'unavailable' });
    expect(await site.told()).toEqual([]);
  });

  it('a server that is away: retried, reported at four hours, given up after five days', async () => {
    const [id] = (await site.submit(parseAddress('carol#dead.test'))) as [number];
    const tries = await runUntil(id, 'failed');
    expect(tries).toBeGreaterThan(GIVE_UP_MS / LONGEST_RETRY_MS);
    expect(tries).toBeLessThan(2 * (GIVE_UP_MS / LONGEST_RETRY_MS));
    const failed = await row(id);
    expect(failed.finished_at).toEqual(new Date(START.getTime() + GIVE_UP_MS));
    expect(failed.delay_notified_at).toEqual(new Date(START.getTime() + DELAY_NOTICE_MS));
    expect(await site.told()).toEqual([`delayed unavailable ${id}`, `failed unavailable ${id}`]);
  });
});

describe('an identity alarm', () => {
  it('holds the message, tells once, and lets it go when the fingerprint is entered', async () => {
    await site.run(await submit());
    corp.removeUser(bob);
    bob = corp.addUser('bob', clock.seconds());
    clock.advance(120_000);
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'held', error_code: 'pin-replaced', error_stage: 'route' });
    for (let i = 0; i < 3; i++) {
      clock.advance(HELD_RECHECK_MS);
      await site.run(id);
    }
    expect(await site.told()).toEqual([`held pin-replaced ${id}`]);
    expect(await timeline(id)).toEqual(['accept queued', 'route held']);
    expect(corp.messages).toHaveLength(1);

    const shown = verifyHistory({ address: bob.address, records: bob.records, head: bob.trueHead() });
    const contact = { accountId: site.alice.accountId, contact: bob.address };
    await site.identity.verify({ ...contact, fingerprint: historyFingerprint(shown) });
    clock.advance(HELD_RECHECK_MS);
    await site.run(id);
    expect(await row(id)).toMatchObject(isDone);
    expect(unseal(bob, corp.messages[1] as (typeof corp.messages)[0]).body).toEqual(BODY);
  });

  it('ends by itself when a hidden record comes back', async () => {
    bob.change({ now: clock.seconds(), profile: { name: 'Bob' } });
    await site.run(await submit());
    const whole = bob.records;
    bob.records = whole.slice(0, 1);
    clock.advance(120_000);
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'held', error_code: 'pin-truncated' });
    bob.records = whole;
    clock.advance(HELD_RECHECK_MS);
    await site.run(id);
    expect(await row(id)).toMatchObject(isDone);
  });

  it('is raised when the head beside a message key is another one', async () => {
    bob.messageKeyHead = toHex<Hex32>(randomBytes(32));
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'held', error_code: 'head-mismatch', error_stage: 'seal' });
    expect(corp.messages).toHaveLength(0);
  });

  it('is raised when a message key is signed by somebody else', async () => {
    const { master } = bob;
    bob.master = masterKeyPair();
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'held', error_code: 'bad-message-key' });
    bob.master = master;
    clock.advance(HELD_RECHECK_MS);
    await site.run(id);
    expect(await row(id)).toMatchObject(isDone);
  });

  it('that lasts ends in a bounce, after five days', async () => {
    bob.messageKeyHead = toHex<Hex32>(randomBytes(32));
    const id = await submit();
    await site.run(id);
    clock.moveTo(new Date(START.getTime() + GIVE_UP_MS));
    await site.run(id);
    expect(await site.told()).toEqual([`held head-mismatch ${id}`, `failed head-mismatch ${id}`]);
  });
});

describe('work', () => {
  it('above what the operator agreed to is held until they agree', async () => {
    settings.zeroBits = 13;
    const id = await submit();
    await site.run(id);
    expect(await row(id)).toMatchObject({
      stage: 'held',
      error_code: 'pow-approval',
      error_stage: 'mint',
      zero_bits: 13,
    });
    clock.advance(HELD_RECHECK_MS);
    await site.run(id);
    expect(await row(id)).toMatchObject({ stage: 'held' });
    await site.operations.retry(id);
    await site.run(id);
    expect(await row(id)).toMatchObject({ ...isDone, zero_bits: 13 });
    expect(await site.told()).toEqual([`held pow-approval ${id}`]);
    expect((await timeline(id)).filter((line) => line === 'seal done')).toHaveLength(1);
  });

  it('above 28 bits is refused', async () => {
    settings.zeroBits = 29;
    const id = await submit();
    await site.run(id);
    expect(await site.told()).toEqual([`failed pow-refused ${id}`]);
  });

  it('stops when the process ends, and begins again in the next', async () => {
    settings.zeroBits = 12;
    const id = await submit();
    const ending = new AbortController();
    const { mint } = site.stages;
    const runner = site.runner({
      stages: {
        mint: (work) => {
          ending.abort();
          return mint(work);
        },
      },
    });
    await runner.run(id, ending.signal);
    expect(await row(id)).toMatchObject({ stage: 'mint', attempts: 0 });
    await site.run(id);
    expect(await row(id)).toMatchObject(isDone);
  });
});

describe('a master key that changes between seal and mint', () => {
  it('leads back to seal, so that box and signature are by the same key', async () => {
    const id = await submit();
    const { mint } = site.stages;
    let rotated = false;
    const runner = site.runner({
      stages: {
        mint: async (work) => {
          if (!rotated) {
            rotated = true;
            const keys = await site.keystore.open(site.alice.accountId);
            await site.opened.db
              .updateTable('secret')
              .set({ retired_at: clock.read() })
              .where('purpose', '=', 'master')
              .execute();
            await addMasterSecret(site.opened.db, keys, masterKeyPair(), clock.read());
          }
          return mint(work);
        },
      },
    });
    await runner.run(id, new AbortController().signal);
    expect(await row(id)).toMatchObject(isDone);
    expect((await timeline(id)).filter((line) => line === 'seal done')).toHaveLength(2);
    expect(unseal(bob, corp.messages[0] as (typeof corp.messages)[0]).body).toEqual(BODY);
  });
});

describe('the operator', () => {
  it('cancels what is under way, and the worker notices', async () => {
    const id = await submit();
    const { seal } = site.stages;
    const runner = site.runner({
      stages: {
        seal: async (work) => {
          const outcome = await seal(work);
          await site.operations.cancel(id);
          return outcome;
        },
      },
    });
    await runner.run(id, new AbortController().signal);
    expect(await row(id)).toMatchObject({ stage: 'cancelled', finished_at: START });
    expect(await timeline(id)).toEqual(['accept queued', 'route done', 'seal cancelled']);
    expect(corp.messages).toHaveLength(0);
    expect(await submissionContent(site.opened.db, (await row(id)).submission_id)).toBeNull();
    await expect(site.operations.cancel(id)).rejects.toMatchObject({ code: 'ended' });
    await expect(site.operations.retry(id)).rejects.toMatchObject({ code: 'ended' });
    await expect(site.operations.show(9999)).rejects.toMatchObject({ code: 'unknown-delivery' });
  });

  it('lists what is there by state', async () => {
    const done = await submit();
    await site.run(done);
    const waiting = await submit();
    const ids = async (state: 'active' | 'all' | 'done'): Promise<number[]> =>
      (await site.operations.list({ state, limit: 10 })).map(({ id }) => id);
    expect(await ids('active')).toEqual([waiting]);
    expect(await ids('all')).toEqual([done, waiting]);
    expect(await ids('done')).toEqual([done]);
    expect(await site.operations.list({ state: 'all', limit: 1 })).toHaveLength(1);
  });

  it('sees nothing of the content in row, timeline and log', async () => {
    await site.run(await submit());
    const shown = JSON.stringify(await site.operations.show(1)) + site.log.join();
    expect(shown).not.toContain('the subject');
    expect(shown).not.toContain('the text');
    expect(site.log.join()).not.toContain('corp.test');
  });
});
