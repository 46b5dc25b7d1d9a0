/**
 * Mail on its way to the old internet: which servers, under which encryption, one after the other until one has answered
 * (RFC 5321 §5.1). Strict policies never give way: what may not go in the clear waits.
 */
import type { Target } from '../remote/network.ts';
import { mailboxDomain } from '../smimp/gateway.ts';
import { type FindStsPolicy, matchesPolicy, type StsPolicy } from './mta-sts.ts';
import type { Exchanger, Exchangers } from './mx.ts';
import { RelayError } from './relay-error.ts';
import {
  type Envelope,
  type Sent,
  SMTP_TIMEOUTS,
  SmtpFailure,
  type SmtpTimeouts,
  sendTo,
  type TlsWish,
} from './smtp-client.ts';

/** `opportunistic`: encrypted where it can be; `required`: always; `verified`: and with a valid certificate. */
export type TlsRule = 'opportunistic' | 'required' | 'verified';

/** A relay of one's own that all mail goes through. */
export interface Smarthost {
  readonly host: string;
  readonly tls: 'implicit' | 'starttls' | 'none';
  readonly login: { readonly user: string; readonly password: string } | null;
  targets(): Promise<readonly Target[]>;
}

export interface Mailer {
  /** Throws RelayError. */
  send(envelope: Envelope, signal: AbortSignal): Promise<Sent>;
}

type Hop = { exchanger: Exchanger; tls: TlsWish; login: Smarthost['login'] };

const WISHES: Readonly<Record<TlsRule, TlsWish>> = {
  opportunistic: 'opportunistic',
  required: 'encrypted',
  verified: 'verified',
};
const SMARTHOST_WISHES: Readonly<Record<Smarthost['tls'], TlsWish>> = {
  implicit: 'implicit',
  starttls: 'verified',
  none: 'none',
};

export function createMailer(options: {
  /** How this server calls itself in EHLO. */
  name: string;
  exchangers: Exchangers;
  stsPolicy: FindStsPolicy;
  tls: TlsRule;
  smarthost: Smarthost | null;
  /** Domains with a fixed address do not go through the smarthost. */
  isRouted: (domain: string) => boolean;
  ca: readonly string[];
  timeouts?: SmtpTimeouts;
}): Mailer {
  const { name, exchangers, stsPolicy, smarthost, isRouted, ca, timeouts = SMTP_TIMEOUTS } = options;

  const hopsOf = async (domain: string): Promise<Hop[]> => {
    if (smarthost !== null && !isRouted(domain)) {
      const exchanger = { name: smarthost.host, targets: smarthost.targets };
      return [{ exchanger, tls: SMARTHOST_WISHES[smarthost.tls], login: smarthost.login }];
    }
    const found = await exchangers.of(domain);
    const policy = isRouted(domain) ? NO_POLICY : await stsPolicy(domain);
    const tls = policy.mode === 'enforce' ? 'verified' : WISHES[options.tls];
    const fitting = found.filter((exchanger) => policy.mode !== 'enforce' || matchesPolicy(exchanger.name, policy));
    if (fitting.length === 0) throw new RelayError('smtp-tls');
    return fitting.map((exchanger) => ({ exchanger, tls, login: null }));
  };

  const attempt = async (hop: Hop, target: Target, envelope: Envelope, signal: AbortSignal): Promise<Sent> => {
    const server = { name: hop.exchanger.name, target, tls: hop.tls, ca, login: hop.login };
    const by = { name, timeouts, signal };
    try {
      return await sendTo(server, envelope, by);
    } catch (error) {
      const mayBeClear = hop.tls === 'opportunistic' && error instanceof SmtpFailure && error.code === 'smtp-tls';
      if (!mayBeClear) throw error;
      return sendTo({ ...server, tls: 'none' }, envelope, by);
    }
  };

  return {
    async send(envelope, signal) {
      const domain = mailboxDomain(envelope.to);
      let last: RelayError | null = null;
      const passed = (error: unknown): void => {
        last = worthier(last, passing(error, last));
      };
      for (const hop of await hopsOf(domain)) {
        for (const target of await hop.exchanger.targets().catch((error) => passed(error) ?? [])) {
          signal.throwIfAborted();
          try {
            return await attempt(hop, target, envelope, signal);
          } catch (error) {
            passed(error);
          }
        }
      }
      throw last ?? new RelayError('smtp-connect');
    },
  };
}

/** As long as one of its servers may come back, nothing is over for the domain. Words say more than silence. */
function worthier(before: RelayError | null, now: RelayError): RelayError {
  if (before === null) return now;
  const isOver = now.permanent && !before.permanent;
  return isOver || (before.said !== null && now.said === null) ? before : now;
}

const NO_POLICY: StsPolicy = { mode: 'none', mx: [] };

/** What another server may heal. Throws what none can; `before`: one that was asked first put it off, and may take it later. */
function passing(error: unknown, before: RelayError | null): RelayError {
  if (!(error instanceof RelayError)) throw error;
  if (!(error instanceof SmtpFailure) || !error.reached) return error;
  throw before?.code === 'smtp-temporary' && error.permanent ? before : error;
}
