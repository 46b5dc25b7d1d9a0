/** Kinds of values in the configuration: each turns what stands in the file into what is used, or says what it is not. */
import { z } from 'zod';
import { parseQuantity, SIZE_UNITS, TIME_UNITS, type Units } from './policy/quantity.ts';
import { isAddress } from './smimp/address.ts';
import { parseDiscovery } from './smimp/discovery.ts';

export const sizeBytes = withUnit(SIZE_UNITS, 'a size such as 25MiB, 64KiB or a number of bytes', 1);
export const durationMs = withUnit(TIME_UNITS, 'a time such as 30s, 5m, 4h or 5d', null);

/** The bytes of a size as the configuration spells it; null for what is none. */
export function parseSize(text: string): number | null {
  return sizeBytes.safeParse(text).data ?? null;
}

function withUnit(units: Units, expected: string, bare: number | null) {
  return z.union([z.number(), z.string()]).transform((value, context): number => {
    const amount = parseQuantity(String(value), units, bare);
    if (amount !== null) return amount;
    context.addIssue({ code: 'custom', message: `is not ${expected}` });
    return z.NEVER;
  });
}

export const domain = z
  .string()
  .regex(/^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, {
    error: 'is not a domain of at least two labels in lower case, such as example.com',
  });

export const baseUrl = z.string().superRefine((text, context) => {
  try {
    if (parseDiscovery(Buffer.from(text)) === text) return;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
  context.addIssue({ code: 'custom', message: 'is not a base URL such as https://smimp.example.com[:port][/path]' });
});

export const listenAddress = z.string().transform((text, context) => {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) {
    context.addIssue({ code: 'custom', message: 'is not ADDRESS:PORT, such as 0.0.0.0:1993 or [::]:1993' });
    return z.NEVER;
  }
  return { host, port: Number(port) };
});

export const cidr = z.union([z.cidrv4(), z.cidrv6()], { error: 'is not a network such as 10.0.0.0/8' });
export const hostTarget = z.string().regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\])(:\d{1,5})?$/, {
  error: 'is not an address with or without a port, such as 127.0.0.1:9443 or [::1]:9443',
});

/** `corp.test`, `alice#corp.test` or `alice@corp.test`, as it is compared: `corp.test`, `alice#corp.test`. */
export const domainOrAddress = z.string().transform((text, context): string => {
  const typed = text.replace('@', '#');
  if (domain.safeParse(typed).success || isAddress(typed)) return typed;
  context.addIssue({ code: 'custom', message: 'is neither a domain nor an SMIMP address, both in lower case' });
  return z.NEVER;
});

export const dnsServer = z.string().regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\])(:\d{1,5})?$/, {
  error: 'is not the address of a DNS server, such as 127.0.0.53 or [::1]:5353',
});
