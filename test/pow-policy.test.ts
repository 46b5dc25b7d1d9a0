/** The price of a message: edges of every row, properties of every table, mistakes in the configuration, the simulation. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, parseConfig } from '../src/config.ts';
import { PowLedger } from '../src/policy/pow-ledger.ts';
import { constantPolicy, evaluatePolicy, type PowFacts, type PowPolicy, policyOf } from '../src/policy/pow-policy.ts';
import { powPolicySchema } from '../src/policy/pow-policy-schema.ts';
import { SCENARIOS, simulatePolicy } from '../src/policy/pow-simulation.ts';
import { DAY_MS, worn } from '../src/policy/wear.ts';

/** The same inputs in every run. */
fc.configureGlobal({ seed: 20_260_102 });

const DEFAULT = powPolicySchema.parse({});
/** Somebody well known who sends one small message: no row applies. */
const PLAIN: PowFacts = {
  first_contact: false,
  correspondent: false,
  sender_age: 100 * DAY_MS,
  domain_age: 100 * DAY_MS,
  sender_messages_per_day: 1,
  domain_messages_per_day: 1,
  messages_to_recipient_per_day: 1,
  sender_bytes_per_day: 0,
  recipient_strangers_per_day: 0,
  recipient_strangers_usual: 0,
  failed_attempts_per_day: 0,
  failed_logins_per_day: 0,
  message_type: 'email',
};
const bitsOf = (facts: Partial<PowFacts>, policy: PowPolicy = DEFAULT): number =>
  evaluatePolicy(policy, { ...PLAIN, ...facts }).bits;

describe('the policy', () => {
  it('asks the base when no row applies', () => {
    expect(evaluatePolicy(DEFAULT, PLAIN)).toEqual({ bits: 17, base: 17, sum: 17, rows: [] });
  });

  it.each<[Partial<PowFacts>, number]>([
    [{ first_contact: true }, 2],
    [{ correspondent: true }, -5],
    [{ sender_age: 7 * DAY_MS - 1 }, 1],
    [{ sender_age: 7 * DAY_MS }, 0],
    [{ sender_age: -1 }, 1],
    [{ domain_age: 7 * DAY_MS - 1 }, 1],
    [{ domain_age: 7 * DAY_MS }, 0],
    [{ sender_messages_per_day: 50 }, 0],
    [{ sender_messages_per_day: 50.01 }, 1],
    [{ sender_messages_per_day: 500 }, 1],
    [{ sender_messages_per_day: 2_000.5 }, 3],
    [{ sender_messages_per_day: 1e9 }, 5],
    [{ domain_messages_per_day: 5_001 }, 1],
    [{ domain_messages_per_day: 100_001 }, 3],
    [{ messages_to_recipient_per_day: 20 }, 0],
    [{ messages_to_recipient_per_day: 21 }, 1],
    [{ messages_to_recipient_per_day: 101 }, 3],
    [{ sender_bytes_per_day: 200 * 1024 ** 2 }, 0],
    [{ sender_bytes_per_day: 200 * 1024 ** 2 + 1 }, 1],
    [{ recipient_strangers_per_day: 40 }, 0],
    [{ recipient_strangers_per_day: 41 }, 1],
    [{ recipient_strangers_per_day: 401 }, 3],
    [{ recipient_strangers_per_day: 401, recipient_strangers_usual: 100 }, 1],
    [{ failed_attempts_per_day: 5 }, 0],
    [{ failed_attempts_per_day: 6 }, 1],
    [{ failed_attempts_per_day: 1e6 }, 5],
    [{ failed_logins_per_day: 1e6 }, 1],
    [{ message_type: 'secret-ed25519' }, 2],
    [{ message_type: 'secret' }, 0],
  ])('adds for %j', (facts, added) => {
    expect(bitsOf(facts)).toBe(17 + added);
  });

  it('names the rows that apply and the step of each', () => {
    const price = evaluatePolicy(DEFAULT, { ...PLAIN, first_contact: true, sender_messages_per_day: 600 });
    expect(price).toEqual({
      bits: 21,
      base: 17,
      sum: 21,
      rows: [
        { row: 'first_contact', step: null, bits: 2 },
        { row: 'sender_messages_per_day', step: 'over 500', bits: 2 },
      ],
    });
  });

  it('stays between floor and ceiling, and says what the sum was', () => {
    const policy = powPolicySchema.parse({ floor: 16, ceiling: 20 });
    expect(evaluatePolicy(policy, { ...PLAIN, correspondent: true })).toMatchObject({ bits: 16, sum: 12 });
    const flood = { ...PLAIN, first_contact: true, sender_messages_per_day: 20_000 };
    expect(evaluatePolicy(policy, flood)).toMatchObject({ bits: 20, sum: 24 });
  });

  it('takes the entry of a type before the longest beginning', () => {
    const policy = powPolicySchema.parse({ message_type: { '*': 1, 'x-*': 2, 'x-custom-*': 3, 'x-custom-game': -1 } });
    const types = ['email', 'x-ray', 'x-custom-chess', 'x-custom-game'];
    expect(types.map((message_type) => bitsOf({ message_type }, policy) - 17)).toEqual([1, 2, 3, -1]);
  });

  it('asks the same of everybody when a number stands in its place', () => {
    for (const zero_bits of [0, 1, 28]) {
      const policy = policyOf({ zero_bits, policy: DEFAULT });
      expect(policy).toEqual(constantPolicy(zero_bits));
      expect(bitsOf({ first_contact: true, sender_messages_per_day: 1e9 }, policy)).toBe(zero_bits);
    }
    expect(policyOf({ zero_bits: null, policy: DEFAULT })).toBe(DEFAULT);
  });
});

