/**
 * What a message costs: from a table of rows and what is known of its sender and recipient to a number of zero bits
 * (SMIMP 0.1 §4.3). Every row adds bits to the base, and the sum is kept between floor and ceiling. Pure.
 *
 * Invariants: more of a fact that is counted never makes a message cheaper, an older acquaintance never makes it dearer;
 * and 0 bits are asked only by a policy that says so.
 */

/** Facts about one message that is asked for. Counts are of the last day, older ones worn down (see wear.ts). */
export interface PowFacts {
  /** Nothing was ever stored here from this sender for this recipient, and the recipient never wrote to the sender. */
  first_contact: boolean;
  /** The recipient wrote to the sender, and it arrived. */
  correspondent: boolean;
  /** Since this server first stored a message of the sender, and of anybody of its domain, in milliseconds; 0 before. */
  sender_age: number;
  domain_age: number;
  /** Messages asked for, this one included: by the sender to anybody here, by all of its domain, to this recipient. */
  sender_messages_per_day: number;
  domain_messages_per_day: number;
  messages_to_recipient_per_day: number;
  /** Of messages stored from this sender. The size of this one is not known yet. */
  sender_bytes_per_day: number;
  /** Messages stored for the recipient from people it never wrote to: now, and on a usual day of the last month. */
  recipient_strangers_per_day: number;
  recipient_strangers_usual: number;
  /** Messages of this sender that were refused as bad_pow, bad_key or bad_signature. */
  failed_attempts_per_day: number;
  /** Logins in the sender's name that failed; anybody can cause them. */
  failed_logins_per_day: number;
  message_type: string;
}

/** `over`: from more than `at`. `under`: below `at`. Rows hold their steps sorted by `at`. */
export interface Step {
  at: number;
  bits: number;
  /** As it stands in the configuration. */
  label: string;
}

export interface PowPolicy {
  base: number;
  floor: number;
  ceiling: number;
  first_contact: number;
  correspondent: number;
  sender_age: readonly Step[];
  domain_age: readonly Step[];
  sender_messages_per_day: readonly Step[];
  domain_messages_per_day: readonly Step[];
  messages_to_recipient_per_day: readonly Step[];
  sender_bytes_per_day: readonly Step[];
  /** In multiples of a usual day. */
  recipient_load: readonly Step[];
  /** A recipient's usual day is never taken for less than this. */
  recipient_normal_per_day: number;
  failed_attempts_per_day: readonly Step[];
  failed_logins_per_day: readonly Step[];
  /** By type; one that ends in `*` is for all types that begin so. */
  message_type: Readonly<Record<string, number>>;
}

/** A row that applies, the step of it, and what it adds. */
export interface AppliedRow {
  row: keyof PowPolicy;
  step: string | null;
  bits: number;
}

export interface Price {
  bits: number;
  base: number;
  /** Base and rows, before floor and ceiling. */
  sum: number;
  rows: AppliedRow[];
}

const UNDER_ROWS = ['sender_age', 'domain_age'] as const;
const OVER_ROWS = [
  'sender_messages_per_day',
  'domain_messages_per_day',
  'messages_to_recipient_per_day',
  'sender_bytes_per_day',
  'failed_attempts_per_day',
  'failed_logins_per_day',
] as const;

/** The price of a message with these facts. */
export function evaluatePolicy(policy: PowPolicy, facts: PowFacts): Price {
  const rows = [
    flag('first_contact', facts.first_contact, policy),
    flag('correspondent', facts.correspondent, policy),
    ...UNDER_ROWS.map((row) => applied(row, stepUnder(policy[row], facts[row]))),
    ...OVER_ROWS.map((row) => applied(row, stepOver(policy[row], facts[row]))),
    applied('recipient_load', stepOver(policy.recipient_load, recipientLoad(policy, facts))),
    applied('message_type', typeStep(policy.message_type, facts.message_type)),
  ].filter(({ bits }) => bits !== 0);
  const sum = rows.reduce((bits, row) => bits + row.bits, policy.base);
  return { bits: Math.min(policy.ceiling, Math.max(policy.floor, sum)), base: policy.base, sum, rows };
}

/** How many of its usual days a recipient has received in the last one from people it never wrote to. */
export function recipientLoad(policy: PowPolicy, facts: PowFacts): number {
  return facts.recipient_strangers_per_day / Math.max(policy.recipient_normal_per_day, facts.recipient_strangers_usual);
}

/** The policy that a configuration means: a number of bits wins over the table. */
export function policyOf(settings: { zero_bits: number | null; policy: PowPolicy }): PowPolicy {
  return settings.zero_bits === null ? settings.policy : constantPolicy(settings.zero_bits);
}

/** Asks the same of everybody. */
export function constantPolicy(bits: number): PowPolicy {
  return {
    base: bits,
    floor: bits,
    ceiling: bits,
    first_contact: 0,
    correspondent: 0,
    sender_age: [],
    domain_age: [],
    sender_messages_per_day: [],
    domain_messages_per_day: [],
    messages_to_recipient_per_day: [],
    sender_bytes_per_day: [],
    recipient_load: [],
    recipient_normal_per_day: 1,
    failed_attempts_per_day: [],
    failed_logins_per_day: [],
    message_type: {},
  };
}

function flag(row: 'first_contact' | 'correspondent', holds: boolean, policy: PowPolicy): AppliedRow {
  return { row, step: null, bits: holds ? policy[row] : 0 };
}

function applied(row: keyof PowPolicy, step: Pick<Step, 'bits' | 'label'> | undefined): AppliedRow {
  return { row, step: step?.label ?? null, bits: step?.bits ?? 0 };
}

/** The highest threshold that is exceeded. */
const stepOver = (steps: readonly Step[], value: number): Step | undefined => steps.findLast(({ at }) => value > at);

/** The lowest threshold that is not reached. */
const stepUnder = (steps: readonly Step[], value: number): Step | undefined => steps.find(({ at }) => value < at);

/** The type's own entry, else the longest that it begins with. */
function typeStep(types: PowPolicy['message_type'], type: string): Pick<Step, 'bits' | 'label'> | undefined {
  const fits = (label: string): boolean => label.endsWith('*') && type.startsWith(label.slice(0, -1));
  const label = Object.hasOwn(types, type)
    ? type
    : Object.keys(types)
        .filter(fits)
        .sort((a, b) => b.length - a.length)[0];
  return label === undefined ? undefined : { label, bits: types[label] ?? 0 };
}
