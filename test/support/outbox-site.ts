/** Bob's mailbox with the folder of what waits to be sent, behind a server of its own; deliveries are rows that the test changes. */
import { expect } from 'vitest';
import { withOutbox } from '../../src/outbox/mailbox.ts';
import { createQueueOperations } from '../../src/pipeline/queue-operations.ts';
import { sealContent } from '../../src/pipeline/submission-content.ts';
import { type Address, parseAddress } from '../../src/smimp/address.ts';
import { randomBytes } from '../../src/smimp/crypto.ts';
import { serializeBody } from '../../src/smimp/email.ts';
import { notify } from '../../src/store/database.ts';
import { advanceDelivery, type DeliveryChange, findDelivery } from '../../src/store/outbound.ts';
import { insertSubmission } from '../../src/store/submissions.ts';
import { type MailSite, mailSite } from './mail-site.ts';
import { BODY, GIVE_UP_MS } from './outbound-site.ts';

export const HOUR_MS = 3_600_000;
export const ALICE = parseAddress('alice#acme.test');
export const EVE = parseAddress('eve#acme.test');

export interface OutboxSite extends MailSite {
  /** Of the server that shows the folder. */
  readonly port: number;
  /** As accept does it; the ids of the deliveries. */
  submit(subject: string, ...recipients: Address[]): Promise<number[]>;
  /** As a stage leaves it. */
  change(id: number | undefined, to: DeliveryChange): Promise<void>;
  later(ms: number): Date;
  retrying(): DeliveryChange;
  ended(): DeliveryChange;
}

export async function outboxSite(): Promise<OutboxSite> {
  const site = await mailSite();
  const { db, listener } = site.opened;
  const operations = createQueueOperations({ db, clock: site.clock.read });
  const { keystore, events } = site;
  const mailbox = withOutbox(site.mailbox, { db, listener, keystore, operations, events, name: 'Outbox' });
  const { port } = await site.serve({ mailbox });
  const later = (ms: number): Date => new Date(site.clock.read().getTime() + ms);
  return {
    ...site,
    port,
    later,
    submit: (subject, ...recipients) => submit(site, subject, recipients),
    async change(id, to) {
      const delivery = await findDelivery(db, id ?? 0);
      if (delivery === undefined) throw new Error('no such delivery');
      expect(await advanceDelivery(db, delivery, to)).toBe(true);
      await notify(db, 'outbox_changed', site.bobId);
    },
    retrying: () => ({ stage: 'seal', error_code: 'connect', next_attempt_at: later(HOUR_MS), attempts: 3 }),
    ended: () => ({ stage: 'done', finished_at: site.clock.read() }),
  };
}

async function submit(site: MailSite, subject: string, recipients: Address[]): Promise<number[]> {
  const keys = await site.keystore.open(site.bobId);
  const uid = randomBytes(32);
  const body = serializeBody('email', { ...BODY, to: recipients, subject, body: 'Dear *Alice*' });
  const now = site.clock.read();
  const { deliveryIds } = await site.opened.db.transaction().execute((tx) =>
    insertSubmission(tx, {
      ...{ accountId: site.bobId, digest: randomBytes(32), uid, messageType: 'email', recipients, now },
      ...{ sealed: sealContent(keys, uid, body), sizeBytes: body.byteLength, repeatsSince: now },
      ...{ deadline: new Date(now.getTime() + GIVE_UP_MS), retiredDigest: randomBytes(32) },
    }),
  );
  return deliveryIds;
}
