/**
 * The facts of the policy, counted in memory: what src/store/pow-facts.ts does in tables, for the simulation. A test gives
 * both the same events and expects the same facts.
 */
import type { PowFacts } from './pow-policy.ts';
import { DAY_MEMORY, MONTH_MEMORY, worn } from './wear.ts';

/**
 * What one sender can add to the count of its domain in a day. Its own row makes a busier one pay; its neighbours, who can
 * do nothing about it, shall not.
 */
export const MAX_DOMAIN_SHARE = 100;

interface Count {
  value: number;
  at: number;
}

interface Sender {
  firstStored: number | null;
  asked: Count;
  bytes: Count;
  failures: Count;
  failedLogins: Count;
}

interface Domain {
  firstStored: number | null;
  asked: Count;
}

interface Contact {
  asked: Count;
  received: boolean;
  written: boolean;
}

interface Recipient {
  strangers: Count;
  strangersMonth: Count;
}

export interface Pair {
  sender: string;
  recipient: string;
}

const none = (at: number): Count => ({ value: 0, at });

function left(count: Count, now: number, memoryDays = DAY_MEMORY): number {
  return worn(count.value, now - count.at, memoryDays);
}

function add(count: Count, amount: number, now: number, memoryDays = DAY_MEMORY): number {
  count.value = left(count, now, memoryDays) + amount;
  count.at = Math.max(count.at, now);
  return count.value;
}

function entry<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}

/** Times are in milliseconds. */
export class PowLedger {
  readonly #senders = new Map<string, Sender>();
  readonly #domains = new Map<string, Domain>();
  readonly #contacts = new Map<string, Contact>();
  readonly #recipients = new Map<string, Recipient>();

  /** A message is asked for: counts it and gives the facts, it included. */
  ask({ sender, recipient, messageType, now }: Pair & { messageType: string; now: number }): PowFacts {
    const from = this.#sender(sender, now);
    const asked = add(from.asked, 1, now);
    const domain = this.#domain(sender, now);
    const domainAsked = add(domain.asked, asked <= MAX_DOMAIN_SHARE ? 1 : 0, now);
    const contact = this.#contact({ sender, recipient }, now);
    const load = this.#recipients.get(recipient);
    return {
      first_contact: !contact.received && !contact.written,
      correspondent: contact.written,
      sender_age: now - (from.firstStored ?? now),
      domain_age: now - (domain.firstStored ?? now),
      sender_messages_per_day: asked,
      domain_messages_per_day: domainAsked,
      messages_to_recipient_per_day: add(contact.asked, 1, now),
      sender_bytes_per_day: left(from.bytes, now),
      recipient_strangers_per_day: load === undefined ? 0 : left(load.strangers, now),
      recipient_strangers_usual: load === undefined ? 0 : left(load.strangersMonth, now, MONTH_MEMORY) / MONTH_MEMORY,
      failed_attempts_per_day: left(from.failures, now),
      failed_logins_per_day: left(from.failedLogins, now),
      message_type: messageType,
    };
  }

  /** A message was stored. It loads the recipient unless that one once wrote to the sender. */
  store({ sender, recipient, sizeBytes, now }: Pair & { sizeBytes: number; now: number }): void {
    const [from, domain] = [this.#sender(sender, now), this.#domain(sender, now)];
    add(from.bytes, sizeBytes, now);
    from.firstStored ??= now;
    domain.firstStored ??= now;
    const contact = this.#contact({ sender, recipient }, now);
    contact.received = true;
    if (contact.written) return;
    const load = entry(this.#recipients, recipient, () => ({ strangers: none(now), strangersMonth: none(now) }));
    add(load.strangers, 1, now);
    add(load.strangersMonth, 1, now, MONTH_MEMORY);
  }

  /** The recipient's own message to the sender arrived. */
  write(pair: Pair & { now: number }): void {
    this.#contact(pair, pair.now).written = true;
  }

  /** Something of the sender was refused. Who was never seen is not counted. */
  fail({ sender, what, now }: { sender: string; what: 'attempt' | 'login'; now: number }): void {
    const known = this.#senders.get(sender);
    if (known !== undefined) add(what === 'attempt' ? known.failures : known.failedLogins, 1, now);
  }

  #sender(address: string, now: number): Sender {
    return entry(this.#senders, address, () => ({
      firstStored: null,
      asked: none(now),
      bytes: none(now),
      failures: none(now),
      failedLogins: none(now),
    }));
  }

  #domain(sender: string, now: number): Domain {
    return entry(this.#domains, domainOf(sender), () => ({ firstStored: null, asked: none(now) }));
  }

  #contact({ sender, recipient }: Pair, now: number): Contact {
    return entry(this.#contacts, `${sender} ${recipient}`, () => ({
      asked: none(now),
      received: false,
      written: false,
    }));
  }
}

const domainOf = (address: string): string => address.slice(address.indexOf('#') + 1);
