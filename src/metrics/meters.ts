/**
 * What an operator watches, as Prometheus metrics. Counted from the events of the log, in this one place: an event that is
 * not in the table below counts nothing. Labels are codes of closed lists; never an address, an id or a name.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Meter } from '../events.ts';

export interface Meters {
  readonly registry: Registry;
  readonly meter: Meter;
}

/** From a stage that only reads to one that waits for a slow server. */
const SECONDS = [0.01, 0.05, 0.25, 1, 5, 30, 120];
/** Zero bits of a proof: a client refuses above 28 (SMIMP 0.1 §4.3). */
const BITS = [0, 4, 8, 12, 16, 18, 20, 22, 24, 26, 28];
/** Message types that are defined; senders choose the names of the others. */
const KNOWN_TYPES: ReadonlySet<string> = new Set(['email', 'short-message']);

type Facts = Parameters<Meter>[1];
type Counting = (facts: Facts) => void;

export function createMeters(): Meters {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'smimp_' });
  const table = { ...mailCounters(registry), ...doorCounters(registry), ...trustCounters(registry) };
  const known = new Map<string, Counting>(Object.entries(table));
  return { registry, meter: (event, facts) => known.get(event)?.(facts) };
}

/** Counts one for the values of `labels`, which are names of facts. */
function counting(registry: Registry, name: string, help: string, labels: readonly string[] = []): Counting {
  const counter = new Counter({ name: `smimp_${name}`, help, labelNames: [...labels], registers: [registry] });
  return (facts) => counter.inc(Object.fromEntries(labels.map((label) => [label, String(facts[label] ?? '')])));
}

function timing(registry: Registry, name: string, help: string, label: string): Counting {
  const settings = { name: `smimp_${name}`, help, labelNames: [label], buckets: SECONDS, registers: [registry] };
  const histogram = new Histogram(settings);
  return (facts) => histogram.observe({ [label]: String(facts[label] ?? '') }, Number(facts.durationMs ?? 0) / 1000);
}

/** Mail on its way out and in. */
function mailCounters(registry: Registry): Record<string, Counting> {
  const submitted = counting(registry, 'submissions_total', 'Messages taken from mail programs.', ['repeated']);
  const stages = counting(registry, 'delivery_stages_total', 'Stages that deliveries passed.', ['stage']);
  const stageSeconds = timing(registry, 'delivery_stage_seconds', 'How long stages took.', 'stage');
  const bits = new Histogram({
    name: 'smimp_proof_of_work_bits',
    help: 'Zero bits of the proofs that were minted here.',
    buckets: BITS,
    registers: [registry],
  });
  const failures = ['stage', 'code', 'disposition'];
  const received = counting(registry, 'messages_received_total', 'Messages that other servers and clients handed in.', [
    'type',
  ]);
  return {
    submission_accepted: submitted,
    recipient_refused: counting(registry, 'recipients_refused_total', 'Recipients refused at RCPT, by reason.', [
      'code',
    ]),
    stage_done(facts) {
      stages(facts);
      stageSeconds(facts);
      if (typeof facts.zeroBits === 'number') bits.observe(facts.zeroBits);
    },
    stage_failed: counting(registry, 'delivery_failures_total', 'Stages of deliveries that failed, by code.', failures),
    delivery_ended: counting(registry, 'deliveries_ended_total', 'Deliveries that are over.', ['outcome']),
    legacy_mail_accepted: counting(registry, 'mail_from_outside_total', 'Messages taken in from the old internet.', [
      'authenticated',
      'dmarc',
    ]),
    legacy_mail_refused: counting(
      registry,
      'mail_from_outside_refused_total',
      'Messages of the old internet that were refused, by reason.',
      ['code'],
    ),
    relayed: counting(
      registry,
      'relayed_total',
      'Messages handed to servers of the old internet, by their encryption.',
      ['encrypted', 'verified'],
    ),
    notice_sent: counting(registry, 'delivery_notices_total', 'Notices about late, held or failed messages.', ['kind']),
    message_received: ({ messageType }) =>
      received({ type: KNOWN_TYPES.has(String(messageType)) ? String(messageType) : 'other' }),
    message_opened: counting(
      registry,
      'messages_opened_total',
      'Messages that verified and are shown; what became of the mail that they were made of.',
      ['original'],
    ),
    message_held: counting(registry, 'messages_held_total', 'Times that a message was held, by reason.', ['reason']),
    message_quarantined: counting(
      registry,
      'messages_quarantined_total',
      'Messages set apart, by the check that failed.',
      ['reason'],
    ),
  };
}

/** Who comes in, and what is answered. */
function doorCounters(registry: Registry): Record<string, Counting> {
  const logins = counting(registry, 'logins_total', 'Logins of mail programs.', ['protocol', 'outcome']);
  const requests = counting(registry, 'api_requests_total', 'Requests to the SMIMP API.', ['call', 'status']);
  const requestSeconds = timing(
    registry,
    'api_request_seconds',
    'How long requests took, waiting calls included.',
    'call',
  );
  const connections = new Gauge({
    name: 'smimp_connections',
    help: 'Connections of mail programs that are open in this process.',
    labelNames: ['protocol'],
    registers: [registry],
  });
  const protocolOf = ({ protocol }: Facts) => ({ protocol: String(protocol) });
  return {
    login_succeeded: (facts) => logins({ ...facts, outcome: 'succeeded' }),
    login_failed: (facts) => logins({ ...facts, outcome: 'failed' }),
    request_served(facts) {
      requests(facts);
      requestSeconds(facts);
    },
    connection_opened: (facts) => connections.inc(protocolOf(facts)),
    connection_closed: (facts) => connections.dec(protocolOf(facts)),
    connection_limited: counting(registry, 'connections_limited_total', 'Connections refused for a limit.', [
      'protocol',
      'reason',
    ]),
    protocol_error: counting(registry, 'protocol_errors_total', 'Errors of connections below the protocol.', [
      'protocol',
    ]),
    unexpected: counting(registry, 'unexpected_errors_total', 'Errors that no rule foresaw; each is in the log.'),
  };
}

/** Identities and keys. */
function trustCounters(registry: Registry): Record<string, Counting> {
  const told = counting(registry, 'alarm_mails_total', 'Mails that told of alarms; kind alarms tells of many.', [
    'kind',
  ]);
  return {
    pin_changed: counting(registry, 'pin_changes_total', 'Contacts whose state changed, by their new state.', [
      'state',
    ]),
    alarm_raised: counting(registry, 'alarms_total', 'Alarms that were raised.', ['kind']),
    alarm_ended: counting(registry, 'alarms_ended_total', 'Alarms that ended.', ['kind']),
    alarms_told: told,
    keys_published: counting(registry, 'key_publications_total', 'Times that an account published new keys.'),
  };
}