const count = fc.double({ min: 0, max: 1e7, noNaN: true });
const age = fc.double({ min: 0, max: 400 * DAY_MS, noNaN: true });
const facts: fc.Arbitrary<PowFacts> = fc.record({
  first_contact: fc.boolean(),
  correspondent: fc.boolean(),
  sender_age: age,
  domain_age: age,
  sender_messages_per_day: count,
  domain_messages_per_day: count,
  messages_to_recipient_per_day: count,
  sender_bytes_per_day: fc.double({ min: 0, max: 1e13, noNaN: true }),
  recipient_strangers_per_day: count,
  recipient_strangers_usual: count,
  failed_attempts_per_day: count,
  failed_logins_per_day: count,
  message_type: fc.constantFrom('email', 'short-message', 'secret-ed25519', 'x-custom-a'),
});

/** Steps whose bits rise with their thresholds (`over`) or fall (`under`), as the schema demands. */
function row(word: 'over' | 'under', unit: string): fc.Arbitrary<Record<string, number>> {
  const bits = fc.array(fc.integer({ min: 0, max: 28 }), { maxLength: 5 });
  const at = fc.uniqueArray(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 5, maxLength: 5 });
  return fc.tuple(bits, at).map(([added, thresholds]) => {
    const falling = added.toSorted((a, b) => (word === 'over' ? a - b : b - a));
    const rising = thresholds.toSorted((a, b) => a - b);
    return Object.fromEntries(falling.map((value, index) => [`${word} ${rising[index]}${unit}`, value]));
  });
}

const policies: fc.Arbitrary<PowPolicy> = fc
  .record({
    limits: fc.uniqueArray(fc.integer({ min: 1, max: 28 }), { minLength: 3, maxLength: 3 }),
    first_contact: fc.integer({ min: 0, max: 28 }),
    correspondent: fc.integer({ min: -28, max: 0 }),
    sender_age: row('under', 'm'),
    domain_age: row('under', 'd'),
    sender_messages_per_day: row('over', ''),
    domain_messages_per_day: row('over', ''),
    messages_to_recipient_per_day: row('over', ''),
    sender_bytes_per_day: row('over', 'MiB'),
    recipient_load: row('over', 'x'),
    recipient_normal_per_day: fc.integer({ min: 1, max: 1_000 }),
    failed_attempts_per_day: row('over', ''),
    failed_logins_per_day: row('over', ''),
  })
  .map(({ limits, ...rows }) => {
    const [floor, base, ceiling] = limits.toSorted((a, b) => a - b);
    return powPolicySchema.parse({ ...rows, floor, base, ceiling });
  });

describe('every table that passes', () => {
  it('asks between floor and ceiling, and never nothing', () => {
    fc.assert(
      fc.property(policies, facts, (policy, some) => {
        const { bits } = evaluatePolicy(policy, some);
        expect(bits).toBeGreaterThanOrEqual(policy.floor);
        expect(bits).toBeLessThanOrEqual(policy.ceiling);
        expect(bits).toBeGreaterThan(0);
      }),
    );
  });

  const DEARER = [
    'first_contact',
    'sender_messages_per_day',
    'domain_messages_per_day',
    'messages_to_recipient_per_day',
    'sender_bytes_per_day',
    'recipient_strangers_per_day',
    'failed_attempts_per_day',
    'failed_logins_per_day',
  ] as const;
  const CHEAPER = ['correspondent', 'sender_age', 'domain_age', 'recipient_strangers_usual'] as const;
  it.each([...DEARER, ...CHEAPER])('is monotone in %s', (name) => {
    fc.assert(
      fc.property(policies, facts, facts, (policy, some, other) => {
        const [less, more] = [some[name], other[name]].sort((a, b) => Number(a) - Number(b));
        const before = evaluatePolicy(policy, { ...some, [name]: less }).bits;
        const after = evaluatePolicy(policy, { ...some, [name]: more }).bits;
        if ((DEARER as readonly string[]).includes(name)) expect(after).toBeGreaterThanOrEqual(before);
        else expect(after).toBeLessThanOrEqual(before);
      }),
    );
  });
});

