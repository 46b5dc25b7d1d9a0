/** The part of the composition root that only a gateway has (SMIMP 0.1 §6): what mail leaves with, and the door it comes in by. */
import type { Config } from './config.ts';
import type { Events } from './events.ts';
import type { Identity } from './identity/resolve.ts';
import type { Keystore } from './keystore/keystore.ts';
import { createAuthenticate, dnsResolver } from './legacy/authentication.ts';
import { createLegacyIdentities, type LegacyIdentities } from './legacy/identities.ts';
import type { ResolveDns } from './legacy/mx.ts';
import { createNewcomers } from './legacy/newcomers.ts';
import { createOutgoing } from './legacy/outgoing.ts';
import type { Pipeline, PipelineOptions } from './pipeline/pipeline.ts';
import { connectionLimits } from './settings.ts';
import type { Domain } from './smimp/address.ts';
import type { SmtpDoor } from './smtp/listener.ts';
import { createMx } from './smtp/mx.ts';
import type { Db } from './store/database.ts';

/** Null: this is no gateway. */
export async function gatewayOf(
  config: Config,
  services: Pick<Parameters<typeof createOutgoing>[0], 'db' | 'https' | 'network' | 'clock'>,
): Promise<NonNullable<PipelineOptions['gateway']> | null> {
  const { deployment, gateway: settings, mail_host: name, secrets } = config;
  if (deployment !== 'gateway' || settings.domain === null) return null;
  const { domain, senders, recipients, new_authors_per_hour: perHour } = settings;
  const { dns } = config.network;
  const named = dns.length === 0 ? {} : { resolve: dnsResolver(dns) as ResolveDns };
  const password = secrets.smarthostPassword;
  const outgoing = await createOutgoing({ ...services, ...named, settings, name, password });
  const own = { ownDomains: [domain, ...recipients], authServices: [domain, name.toLowerCase()] };
  return { ...outgoing, ...own, domain: domain as Domain, senders, newcomers: createNewcomers({ perHour }) };
}

/** Whom the gateway has behind it; null: this is none. */
export function legacyOf(
  { deployment, gateway }: Config,
  services: { db: Db; keystore: Keystore; events: Events },
): LegacyIdentities | null {
  const { domain, senders, recipients, new_identities_per_day: newPerDay } = gateway;
  if (deployment !== 'gateway' || domain === null) return null;
  return createLegacyIdentities({ ...services, gatewayDomain: domain as Domain, senders, recipients, newPerDay });
}

/** The door for mail from outside; null: this is no gateway. */
export function mxOf(
  config: Config,
  services: {
    identity: Identity;
    pipeline: Pipeline;
    events: Events;
    clock: () => Date;
    tls: { cert: string; key: string };
  },
): SmtpDoor | null {
  const { identity, pipeline, ...shared } = services;
  const { domain, recipients, dmarc } = config.gateway;
  const { acceptLegacy } = pipeline;
  if (acceptLegacy === null || domain === null) return null;
  const name = config.mail_host;
  return createMx({
    ...{ ...shared, name, acceptLegacy, glance: identity.glance, limits: connectionLimits(config) },
    gateway: { domain: domain as Domain, recipients, dmarc },
    authenticate: createAuthenticate({ name, resolver: dnsResolver(config.network.dns) }),
  });
}
