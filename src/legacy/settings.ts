/** The settings of mail that leaves for the old internet: at a gateway, and at a home that sends through one. */
import { z } from 'zod';

type Text = z.ZodType<string, string>;

const tlsRule = z.enum(['opportunistic', 'required', 'verified']);

/** What a gateway needs beyond what it takes in. `domain`, `target`: as everywhere in the configuration. */
export function outgoingSettings({ domain, target }: { domain: Text; target: Text }) {
  return {
    tls: tlsRule.default('opportunistic'),
    smarthost: z
      .strictObject({
        host: z.string().min(1).max(253),
        port: z.int().min(1).max(65_535).default(587),
        tls: z.enum(['implicit', 'starttls', 'none']).default('starttls'),
        user: z.string().min(1).max(320).nullable().default(null),
      })
      .refine(({ tls, user }) => tls !== 'none' || user === null, { error: 'sends no password in the clear' })
      .nullable()
      .default(null),
    routes: z.record(domain, target).default({}),
    dkim: z
      .record(
        domain,
        z.strictObject({
          selector: z.string().regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/i, { error: 'is not a DKIM selector' }),
          key_file: z.string().min(1),
        }),
      )
      .default({}),
  };
}

/** Every domain that says itself, over valid TLS, that it does not speak SMIMP, and was never seen speaking it. */
export const EVERY_DOMAIN = '*';

/** How a home treats people of the old internet. */
export function legacySettings({ domain }: { domain: Text }) {
  return z
    .strictObject({
      gateway: domain.nullable().default(null),
      domains: z.array(z.union([domain, z.literal(EVERY_DOMAIN)])).default([]),
    })
    .prefault({})
    .refine(({ gateway, domains }) => gateway !== null || domains.length === 0, {
      error: 'needs a gateway when it names domains',
    });
}
