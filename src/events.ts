/**
 * Every event the bridge logs, one function each: what may be said about it is decided here and nowhere else. Ids,
 * counts, codes and durations only; never an address, a subject, a key or a token.
 */
import { errorFacts, type Logger } from './log.ts';

export type Events = ReturnType<typeof createEvents>;

type Facts = Record<string, string | number | boolean | null>;

/** Counts what is logged, for whoever watches (metrics/meters.ts). */
export type Meter = (event: string, facts: Facts) => void;

export function createEvents(log: Logger, meter: Meter = () => undefined) {
  const say = (level: 'debug' | 'info' | 'warn') => (event: string, facts: Facts) => {
    log[level]({ event, ...facts });
    meter(event, facts);
  };
  const [debug, info, warn] = [say('debug'), say('info'), say('warn')];
  return {
    started: (facts: { roles: string }) => info('started', facts),
    stopped: () => info('stopped', {}),
    listening: (facts: { role: string; port: number; tls: boolean }) => info('listening', facts),

    /** The database is older than what was known of it (docs/backups.md); `told`: an operator said so. */
    mailboxesRenewed: (facts: { mailboxes: number; told: boolean }) => warn('mailboxes_renewed', facts),

    loginSucceeded: (facts: { protocol: string; accountId: number }) => info('login_succeeded', facts),
    loginFailed: (facts: { protocol: string; failures: number }) => warn('login_failed', facts),

    submissionAccepted: (facts: { submissionId: number; recipients: number; sizeBytes: number; repeated: boolean }) =>
      info('submission_accepted', facts),
    /** Mail from outside. `dmarc`: the result of the check. */
    legacyMailAccepted: (facts: { submissionId: number; dmarc: string; authenticated: boolean }) =>
      info('legacy_mail_accepted', facts),
    legacyMailRefused: (facts: { code: string }) => info('legacy_mail_refused', facts),
    recipientRefused: (facts: { code: string }) => info('recipient_refused', facts),
    /** `zeroBits`: of a stage that worked a proof. */
    stageDone: (facts: { deliveryId: number; stage: string; next: string; durationMs: number; zeroBits?: number }) =>
      info('stage_done', facts),
    stageFailed: (facts: { deliveryId: number; stage: string; code: string; disposition: string; attempts: number }) =>
      warn('stage_failed', facts),
    /** Mail left for the old internet. */
    relayed: (facts: { deliveryId: number; encrypted: boolean; verified: boolean }) => info('relayed', facts),
    deliveryEnded: (facts: { deliveryId: number; outcome: string }) => info('delivery_ended', facts),
    /** What was accepted for sending is not in the folder of sent mail. */
    sentNotKept: (facts: { accountId: number; reason: string }) => warn('sent_not_kept', facts),
    /** The mailbox is full and more than full. */
    noticeDropped: (facts: { accountId: number; kind: string }) => warn('notice_dropped', facts),
    noticeSent: (facts: { deliveryId: number; kind: string }) => info('notice_sent', facts),

    messageReceived: (facts: { accountId: number; sizeBytes: number; messageType: string }) =>
      info('message_received', facts),
    /** `original`: what became of the legacy message that it holds: a code of rendering.ts. */
    messageOpened: (facts: { accountId: number; seq: number; cautions: number; original: string }) =>
      info('message_opened', facts),
    messageHeld: (facts: { accountId: number; seq: number; reason: string }) => warn('message_held', facts),
    messageQuarantined: (facts: { accountId: number; seq: number; reason: string }) =>
      warn('message_quarantined', facts),

    pinChanged: (facts: { accountId: number; state: string }) => warn('pin_changed', facts),
    alarmRaised: (facts: { accountId: number; kind: string }) => warn('alarm_raised', facts),
    alarmEnded: (facts: { accountId: number; kind: string }) => info('alarm_ended', facts),
    /** `alarms`: how many that one mail tells of. */
    alarmsTold: (facts: { accountId: number; kind: string; alarms: number }) => info('alarms_told', facts),
    keysPublished: (facts: { accountId: number; ephemeral: number; nonEphemeral: number }) =>
      info('keys_published', facts),
    requestServed: (facts: { call: string; status: number; durationMs: number }) => debug('request_served', facts),
    /** A round of a mirror ended early; told when that changes. `code` null: it is well again. */
    mirrorState: (facts: { accountId: number; code: string | null }) => info('mirror_state', facts),
    /** The home will not take something: it stays here only, or as it is there. */
    mirrorRefused: (facts: { accountId: number; what: string; code: string }) => warn('mirror_refused', facts),
    requestFailed: (facts: { call: string; status: number; code: string }) => info('request_failed', facts),
    connectionOpened: (facts: { protocol: string }) => debug('connection_opened', facts),
    connectionClosed: (facts: { protocol: string }) => debug('connection_closed', facts),
    connectionLimited: (facts: { protocol: string; reason: string }) => warn('connection_limited', facts),
    protocolError: (facts: { protocol: string; code: string }) => info('protocol_error', facts),

    /** Something no rule foresaw. Its message may quote input, so only its kind and place are logged. */
    unexpected(where: string, error: unknown) {
      log.error({ event: 'unexpected', at: where, error: errorFacts(error) });
      meter('unexpected', {});
    },
  };
}
