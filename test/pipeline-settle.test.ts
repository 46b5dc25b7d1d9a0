/** What a row becomes after a stage, without any database; and the small parts beside it. */
import { describe, expect, it } from 'vitest';
import { ByteGate } from '../src/memory/byte-gate.ts';
import { explain, explainFinal } from '../src/pipeline/reasons.ts';
import {
  FIRST_RETRY_MS,
  HELD_RECHECK_MS,
  JITTER,
  LONGEST_RETRY_AFTER_MS,
  LONGEST_RETRY_MS,
  retryDelayMs,
} from '../src/pipeline/retry.ts';
import { FREE_RETURNS, settle } from '../src/pipeline/settle.ts';
import { decodeKept, encodeKept } from '../src/pipeline/stage.ts';
import { Turns } from '../src/pipeline/turns.ts';
import type { Hex24, Hex32 } from '../src/smimp/encoding.ts';
import type { Delivery } from '../src/store/outbound.ts';

const HOUR_MS = 3_600_000;
const SUBMITTED = new Date('2026-01-15T12:00:00Z');
const DEADLINE = new Date(SUBMITTED.getTime() + 120 * HOUR_MS);
const TIMES = { delayNoticeAfterMs: 4 * HOUR_MS };
const at = (hours: number): Date => new Date(SUBMITTED.getTime() + hours * HOUR_MS);

function delivery(changes: Partial<Delivery> = {}): Delivery {
  return {
    id: 1,
    submission_id: 1,
    account_id: 1,
    sender: 'alice#acme.test',
    recipient: 'bob#corp.test',
    uid: Buffer.alloc(32),
    message_type: 'email',
    size_bytes: 100,
    submitted_at: SUBMITTED,
    relayed_for: null,
    is_report: false,
    stage: 'route',
    attempts: 0,
    next_attempt_at: SUBMITTED,
    deadline_at: DEADLINE,
    delay_notified_at: null,
    held_notified_at: null,
    error_code: null,
    error_stage: null,
    version: 0,
    base_url: null,
    zero_bits: null,
    approved_bits: null,
    minted_envelope: null,
    session: null,
    message_id: null,
    finished_at: null,
    ...changes,
  };
}

const RETRY = { kind: 'retry', reason: 'connect', retryAfterMs: null } as const;

describe('the delay before a retry', () => {
  it('doubles from the first to the longest, less some jitter, the same for the same attempt', () => {
    for (let attempt = 1; attempt <= 40; attempt++) {
      const full = Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), LONGEST_RETRY_MS);
      const delay = retryDelayMs(7, attempt);
      expect(delay).toBeLessThanOrEqual(full);
      expect(delay).toBeGreaterThanOrEqual(full * (1 - JITTER));
      expect(retryDelayMs(7, attempt)).toBe(delay);
    }
    expect(new Set([1, 2, 3, 4].map((id) => retryDelayMs(id, 3))).size).toBe(4);
  });

  it('is at least what the other server asked for, up to a limit', () => {
    expect(retryDelayMs(1, 1, 60_000)).toBe(60_000);
    expect(retryDelayMs(1, 1, 1)).toBe(retryDelayMs(1, 1));
    expect(retryDelayMs(1, 1, 10 * LONGEST_RETRY_AFTER_MS)).toBe(LONGEST_RETRY_AFTER_MS);
  });
});

