/**
 * The block of header fields above a received message that says what was found out about it when it came: whom it is from,
 * whether that was checked by a person, which key signed it. It is fixed then; what is known later is in keywords.
 *
 * The fields are ours alone: results in our name that a message brings along were forged (RFC 8601 §5), and fields that begin
 * like ours are taken out where the message is made (bridge-mail.ts).
 */
import { Buffer } from 'node:buffer';
import { type Address, addressParts, toMailbox } from '../smimp/address.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { formatMailDate } from './date.ts';
import { tokenField } from './headers.ts';
import { claimsToBeOf } from './result-service.ts';
import { headerEnd, headerFields } from './structure/header-fields.ts';

/** `changed`: it signs with another key than the first one that was seen. `retired`: with one that was replaced long before. */
export const KEY_STATES = ['current', 'changed', 'retired'] as const;
export const VIAS = ['smimp', 'smtp_bridge', 'import'] as const;

/** What is kept of a message that was received, beside it. */
export interface Trace {
  readonly from: Address;
  /** Eight groups; null where no identity was pinned. */
  readonly fingerprint: string | null;
  /** A person had compared the fingerprint. */
  readonly verified: boolean;
  readonly key: (typeof KEY_STATES)[number];
  /** As its sender says. */
  readonly via: (typeof VIAS)[number];
  /** Unix seconds. */
  readonly received: number;
  /** What its server calls it. */
  readonly messageId: Hex32;
}

/** The fields, each in CRLF lines. `owner`: who received it. */
export function traceBlock(trace: Trace, owner: Address): Buffer {
  const yes = trace.verified ? 'yes' : 'no';
  const fields = [
    tokenField('Authentication-Results', [`${serviceOf(owner)};`, ...results(trace)]),
    tokenField('X-SMIMP-From', [trace.from]),
    ...(trace.fingerprint === null ? [] : [tokenField('X-SMIMP-Fingerprint', [trace.fingerprint])]),
    tokenField('X-SMIMP-Verified', [yes]),
    tokenField('X-SMIMP-Key', [trace.key]),
    tokenField('X-SMIMP-Via', [trace.via]),
    tokenField('X-SMIMP-Received', formatMailDate(trace.received).split(' ')),
    tokenField('X-SMIMP-Message-ID', [trace.messageId]),
  ];
  return Buffer.from(fields.join(''), 'latin1');
}

/** The signature holds, or the message would not be shown; a key that was retired is the sender's no more. */
function results({ from, verified, key }: Trace): string[] {
  const result = key === 'retired' ? 'x-smimp=neutral' : 'x-smimp=pass';
  return [result, `header.from=${toMailbox(from)}`, `policy.verified=${verified ? 'yes' : 'no'}`, `policy.key=${key}`];
}

/** Whose results these are (RFC 8601 §2.5): those of the domain that received the message. */
const serviceOf = (owner: Address): string => addressParts(owner).domain;

/** The block above the message, and the message without results in its owner's name. Otherwise byte for byte as it is. */
export function withTrace(raw: Buffer, trace: Trace, owner: Address): Buffer {
  return Buffer.concat([traceBlock(trace, owner), ...withoutForgedResults(raw, serviceOf(owner))]);
}

/** Pieces of the message. */
function withoutForgedResults(raw: Buffer, service: string): Buffer[] {
  const end = headerEnd(raw);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const field of headerFields(raw, 0, end)) {
    if (!claimsToBeOf(raw, field, [service])) continue;
    pieces.push(raw.subarray(from, field.start));
    from = field.end;
  }
  return [...pieces, raw.subarray(from)];
}