function mistakesOf(...lines: string[]): readonly string[] {
  try {
    parseConfig(['proof_of_work:', '  policy:', ...lines.map((line) => `    ${line}`)].join('\n'), 'bridge.yaml');
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

describe('the table in the configuration', () => {
  it('takes plus signs, keeps the default of what is not there, and can switch rows off', () => {
    const text = 'proof_of_work: { policy: { first_contact: +3, sender_age: {}, domain_age: { under 2h: +4 } } }';
    const { policy, zero_bits } = parseConfig(text, 'bridge.yaml').proof_of_work;
    expect(zero_bits).toBeNull();
    expect(policy).toEqual({
      ...DEFAULT,
      first_contact: 3,
      sender_age: [],
      domain_age: [{ at: 7_200_000, bits: 4, label: 'under 2h' }],
    });
  });

  it('reports every mistake with its place', () => {
    const mistakes = mistakesOf(
      'sender_age: { under 1 day: +1, under 2d: -1 }',
      'domain_age: { under 1h: +1, under 1d: +2 }',
      'sender_messages_per_day: { more than 5: +1, over 10: +2, over 20: +1, over 010: +2 }',
      'recipient_load: { over 3: +1, over 4x: 1.5 }',
      'sender_bytes_per_day: { over 10MB: +1, over 1GiB: many }',
      'first_contact: -1',
      'correspondent: 1',
      'base: 29',
      'message_type: { Email: +1 }',
      'sender_mood: { over 9000: +1 }',
      'failed_logins_per_day: 3',
    );
    const policy = 'proof_of_work.policy';
    expect(mistakes.toSorted()).toEqual(
      [
        `bridge.yaml:3:32: ${policy}.sender_age.under 1 day: is not a step such as "under 1d: +1"`,
        `bridge.yaml:3:46: ${policy}.sender_age.under 2d: is not a number of bits from 0 to 28`,
        `bridge.yaml:4:43: ${policy}.domain_age.under 1d: asks more than "under 1h"`,
        `bridge.yaml:5:45: ${policy}.sender_messages_per_day.more than 5: is not a step such as "over 50: +1"`,
        `bridge.yaml:5:71: ${policy}.sender_messages_per_day.over 20: asks less than "over 010"`,
        `bridge.yaml:5:85: ${policy}.sender_messages_per_day.over 010: says the same as "over 10"`,
        `bridge.yaml:6:31: ${policy}.recipient_load.over 3: is not a step such as "over 3x: +1"`,
        `bridge.yaml:6:44: ${policy}.recipient_load.over 4x: is not a number of bits from 0 to 28`,
        `bridge.yaml:7:40: ${policy}.sender_bytes_per_day.over 10MB: is not a step such as "over 100MiB: +1"`,
        `bridge.yaml:7:55: ${policy}.sender_bytes_per_day.over 1GiB: is not a number of bits from 0 to 28`,
        `bridge.yaml:8:20: ${policy}.first_contact: is not a number of bits from 0 to 28`,
        `bridge.yaml:9:20: ${policy}.correspondent: is not a number of bits from -28 to 0`,
        `bridge.yaml:10:11: ${policy}.base: is not a number of bits from 1 to 28`,
        `bridge.yaml:11:28: ${policy}.message_type.Email: is neither a message type nor the beginning of one and a *`,
        `bridge.yaml:12:18: ${policy}.sender_mood: no such setting`,
        `bridge.yaml:13:28: ${policy}.failed_logins_per_day: is not a row of steps such as {over 50: +1}`,
      ].toSorted(),
    );
  });

  it.each([
    ['floor: 19', 'bridge.yaml:3:12: proof_of_work.policy.floor: 19 is more than the base, 17'],
    ['ceiling: 16', 'bridge.yaml:3:14: proof_of_work.policy.ceiling: 16 is less than the base, 17'],
    ['base: 9', 'bridge.yaml:3:5: proof_of_work.policy.floor: 10 is more than the base, 9'],
    ['floor: 23', 'bridge.yaml:3:12: proof_of_work.policy.floor: 23 is more than the ceiling, 22'],
  ])('holds floor, base and ceiling against one another: %s', (line, mistake) => {
    expect(mistakesOf(line)).toEqual([mistake]);
  });

  it('keeps tables to a length that a person can follow', () => {
    const row = (word: string, length: number): string =>
      Array.from({ length }, (_, index) => `${word}${index}: +1`).join(', ');
    expect(mistakesOf(`failed_logins_per_day: { ${row('over ', 16)} }`)).toEqual([]);
    expect(mistakesOf(`failed_logins_per_day: { ${row('over ', 17)} }`)).toHaveLength(1);
    expect(mistakesOf(`message_type: { ${row('x-', 64)} }`)).toEqual([]);
    expect(mistakesOf(`message_type: { ${row('x-', 65)} }`)).toHaveLength(1);
  });
});

describe('counts that forget', () => {
  it('keep a third after a day, nothing after thirty, and never grow', () => {
    expect(worn(100, DAY_MS, 1)).toBeCloseTo(100 / Math.E, 9);
    expect(worn(100, 30 * DAY_MS, 1)).toBeGreaterThan(0);
    expect(worn(100, 30 * DAY_MS + 1, 1)).toBe(0);
    expect(worn(100, -DAY_MS, 1)).toBe(100);
    expect(worn(0.0099, 0, 1)).toBe(0);
    expect(worn(100, 30 * DAY_MS, 30)).toBeCloseTo(100 / Math.E, 9);
  });

  it('say how many messages a day somebody sends who keeps sending', () => {
    const ledger = new PowLedger();
    const pair = { sender: 'alice#acme.test', recipient: 'bob#here.test', messageType: 'email' };
    const asked = Array.from({ length: 300 }, (_, index) => ledger.ask({ ...pair, now: (index * DAY_MS) / 20 }));
    expect(asked.at(-1)?.sender_messages_per_day).toBeCloseTo(20.5, 1);
  });

  it('let one sender add at most its share to the count of its domain', () => {
    const ledger = new PowLedger();
    const ask = (sender: string) => ledger.ask({ sender, recipient: 'bob#here.test', messageType: 'email', now: 0 });
    for (let index = 0; index < 500; index += 1) ask('mallory#acme.test');
    expect(ask('alice#acme.test').domain_messages_per_day).toBe(101);
  });
});

describe('the simulation', () => {
  const speed = { hashesPerSecond: 1e7, serverSecondsPerMessage: 0.002 };
  const results = simulatePolicy(DEFAULT, speed);
  const of = (name: string) => results.find((result) => result.name === name) ?? expect.fail(name);

  it('plays every scenario and adds up', () => {
    expect(results.map(({ name }) => name)).toEqual(SCENARIOS.map(({ name }) => name));
    for (const result of results) {
      expect(result.leastBits).toBeGreaterThanOrEqual(DEFAULT.floor);
      expect(result.mostBits).toBeLessThanOrEqual(DEFAULT.ceiling);
      expect(result.senderCpuSeconds).toBeGreaterThanOrEqual((result.messages * 2 ** result.leastBits) / 1e7);
      expect(result.senderCpuSeconds).toBeLessThanOrEqual((result.messages * 2 ** result.mostBits) / 1e7);
      expect(result.senderCpuSecondsPerMessage * result.messages).toBeCloseTo(result.senderCpuSeconds, 6);
      expect(result.serverCpuSeconds).toBeCloseTo(result.messages * 0.002, 9);
    }
  });

  it('lets people who write to each other pay next to nothing, and floods more than anybody', () => {
    const average = (name: string): number => of(name).senderCpuSecondsPerMessage;
    expect(average('correspondent')).toBeLessThan(average('acquaintance') / 10);
    expect(average('acquaintance')).toBeLessThan(average('office'));
    expect(average('newsletter')).toBeLessThan(average('new person'));
    for (const flood of ['flood, 1 sender', 'flood, 10,000 senders', 'flood, 10,000 domains', 'flood, 1 victim']) {
      expect(of(flood)).toMatchObject({ messages: 100_000, mostBits: DEFAULT.ceiling });
      expect(average(flood)).toBeGreaterThan(average('new person'));
      expect(average(flood)).toBeGreaterThan(100 * average('correspondent'));
      expect(of(flood).senderCpuSeconds).toBeGreaterThan(100 * of(flood).serverCpuSeconds);
    }
  });

  it('knows exactly what a constant asks', () => {
    const small = SCENARIOS.filter(({ name }) => !name.startsWith('flood'));
    for (const result of simulatePolicy(constantPolicy(10), { ...speed, hashesPerSecond: 1024 }, small)) {
      expect(result).toMatchObject({ leastBits: 10, mostBits: 10, senderCpuSeconds: result.messages });
    }
  });
});
