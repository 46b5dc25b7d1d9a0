/**
 * The policy as it stands in the configuration: checked so that what `evaluatePolicy` promises holds for every table that
 * passes. A row that is not there has its default; `{}` or 0 switches a row off.
 */
import { z } from 'zod';
import { ASK_OPERATOR_ABOVE_BITS, MAX_CLIENT_BITS } from '../smimp/pow.ts';
import type { PowPolicy, Step } from './pow-policy.ts';
import { parseQuantity, SIZE_UNITS, TIME_UNITS, type Units } from './quantity.ts';

/** Enough for any table that a person can follow. */
const MAX_STEPS = 16;
const MAX_TYPES = 64;

interface Quantity {
  units: Units;
  bare: number | null;
  example: string;
}

const COUNT: Quantity = { units: {}, bare: 1, example: '50' };
const TIME: Quantity = { units: TIME_UNITS, bare: null, example: '1d' };
const SIZE: Quantity = { units: SIZE_UNITS, bare: 1, example: '100MiB' };
const MULTIPLE: Quantity = { units: { x: 1 }, bare: null, example: '3x' };

/** Clients refuse more than this (§4.3), so more bits anywhere mean nothing. */
function bits(least: number, most: number) {
  const error = `is not a number of bits from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}
const added = bits(0, MAX_CLIENT_BITS);

/** `{over 50: +1, over 200: +2}`: the highest threshold that is passed counts, alone. */
const over = (quantity: Quantity) => steps('over', quantity);
/** `{under 1h: +2, under 1d: +1}`: the lowest threshold that is not reached counts, alone. */
const under = (quantity: Quantity) => steps('under', quantity);

function steps(word: 'over' | 'under', { units, bare, example }: Quantity) {
  const error = `is not a row of steps such as {${word} ${example}: +1}`;
  return z.record(z.string(), z.unknown(), { error }).transform((row, context): Step[] => {
    const mistake = (message: string, ...path: string[]): void => context.addIssue({ code: 'custom', message, path });
    const found: Step[] = [];
    for (const [label, value] of Object.entries(row)) {
      const at = label.startsWith(`${word} `) ? parseQuantity(label.slice(word.length + 1), units, bare) : null;
      const bits = added.safeParse(value);
      if (at === null) mistake(`is not a step such as "${word} ${example}: +1"`, label);
      if (!bits.success) mistake(bits.error.issues[0]?.message ?? '', label);
      if (at !== null && bits.success) found.push({ at, bits: bits.data, label });
    }
    if (Object.keys(row).length > MAX_STEPS) mistake(`has more than ${MAX_STEPS} steps`);
    const sorted = found.sort((a, b) => a.at - b.at);
    for (const [index, step] of sorted.slice(1).entries()) {
      const contradiction = contradictionOf(word, sorted[index] as Step, step);
      if (contradiction !== null) mistake(contradiction, step.label);
    }
    return sorted;
  });
}

/** What is wrong with `step` after the one below it; null when nothing is. */
function contradictionOf(word: 'over' | 'under', below: Step, step: Step): string | null {
  if (step.at === below.at) return `says the same as "${below.label}"`;
  if (word === 'over' && step.bits < below.bits) return `asks less than "${below.label}"`;
  if (word === 'under' && step.bits > below.bits) return `asks more than "${below.label}"`;
  return null;
}

const TYPE_PATTERN = /^[a-z0-9-]{1,64}$|^[a-z0-9-]{0,63}\*$/;

const messageTypes = z
  .record(z.string(), bits(-MAX_CLIENT_BITS, MAX_CLIENT_BITS))
  .superRefine((types, { addIssue }) => {
    const labels = Object.keys(types);
    if (labels.length > MAX_TYPES) addIssue({ code: 'custom', message: `has more than ${MAX_TYPES} types` });
    const message = 'is neither a message type nor the beginning of one and a *';
    for (const label of labels) if (!TYPE_PATTERN.test(label)) addIssue({ code: 'custom', message, path: [label] });
  });

export const powPolicySchema = z
  .strictObject({
    base: bits(1, MAX_CLIENT_BITS).default(17),
    floor: bits(1, MAX_CLIENT_BITS).default(10),
    ceiling: bits(1, MAX_CLIENT_BITS).default(ASK_OPERATOR_ABOVE_BITS),
    first_contact: added.default(2),
    correspondent: bits(-MAX_CLIENT_BITS, 0).default(-5),
    sender_age: under(TIME).prefault({ 'under 7d': 1 }),
    domain_age: under(TIME).prefault({ 'under 7d': 1 }),
    sender_messages_per_day: over(COUNT).prefault({ 'over 50': 1, 'over 500': 2, 'over 2000': 3, 'over 10000': 5 }),
    domain_messages_per_day: over(COUNT).prefault({ 'over 5000': 1, 'over 20000': 2, 'over 100000': 3 }),
    messages_to_recipient_per_day: over(COUNT).prefault({ 'over 20': 1, 'over 100': 3 }),
    sender_bytes_per_day: over(SIZE).prefault({ 'over 200MiB': 1, 'over 1GiB': 2, 'over 5GiB': 3 }),
    recipient_load: over(MULTIPLE).prefault({ 'over 2x': 1, 'over 5x': 2, 'over 20x': 3 }),
    recipient_normal_per_day: z.int().min(1).max(1_000_000).default(20),
    failed_attempts_per_day: over(COUNT).prefault({ 'over 5': 1, 'over 20': 3, 'over 100': 5 }),
    failed_logins_per_day: over(COUNT).prefault({ 'over 20': 1 }),
    message_type: messageTypes.prefault({ 'secret-*': 2 }),
  })
  .superRefine(({ base, floor, ceiling }, context) => {
    const mistake = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', message, path: [path] });
    if (floor > ceiling) mistake('floor', `${floor} is more than the ceiling, ${ceiling}`);
    else if (base < floor) mistake('floor', `${floor} is more than the base, ${base}`);
    else if (base > ceiling) mistake('ceiling', `${ceiling} is less than the base, ${base}`);
  }) satisfies z.ZodType<PowPolicy, unknown>;
