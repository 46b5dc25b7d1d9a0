/** The bytes of what is shown, and what is listed of them. */
import type { AccountKeys } from '../keystore/keystore.ts';
import { ByteLru } from '../mailbox/byte-lru.ts';
import type { ListedMessage } from '../mailbox/types.ts';
import type { ByteGate } from '../memory/byte-gate.ts';
import { buildOutboxMessage } from '../mime/outbox.ts';
import { indexMessage } from '../mime/structure/message-index.ts';
import { openEmail } from '../pipeline/submission-content.ts';
import type { EmailBody } from '../smimp/email.ts';
import type { Db } from '../store/database.ts';
import type { WaitingDelivery } from '../store/outbox.ts';
import { submissionContent } from '../store/submissions.ts';
import { type OutboxEntry, outboxInput } from './entries.ts';

/** Of all accounts together: some hundred messages of the usual size. Each is made again when it is asked for. */
const CACHE_BYTES = 4 * 1024 * 1024;

export interface OutboxMessages {
  raw(keys: AccountKeys, entry: OutboxEntry): Promise<Buffer>;
  listed(keys: AccountKeys, entry: OutboxEntry): Promise<ListedMessage>;
}

export function createOutboxMessages({ db, gate }: { db: Db; gate: ByteGate }): OutboxMessages {
  const rendered = new ByteLru<Buffer>(CACHE_BYTES);

  /** Of the submission that these deliveries are of; null when people do not read it, or when it ended meanwhile. */
  const bodyOf = async (keys: AccountKeys, delivery: WaitingDelivery): Promise<EmailBody | null> => {
    const sealed = await submissionContent(db, delivery.submission_id);
    return sealed === null ? null : openEmail(keys, delivery, sealed);
  };

  const raw: OutboxMessages['raw'] = async (keys, entry) => {
    const key = `${keys.accountId} ${entry.state} ${entry.fingerprint.toString('hex')}`;
    const [first] = entry.deliveries;
    const known = rendered.get(key);
    if (known !== undefined || first === undefined) return known ?? Buffer.alloc(0);
    return gate.pass(first.size_bytes, async () => {
      const body = await bodyOf(keys, first);
      const message = buildOutboxMessage(outboxInput(entry, { sender: keys.address, body }));
      rendered.set(key, message, message.length);
      return message;
    });
  };

  return {
    raw,
    async listed(keys, entry) {
      const [first] = entry.deliveries;
      const unixSeconds = Math.floor((first?.submitted_at.getTime() ?? 0) / 1000);
      return { index: indexMessage(await raw(keys, entry)), internalDate: { unixSeconds, zoneMinutes: 0 }, memo: {} };
    },
  };
}