describe('what a row becomes', () => {
  it('counts a failure and waits', () => {
    const { change, notice, goesOn } = settle(delivery({ attempts: 2 }), RETRY, at(1), TIMES);
    expect(change).toMatchObject({ attempts: 3, error_code: 'connect' });
    expect(change.next_attempt_at?.getTime()).toBe(at(1).getTime() + retryDelayMs(1, 3));
    expect({ notice, goesOn }).toEqual({ notice: null, goesOn: false });
  });

  it('tells of a delay once, at four hours', () => {
    const before = settle(delivery({ attempts: 20 }), RETRY, new Date(at(4).getTime() - 1000), TIMES);
    expect(before.notice).toBeNull();
    expect(before.change.next_attempt_at).toEqual(at(4));
    const then = settle(delivery({ attempts: 20 }), RETRY, at(4), TIMES);
    expect(then.notice).toEqual({ kind: 'delayed', reason: 'connect' });
    expect(then.change.delay_notified_at).toEqual(at(4));
    expect(settle(delivery({ delay_notified_at: at(4) }), RETRY, at(5), TIMES).notice).toBeNull();
    expect(settle(delivery({ held_notified_at: at(1) }), RETRY, at(5), TIMES).notice).toBeNull();
  });

  it('gives up at the deadline, not before, and never waits beyond it', () => {
    const told = { delay_notified_at: at(4), attempts: 100 };
    const last = settle(delivery(told), RETRY, new Date(DEADLINE.getTime() - 1), TIMES);
    expect(last.change).toMatchObject({ next_attempt_at: DEADLINE });
    const over = settle(delivery(told), RETRY, DEADLINE, TIMES);
    expect(over.change).toMatchObject({ stage: 'failed', finished_at: DEADLINE, error_code: 'connect' });
    expect(over.notice).toEqual({ kind: 'failed', reason: 'connect' });
    const held = settle(delivery(), { kind: 'hold', reason: 'pin-forked', change: {} }, DEADLINE, TIMES);
    expect(held.change.stage).toBe('failed');
  });

  it('holds and tells once, and is silent while nothing changes', () => {
    const hold = { kind: 'hold', reason: 'pin-replaced', change: {} } as const;
    const first = settle(delivery(), hold, at(1), TIMES);
    expect(first.change).toMatchObject({ stage: 'held', held_notified_at: at(1), error_code: 'pin-replaced' });
    expect(first.change.next_attempt_at?.getTime()).toBe(at(1).getTime() + HELD_RECHECK_MS);
    expect(first.notice).toEqual({ kind: 'held', reason: 'pin-replaced' });
    const row = delivery({ stage: 'held', held_notified_at: at(1), error_code: 'pin-replaced' });
    expect(settle(row, hold, at(2), TIMES)).toMatchObject({ notice: null, silent: true });
    const other = settle(row, { ...hold, reason: 'pin-forked' }, at(2), TIMES);
    expect(other).toMatchObject({ notice: null, silent: false });
  });

  it('says nothing into an account whose keys cannot be opened', () => {
    const settled = settle(delivery(), { kind: 'hold', reason: 'account-locked', change: {} }, at(1), TIMES);
    expect(settled.notice).toBeNull();
    expect(settled.change.held_notified_at).toBeUndefined();
  });

  it('goes back at once a few times, then waits', () => {
    const back = { kind: 'back', to: 'seal', reason: 'key_consumed', change: { sealed_envelope: null } } as const;
    const last = settle(delivery({ stage: 'deliver', attempts: FREE_RETURNS - 1 }), back, at(1), TIMES);
    expect(last).toMatchObject({
      goesOn: true,
      change: { stage: 'seal', next_attempt_at: at(1), sealed_envelope: null },
    });
    const slow = settle(delivery({ stage: 'deliver', attempts: FREE_RETURNS }), back, at(1), TIMES);
    expect(slow.goesOn).toBe(false);
    expect(slow.change.next_attempt_at?.getTime()).toBeGreaterThan(at(1).getTime());
  });

  it('forgets failures when the stage that failed is passed, and only then', () => {
    const failed = { attempts: 5, error_stage: 'seal', error_code: 'connect' };
    const to = (stage: 'route' | 'seal' | 'mint' | 'deliver', next: 'seal' | 'mint' | 'deliver') =>
      settle(delivery({ ...failed, stage }), { kind: 'advance', to: next, change: {} }, at(1), TIMES).change;
    expect(to('seal', 'mint')).toMatchObject({ attempts: 0, error_stage: null, error_code: null, stage: 'mint' });
    expect(to('route', 'seal').attempts).toBeUndefined();
    expect(to('mint', 'deliver').attempts).toBeUndefined();
    const back = settle(
      delivery({ ...failed, error_stage: 'deliver', stage: 'deliver' }),
      { kind: 'advance', to: 'mint', change: {} },
      at(1),
      TIMES,
    );
    expect(back.change.attempts).toBeUndefined();
  });

  it('keeps nothing of a message that is delivered', () => {
    const settled = settle(
      delivery({ stage: 'deliver' }),
      { kind: 'done', messageId: 'ab'.repeat(32) as Hex32 },
      at(1),
      TIMES,
    );
    expect(settled.change).toMatchObject({
      stage: 'done',
      sealed_envelope: null,
      minted_envelope: null,
      session: null,
    });
    expect(settled.change.message_id).toEqual(Buffer.alloc(32, 0xab));
    expect(settled).toMatchObject({ notice: null, goesOn: false });
  });
});

