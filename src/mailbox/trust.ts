/** How far the sender of a message is known at the moment it is shown: what is written above it for ever, and its keywords. */
import { standingOf } from '../identity/standing.ts';
import { keptPin } from '../identity/stored-pins.ts';
import type { Trace } from '../mime/trace.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { fingerprintOf } from '../smimp/fingerprint.ts';
import type { OpenedMessage } from '../smimp/open.ts';
import type { Executor } from '../store/database.ts';
import type { StoredMessage } from '../store/messages.ts';
import { findPin } from '../store/pins.ts';
import { type Standing, trustOf } from '../store/trust.ts';
import type { MailAccount } from './mail-account.ts';

type Received = {
  opened: OpenedMessage;
  row: Pick<StoredMessage, 'message_id' | 'sender_public_key' | 'time_received'>;
};

/** Null for mail of oneself, of which nothing has to be found out. */
export async function traceOf(db: Executor, account: MailAccount, received: Received): Promise<Trace | null> {
  const { opened, row } = received;
  const { from, via } = opened.header;
  if (from === account.address) return null;
  const kept = keptPin(await findPin(db, account.accountId, from));
  const first = kept?.pin.signed_hashes[0];
  return {
    from,
    fingerprint: first === undefined ? null : fingerprintOf(from, first),
    ...statementOf(standingOf(kept), received),
    via: via ?? 'smimp',
    received: Math.floor(row.time_received.getTime() / 1000),
    messageId: toHex<Hex32>(row.message_id),
  };
}

function statementOf({ verified, changedKeys }: Standing, { opened, row }: Received): Pick<Trace, 'verified' | 'key'> {
  if (opened.cautions.includes('retired-key')) return { verified, key: 'retired' };
  return { verified, key: changedKeys.some((key) => key.equals(row.sender_public_key)) ? 'changed' : 'current' };
}

/** Its bits. The caller holds the mailbox: a pin that changes meanwhile finds the message shown, or is seen here. */
export async function trustBits(db: Executor, account: MailAccount, { opened, row }: Received): Promise<number> {
  const { from, via } = opened.header;
  if (from === account.address) return 0;
  return trustOf(standingOf(keptPin(await findPin(db, account.accountId, from))), {
    senderKey: row.sender_public_key,
    retiredKey: opened.cautions.includes('retired-key'),
    viaLegacy: via === 'smtp_bridge',
  });
}
