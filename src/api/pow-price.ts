/**
 * The price of a message (SMIMP 0.1 §4.3): nothing for accounts of this server and for whom the recipient whitelisted, else
 * what the policy says of the facts. Also where refusals are counted.
 *
 * What a sender learns from the bits: whether it is whitelisted, roughly what it and its domain sent here, and how far the
 * recipient's load by strangers is above the usual. What the recipient does with mail (reads, moves, deletes it) is no fact:
 * the bits would tell the sender.
 */
import { evaluatePolicy, type PowFacts, type Price } from '../policy/pow-policy.ts';
import { type Address, addressParts } from '../smimp/address.ts';
import type { Db, Tx } from '../store/database.ts';
import { countAsked, countFailure } from '../store/pow-facts.ts';
import type { ApiServices } from './call.ts';
import { ApiError } from './errors.ts';
import { listDecision } from './lists.ts';

export interface PriceQuestion {
  sender: Address;
  recipient: Address;
  /** Of the recipient. */
  accountId: number;
  messageType: string;
  now: Date;
}

/** What one message costs, and by which rule. */
export type PriceDecision =
  | { rule: 'home'; bits: 0 }
  | { rule: 'whitelist'; bits: 0 }
  | { rule: 'policy'; bits: number; facts: PowFacts; price: Price };

type PriceServices = Pick<ApiServices, 'domains' | 'powPolicy'>;

/** Decides the price of one message, and counts it. */
export async function decidePrice(tx: Tx, services: PriceServices, ask: PriceQuestion): Promise<PriceDecision> {
  const { sender, recipient, accountId, messageType, now } = ask;
  if (services.domains.includes(addressParts(sender).domain)) return { rule: 'home', bits: 0 };
  if ((await listDecision(tx, { accountId, owner: recipient, sender })) === 'accept')
    return { rule: 'whitelist', bits: 0 };
  const facts = { ...(await countAsked(tx, { sender, recipient, now })), message_type: messageType };
  const price = evaluatePolicy(services.powPolicy, facts);
  return { rule: 'policy', bits: price.bits, facts, price };
}

/** What the next message would cost, and why. Counts nothing: the same decision, undone. */
export async function explainPrice(db: Db, services: PriceServices, ask: PriceQuestion): Promise<PriceDecision> {
  const tx = await db.startTransaction().execute();
  try {
    return await decidePrice(tx, services, ask);
  } finally {
    await tx.rollback().execute();
  }
}

const COUNTED_REFUSALS: ReadonlySet<string> = new Set(['bad_pow', 'bad_key', 'bad_signature']);

/** Counts what was refused because the sender did it wrong. Not in the transaction that is undone. */
export async function countingRefusals<Result>(
  db: Db,
  by: { sender: string; now: Date },
  work: Promise<Result>,
): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ApiError && COUNTED_REFUSALS.has(error.code))
      await countFailure(db, { ...by, what: 'attempt' });
    throw error;
  }
}

/** Counts logins in somebody's name that failed. Anybody can cause them, so they weigh little. */
export async function countingLogins<Result>(
  db: Db,
  as: { sender: string; now: Date },
  work: Promise<Result>,
): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ApiError && error.code === 'unauthorized') await countFailure(db, { ...as, what: 'login' });
    throw error;
  }
}
