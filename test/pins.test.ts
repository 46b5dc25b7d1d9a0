/** Pins: what `history?from=` shows is what the whole history shows, and nothing but a clean continuation is taken. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { comparePin, extendPin, type Pin, pinCurrentKey, pinHead, pinnedIdentity, pinSeq } from '../src/smimp/pin.ts';
import type { IdentityRecord } from '../src/smimp/record.ts';
import {
  ADAM,
  answerOf,
  BOB,
  buildRecords,
  type Change,
  changes,
  NEW_YEAR,
  seededKey,
  verifiedHistory,
} from './support/identities.ts';

/** The same inputs in every run. */
fc.configureGlobal({ seed: 20_260_101 });

describe('pins', () => {
  function pinOf(records: IdentityRecord[]): Pin {
    const { pin } = comparePin({ address: ADAM, answer: answerOf(records), pin: null, now: NEW_YEAR });
    return pin as Pin;
  }

  function tail(records: IdentityRecord[], pin: Pin) {
    return { ...answerOf(records), records: records.slice(pinSeq(pin)) };
  }

  const grown = fc.tuple(changes, changes);

  test('the incremental check ends where the whole one does', () => {
    fc.assert(
      fc.property(grown, ([before, after]) => {
        const records = buildRecords(ADAM, [...before, ...after]);
        const pin = pinOf(records.slice(0, before.length + 1));
        const now = NEW_YEAR + 9_000_000;
        const whole = comparePin({ address: ADAM, answer: answerOf(records), pin, now });
        const step = extendPin({ address: ADAM, answer: tail(records, pin), pin, now });
        expect(step).toEqual({ ...whole, history: undefined });
        expect(whole.state).toBe(after.length === 0 ? 'OK' : 'EXTENDED');
        expect(whole.keyChanged).toBe(after.some(({ rotate }) => rotate));
      }),
      { numRuns: 30 },
    );
  });

  test('a shorter, a forked and a replaced history block, keep the pin, and are left to the whole check', () => {
    const known: Change[] = [
      { rotate: true, seconds: 1 },
      { rotate: false, seconds: 1 },
    ];
    const records = buildRecords(ADAM, known);
    const forked = [records[0] as IdentityRecord, ...buildRecords(ADAM, [{ rotate: false, seconds: 7 }]).slice(1)];
    const cases = {
      TRUNCATED: records.slice(0, 2),
      FORKED: forked,
      REPLACED: buildRecords(ADAM, known, 77),
    };
    const pin = pinOf(records);
    for (const [state, answered] of Object.entries(cases)) {
      const whole = comparePin({ address: ADAM, answer: answerOf(answered), pin, now: NEW_YEAR + 100 });
      expect(whole).toMatchObject({ state, sending: 'blocked', pin });
      expect(extendPin({ address: ADAM, answer: tail(answered, pin), pin, now: NEW_YEAR + 100 })).toBe(null);
    }
  });

  test('an incremental answer with a false head, a gap or a reused key is not taken', () => {
    const records = buildRecords(ADAM, [
      { rotate: true, seconds: 1 },
      { rotate: true, seconds: 1 },
    ]);
    const pin = pinOf(records.slice(0, 2));
    const good = tail(records, pin);
    const now = NEW_YEAR + 100;
    expect(extendPin({ address: ADAM, answer: good, pin, now })?.state).toBe('EXTENDED');
    expect(extendPin({ address: ADAM, answer: { ...good, head: '00'.repeat(32) as Hex32 }, pin, now })).toBe(null);
    expect(extendPin({ address: ADAM, answer: { ...good, records: good.records.slice(1) }, pin, now })).toBe(null);
    expect(extendPin({ address: ADAM, answer: { ...good, records: [] }, pin, now })).toBe(null);
    expect(extendPin({ address: BOB, answer: good, pin, now })).toBe(null);
    const reused = { ...pin, master_keys: [...pin.master_keys, { public_key: toHex(seededKey(3).publicKey), seq: 1 }] };
    expect(extendPin({ address: ADAM, answer: good, pin: reused, now })).toBe(null);
  });

  test('the pinned record must come back as it was, and without a continuation so must the head', () => {
    const records = buildRecords(ADAM, [{ rotate: true, seconds: 1 }]);
    const pin = pinOf(records);
    const same = tail(records, pin);
    const now = NEW_YEAR + 100;
    const last = records.at(-1) as IdentityRecord;
    expect(extendPin({ address: ADAM, answer: same, pin, now })?.state).toBe('OK');
    expect(extendPin({ address: ADAM, answer: { ...same, head: '00'.repeat(32) as Hex32 }, pin, now })).toBe(null);
    const rewritten = { ...same, records: [{ ...last, data: `${last.data} ` }] };
    expect(extendPin({ address: ADAM, answer: rewritten, pin, now })).toBe(null);
  });

  test('a pin knows head, key and key changes as the history does', () => {
    const made: Change[] = [
      { rotate: true, seconds: 1 },
      { rotate: false, seconds: 1 },
      { rotate: true, seconds: 1 },
    ];
    const pin = pinOf(buildRecords(ADAM, made));
    const history = verifiedHistory(ADAM, made);
    expect(pinHead(pin)).toBe(history.head);
    expect(pinSeq(pin)).toBe(3);
    expect(pinCurrentKey(pin)).toBe(history.currentKey);
    const { address, heads, masterKeys, keySeqs } = history;
    const firstSeen = [NEW_YEAR, NEW_YEAR, NEW_YEAR, NEW_YEAR];
    expect(pinnedIdentity(ADAM, pin)).toEqual({ address, heads, masterKeys, keySeqs, firstSeen });
  });
});
