/** What services take from the configuration, in the form they take it. */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { TlsMaterial } from './admin/tls.ts';
import type { Config } from './config.ts';
import { createLegacyPolicy, type LegacyPolicy, NO_LEGACY } from './legacy/policy.ts';
import type { LegacyDisplay } from './mailbox/legacy-view.ts';
import type { PipelineLimits } from './pipeline/pipeline.ts';
import type { QueueSettings } from './pipeline/queue.ts';
import { policyOf } from './policy/pow-policy.ts';
import type { Discovery } from './remote/look-up.ts';
import type { Domain } from './smimp/address.ts';
import type { Db, OpenedDatabase } from './store/database.ts';

export function queueSettings(config: Config, opened: OpenedDatabase): QueueSettings {
  if (config.queue.redis !== null) return { kind: 'redis', url: config.queue.redis };
  return { kind: 'postgres', connection: opened.connection };
}

/** How the accounts here write to people of the old internet. */
export function legacyPolicy(config: Config, services: { db: Db; discovery: Discovery }): LegacyPolicy {
  const { gateway, domains } = config.legacy;
  if (gateway === null) return NO_LEGACY;
  return createLegacyPolicy({ ...services, gatewayDomain: gateway as Domain, domains, ownDomains: config.domains });
}

/** Whose people of the old internet mail programs are shown as the mailboxes that they have; null: nobody's. */
export function legacyDisplay({ legacy, domains: ownDomains }: Config): LegacyDisplay | null {
  return legacy.gateway === null ? null : { gatewayDomain: legacy.gateway as Domain, ownDomains };
}

/** Its own names lead straight to its own door: no DNS, no way out through the router and in again. */
export async function networkOf(
  config: Config,
  tls: TlsMaterial,
): Promise<{ hosts: Record<string, string>; allow: string[]; ca: string[] }> {
  const { hosts, allow, ca } = config.network;
  const authorities = ca === null ? [] : [await readFile(ca, 'utf8')];
  if (tls.authority !== null) authorities.push(tls.authority.pem);
  const door = config.listen.api;
  if (door === null) return { hosts, allow, ca: authorities };
  const address = door.host === '0.0.0.0' || door.host === '::' ? '127.0.0.1' : door.host;
  const here = address.includes(':') ? `[${address}]:${door.port}` : `${address}:${door.port}`;
  const names = [new URL(config.base_url).hostname, ...(tls.authority === null ? [] : config.domains)];
  return { hosts: { ...Object.fromEntries(names.map((name) => [name, here])), ...hosts }, allow, ca: authorities };
}

export const priceRules = ({ domains, proof_of_work }: Config) => ({ domains, powPolicy: policyOf(proof_of_work) });

export function pipelineLimits({ delivery, proof_of_work }: Config): PipelineLimits {
  return {
    concurrency: delivery.concurrency,
    askOperatorAboveBits: proof_of_work.ask_operator_above,
    delayNoticeAfterMs: delivery.delay_notice_after,
    giveUpAfterMs: delivery.give_up_after,
    mintThreads: proof_of_work.threads ?? availableParallelism(),
  };
}

export function connectionLimits(config: Config) {
  const { message, recipients, connections, connections_per_address, connections_per_account } = config.limits;
  return {
    messageBytes: message,
    recipients,
    connections,
    connectionsPerAddress: connections_per_address,
    connectionsPerAccount: connections_per_account,
  };
}

/** Wrong passwords before the next one has to wait. */
export function freeTries({ limits }: Config): { account: number; source: number } {
  return { account: limits.login_tries_per_account, source: limits.login_tries_per_address };
}
