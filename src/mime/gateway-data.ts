/**
 * What a gateway found out about a message of the old internet (SMIMP 0.1 §6): `extensions_data.smimp_gateway`, version 1.
 * Whoever wrote the message could have put anything there; it is the gateway's word only in a message that the gateway itself
 * signed for the very mailbox it names, and is read as nothing else.
 */
import type { Buffer } from 'node:buffer';
import { z } from 'zod';
import { type Address, addressParts } from '../smimp/address.ts';
import { legacyMailbox, mailboxDomain } from '../smimp/gateway.ts';
import { removeFields } from './original/bcc.ts';
import { claimsToBeOf } from './result-service.ts';

/** RFC 8601 §2.7, without those that no check here gives. */
const RESULTS = ['none', 'pass', 'fail', 'softfail', 'neutral', 'policy', 'temperror', 'permerror'] as const;
export type AuthenticationResult = (typeof RESULTS)[number];

const result = z.enum(RESULTS);
/** A name in DNS, as it may stand in a header field; null: there was none. */
const name = z
  .string()
  .regex(/^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/)
  .nullable();

export const MAX_SIGNATURES_SHOWN = 20;

export const gatewayDataSchema = z.object({
  v: z.literal(1),
  /** The mailbox in From, whose coding the sender of the message is. */
  from: z.string().max(1_000),
  /** Whether the domain of `from` vouches for the message, by a signature or by the way it came. */
  authenticated: z.boolean(),
  /** `domain`: whose policy was asked, that of the reverse path, or of the client's name where there is none. */
  spf: z.object({ result, domain: name, identity: z.enum(['mailfrom', 'helo']) }),
  dkim: z.array(z.object({ result, domain: name, selector: name })).max(MAX_SIGNATURES_SHOWN),
  /** `policy`: what the domain asks to be done with mail that fails. */
  dmarc: z.object({ result, domain: name, policy: z.enum(['none', 'quarantine', 'reject']).nullable() }),
  arc: z.object({ result, domain: name }),
});
export type GatewayData = z.infer<typeof gatewayDataSchema>;

/** The gateway's word about a message from `from`, if the message came through one and the word is about its sender. */
export function readGatewayData(
  extensions: Record<string, unknown> | null,
  header: { from: Address; via: 'smtp_bridge' | 'import' | null },
): GatewayData | null {
  if (header.via !== 'smtp_bridge') return null;
  const parsed = gatewayDataSchema.safeParse(extensions?.smimp_gateway);
  const mailbox = legacyMailbox(header.from, addressParts(header.from).domain);
  return parsed.success && parsed.data.from === mailbox ? parsed.data : null;
}

/** `Authentication-Results` (RFC 8601 §2.2) in the gateway's name, as words to fold between. */
export function authenticationResults(gateway: string, data: GatewayData): string[] {
  const { spf, dkim, dmarc, arc, from } = data;
  const property = (key: string, value: string | null): string[] => (value === null ? [] : [`${key}=${value}`]);
  const checks = [
    ...dkim.map((one) => [
      `dkim=${one.result}`,
      ...property('header.d', one.domain),
      ...property('header.s', one.selector),
    ]),
    ...(dkim.length === 0 ? [['dkim=none']] : []),
    [`spf=${spf.result}`, ...property(`smtp.${spf.identity}`, spf.domain)],
    [
      `dmarc=${dmarc.result}`,
      ...property('policy.dmarc', dmarc.policy),
      ...property('header.from', mailboxDomain(from)),
    ],
    ...(arc.result === 'none' ? [] : [[`arc=${arc.result}`, ...property('header.d', arc.domain)]]),
  ];
  const ended = checks.map((words, i) => (i === checks.length - 1 ? words : withSemicolon(words)));
  return [`${gateway};`, ...ended.flat()];
}

/** The message without results that claim to be of one of `services`: they are forged (RFC 8601 §5). A view into `raw`. */
export function removeForgedResults(raw: Buffer, services: readonly string[]): Buffer {
  return removeFields(raw, (field) => claimsToBeOf(raw, field, services));
}

const withSemicolon = (words: string[]): string[] => [...words.slice(0, -1), `${words.at(-1)};`];