describe('what a person is told', () => {
  it('names the address, and gives a final code to what is final', () => {
    expect(explain('connect', 'bob@corp.test')).toMatchObject({ status: '4.4.1' });
    expect(explainFinal('connect', 'bob@corp.test')).toMatchObject({ status: '5.4.1' });
    for (const reason of ['unknown-user', 'no-smimp', 'pin-forked', 'too_large', 'bad_key', 'tls'] as const) {
      expect(explain(reason, 'bob@corp.test').what).toContain('bob@corp.test');
    }
  });
});

describe('a kept message', () => {
  it('comes back as it was', () => {
    const kept = {
      senderPublicKey: '01'.repeat(32) as Hex32,
      messagePublicKey: '02'.repeat(32) as Hex32,
      nonce: '03'.repeat(24) as Hex24,
      ciphertext: Buffer.alloc(300, 4),
      messageType: 'email',
    };
    const { prefix, ciphertext } = encodeKept(kept);
    expect(decodeKept(Buffer.concat([prefix, ciphertext]), 'email')).toEqual(kept);
  });
});

describe('the byte gate', () => {
  it('lets small ones in together, a large one alone, in order', async () => {
    const gate = new ByteGate(100);
    const inside: string[] = [];
    const ends: Record<string, () => void> = {};
    const enter = (name: string, sizeBytes: number): Promise<void> =>
      gate.pass(sizeBytes, () => {
        inside.push(name);
        return new Promise((resolve) => {
          ends[name] = resolve;
        });
      });
    const small = [enter('a', 40), enter('b', 60)];
    const large = enter('large', 5000);
    const last = enter('c', 1);
    await Promise.resolve();
    expect(inside).toEqual(['a', 'b']);
    ends.a?.();
    await small[0];
    expect(inside).toEqual(['a', 'b']);
    ends.b?.();
    await small[1];
    expect(inside).toEqual(['a', 'b', 'large']);
    ends.large?.();
    await large;
    expect(inside).toEqual(['a', 'b', 'large', 'c']);
    ends.c?.();
    await last;
  });

  it('makes room after a failure', async () => {
    const gate = new ByteGate(1);
    await expect(gate.pass(1, async () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    await expect(gate.pass(1, async () => 'in')).resolves.toBe('in');
  });
});

describe('turns', () => {
  it('are taken in order for one key, and at once for another', async () => {
    const turns = new Turns();
    const order: string[] = [];
    const take = async (key: string, name: string): Promise<() => void> => {
      const end = await turns.take(key);
      order.push(name);
      return end;
    };
    const first = await take('x', 'first');
    const second = take('x', 'second');
    const third = take('x', 'third');
    (await take('y', 'other'))();
    expect(order).toEqual(['first', 'other']);
    first();
    (await second)();
    (await third)();
    expect(order).toEqual(['first', 'other', 'second', 'third']);
    (await take('x', 'again'))();
  });
});
