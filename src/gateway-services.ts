/** The part of the composition root that only a gateway has: what mail leaves with (SMIMP 0.1 §6). */
import type { Config } from './config.ts';
import { createOutgoing } from './legacy/outgoing.ts';
import type { PipelineOptions } from './pipeline/pipeline.ts';
import type { Domain } from './smimp/address.ts';

/** What mail leaves with, of a gateway. */
export async function gatewayOf(
  config: Config,
  services: Pick<Parameters<typeof createOutgoing>[0], 'db' | 'https' | 'network' | 'clock'>,
): Promise<(PipelineOptions['gateway'] & object) | null> {
  const { deployment, gateway: settings, mail_host: name, secrets } = config;
  if (deployment !== 'gateway' || settings.domain === null) return null;
  const { domain, senders, recipients } = settings;
  const outgoing = await createOutgoing({ ...services, settings, name, password: secrets.smarthostPassword });
  return { ...outgoing, domain: domain as Domain, senders, ownDomains: [domain, ...recipients] };
}
