/**
 * What is shown of deliveries that are not over: one message for each submission and state, with the people it is in this
 * state for. Everything that is shown is in its fingerprint, so another state is another message.
 */

import type { OutboxInput, OutboxState } from '../mime/outbox.ts';
import type { Explanation } from '../pipeline/reasons.ts';
import { explainRetried, type Reason } from '../pipeline/reasons.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import { hash } from '../smimp/crypto.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { WaitingDelivery } from '../store/outbox.ts';

export interface OutboxEntry {
  readonly fingerprint: Buffer;
  readonly submissionId: number;
  readonly state: OutboxState;
  /** All of one submission. */
  readonly deliveries: readonly WaitingDelivery[];
}

export function outboxEntries(waiting: readonly WaitingDelivery[]): OutboxEntry[] {
  const groups = new Map<string, { state: OutboxState; deliveries: WaitingDelivery[] }>();
  for (const delivery of waiting) {
    const state = stateOf(delivery);
    const key = `${delivery.submission_id} ${state}`;
    const group = groups.get(key) ?? { state, deliveries: [] };
    group.deliveries.push(delivery);
    groups.set(key, group);
  }
  return [...groups.values()].map((group) => ({
    ...group,
    submissionId: group.deliveries[0]?.submission_id ?? 0,
    fingerprint: fingerprintOf(group),
  }));
}

function stateOf({ stage, error_code }: WaitingDelivery): OutboxState {
  if (stage === 'held') return 'held';
  return error_code === null ? 'queued' : 'retrying';
}

/** Only of what waits for a time: what is due is looked at now. */
const nextAttemptOf = (delivery: WaitingDelivery): number | null =>
  stateOf(delivery) === 'queued' ? null : seconds(delivery.next_attempt_at);

function fingerprintOf({ state, deliveries }: Pick<OutboxEntry, 'state' | 'deliveries'>): Buffer {
  const facts = deliveries.map((delivery) => [
    ...[delivery.id, delivery.recipient, delivery.error_code],
    ...[nextAttemptOf(delivery), seconds(delivery.deadline_at)],
  ]);
  return Buffer.from(hash(pae([text('smimp-bridge/outbox/1'), text(state), text(JSON.stringify(facts))])));
}

/** What the message says. `body`: of the message on its way, null when it is none that people read. */
export function outboxInput(
  entry: Pick<OutboxEntry, 'fingerprint' | 'deliveries' | 'state'>,
  { sender, body }: { sender: Address; body: OutboxInput['original']['body'] },
): OutboxInput {
  const [first] = entry.deliveries;
  if (first === undefined) throw new RangeError('a message to nobody');
  return {
    sender,
    state: entry.state,
    recipients: entry.deliveries.map((delivery) => recipientOf(delivery, entry.state)),
    submitted: seconds(first.submitted_at),
    deadline: seconds(first.deadline_at),
    fingerprint: toHex<Hex32>(entry.fingerprint),
    original: { uid: toHex<Hex32>(first.uid), body },
  };
}

function recipientOf(delivery: WaitingDelivery, state: OutboxState) {
  const mailbox = toMailbox(delivery.recipient as Address);
  if (state === 'cancelled') return { mailbox, reason: null, nextAttempt: null };
  return { mailbox, reason: reasonOf(delivery, mailbox), nextAttempt: nextAttemptOf(delivery) };
}

function reasonOf({ error_code }: WaitingDelivery, mailbox: string): Explanation | null {
  return error_code === null ? null : explainRetried(error_code as Reason, mailbox);
}

const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);
