/**
 * From a mail program's DATA to the recipient's server, and back to the sender when that fails: listener, accept, queue,
 * worker and all stages together.
 */
import { simpleParser } from 'mailparser';
import { createTransport, type SendMailOptions } from 'nodemailer';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { referenceOf } from '../src/keystore/references.ts';
import { renderMessage } from '../src/mime/from-email.ts';
import { MAX_BODY_BYTES, REPEAT_WINDOW_MS } from '../src/pipeline/accept.ts';
import type { Notices } from '../src/pipeline/bounce.ts';
import { createPipeline, type Pipeline, type PipelineOptions } from '../src/pipeline/pipeline.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { type EmailBody, serializeBody } from '../src/smimp/email.ts';
import { formatTimestamp, type Hex32, toHex } from '../src/smimp/encoding.ts';
import { createSubmission } from '../src/smtp/submission.ts';
import { findReference } from '../src/store/contents.ts';
import { findDelivery } from '../src/store/outbound.ts';
import { submissionContent } from '../src/store/submissions.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './support/hostile-server.ts';
import {
  DELAY_NOTICE_MS,
  GIVE_UP_MS,
  type OutboundSite,
  outboundSite,
  TestClock,
  unseal,
} from './support/outbound-site.ts';
import { answerText, testAuthority, testCertificate } from './support/tls-server.ts';

let owned: AsyncDisposableStack;
let clock: TestClock;
let corp: HostileServer;
let site: OutboundSite;
let bob: ServedUser;

beforeEach(async () => {
  owned = new AsyncDisposableStack();
  clock = new TestClock();
  corp = owned.use(await startHostileServer('corp.test', { zeroBits: 4, now: clock.seconds }));
  bob = corp.addUser('bob', clock.seconds());
  site = owned.use(await outboundSite([corp], clock));
});
afterEach(async () => {
  await owned.disposeAsync();
  expect(site.log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
});

/** The inbox of these tests: bodies kept in rows, within the transaction that they are told in. */
const inbox: Notices = {
  async deliver(tx, { body }) {
    const { value } = (await tx
      .selectFrom('setting')
      .select('value')
      .where('name', '=', 'inbox')
      .executeTakeFirst()) ?? {
      value: '[]',
    };
    const bodies = [...(JSON.parse(value) as EmailBody[]), body];
    const row = { name: 'inbox', value: JSON.stringify(bodies) };
    await tx
      .insertInto('setting')
      .values(row)
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: row.value }))
      .execute();
  },
};

async function received(): Promise<EmailBody[]> {
  const row = await site.opened.db.selectFrom('setting').select('value').where('name', '=', 'inbox').executeTakeFirst();
  return row === undefined ? [] : (JSON.parse(row.value) as EmailBody[]);
}

function newPipeline(options: Partial<PipelineOptions> = {}): Pipeline {
  const { opened, keystore, identity, home, sessions, events } = site;
  return owned.use(
    createPipeline({
      db: opened.db,
      listener: opened.listener,
      queue: { kind: 'postgres', connection: opened.connection },
      ...{ keystore, identity, home, sessions, events, clock: clock.read, notices: inbox },
      limits: {
        concurrency: 4,
        askOperatorAboveBits: 12,
        delayNoticeAfterMs: DELAY_NOTICE_MS,
        giveUpAfterMs: GIVE_UP_MS,
        mintThreads: 1,
      },
      ...options,
    }),
  );
}

const MESSAGE = [
  'From: Alice <alice@acme.test>',
  'To: Bob <bob@corp.test>',
  'Subject: the subject',
  'Message-ID: <first@acme.test>',
  'Date: Thu, 15 Jan 2026 11:00:00 +0000',
  '',
  'the text',
  '',
].join('\r\n');

async function accept(
  pipeline: Pipeline,
  message: string | Buffer = MESSAGE,
  recipients: Address[] = [bob.address],
): Promise<{ submissionId: number; repeated: boolean; deliveries: number[] }> {
  const { accountId, address: from } = site.alice;
  const raw = Buffer.from(message);
  const accepted = await pipeline.accept({ accountId, from, recipients, raw, now: clock.read() });
  const rows = await site.opened.db
    .selectFrom('delivery')
    .select('id')
    .where('submission_id', '=', accepted.submissionId)
    .orderBy('id')
    .execute();
  return { ...accepted, deliveries: rows.map(({ id }) => id) };
}

/** Runs a delivery by hand until it has to wait. */
const run = (pipeline: Pipeline, id: number): Promise<void> => pipeline.run(id, new AbortController().signal);
const stageOf = async (id: number): Promise<string | undefined> => (await findDelivery(site.opened.db, id))?.stage;

describe('accept', () => {
  it('stores what will be sent, sealed, and nothing in the clear', async () => {
    const pipeline = newPipeline();
    const { submissionId, deliveries } = await accept(pipeline);
    const rows = await site.opened.db.selectFrom('submission').selectAll().execute();
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ id: submissionId, message_type: 'email', submitted_at: clock.read() });
    const stored = JSON.stringify(rows.map((row) => ({ ...row, sealed: row.sealed?.toString('latin1') })));
    for (const secret of ['the subject', 'the text', 'first@acme.test']) expect(stored).not.toContain(secret);
    expect(await findDelivery(site.opened.db, deliveries[0] as number)).toMatchObject({
      recipient: 'bob#corp.test',
      stage: 'route',
      deadline_at: new Date(clock.read().getTime() + GIVE_UP_MS),
    });
  });

  it('knows a message again whose 250 was lost', async () => {
    const pipeline = newPipeline();
    const carol = parseAddress('carol#corp.test');
    const first = await accept(pipeline, MESSAGE, [bob.address, carol]);
    const again = await accept(pipeline, MESSAGE, [carol, bob.address]);
    expect(again).toEqual({ ...first, repeated: true });
    expect((await accept(pipeline, MESSAGE, [carol])).repeated).toBe(false);
    expect((await accept(pipeline, MESSAGE.replace('the text', 'another text'))).repeated).toBe(false);
    clock.advance(REPEAT_WINDOW_MS);
    expect((await accept(pipeline, MESSAGE, [bob.address, carol])).repeated).toBe(true);
    clock.advance(1);
    expect((await accept(pipeline, MESSAGE, [bob.address, carol])).repeated).toBe(false);
  });

  it('takes the same message once when it comes twice at the same time', async () => {
    const pipeline = newPipeline();
    const both = await Promise.all([accept(pipeline), accept(pipeline)]);
    expect(new Set(both.map(({ submissionId }) => submissionId)).size).toBe(1);
    expect(both.map(({ repeated }) => repeated).sort()).toEqual([false, true]);
    expect(both[0]?.deliveries).toHaveLength(1);
  });

  it('takes a message without a Message-ID each time', async () => {
    const pipeline = newPipeline();
    const nameless = MESSAGE.replace(/Message-ID: .*\r\n/, '');
    expect((await accept(pipeline, nameless)).repeated).toBe(false);
    expect((await accept(pipeline, nameless)).repeated).toBe(false);
  });

  it('knows what a reply answers', async () => {
    const pipeline = newPipeline();
    const first = await accept(pipeline);
    const [{ uid }] = (await site.opened.db.selectFrom('submission').select('uid').execute()) as [{ uid: Buffer }];
    const reply = MESSAGE.replace('<first@acme.test>', '<second@acme.test>\r\nIn-Reply-To: <first@acme.test>');
    const second = await accept(pipeline, reply);
    for (const id of [...first.deliveries, ...second.deliveries]) await run(pipeline, id);
    const [original, answer] = corp.messages.map((message) => unseal(bob, message)) as [
      ReturnType<typeof unseal>,
      ReturnType<typeof unseal>,
    ];
    expect(answer.body.reply_to_message_id).toBe(toHex<Hex32>(uid));
    expect(answer.body.reply_to_message_id).toBe(original.header.uid);
    expect(answer.body.thread_id).toBe(original.body.thread_id);
    const keys = await site.keystore.open(site.alice.accountId);
    const reference = referenceOf(keys, '<second@acme.test>');
    const known = await findReference(site.opened.db, site.alice.accountId, reference);
    expect(known?.toString('hex')).toBe(answer.header.uid);
  });

  it('refuses what unpacks to more than a server takes', async () => {
    const pipeline = newPipeline();
    const quotes = Buffer.alloc(MAX_BODY_BYTES / 2 + 1, '"');
    const large = Buffer.concat([Buffer.from(MESSAGE), quotes]);
    await expect(accept(pipeline, large)).rejects.toMatchObject({ code: 'too-large' });
    expect(await site.opened.db.selectFrom('submission').selectAll().execute()).toEqual([]);
  });

  it('stores nothing when any part of it fails', async () => {
    const pipeline = newPipeline();
    await expect(accept(pipeline, MESSAGE, [bob.address, bob.address])).rejects.toThrow();
    await expect(accept(pipeline, MESSAGE, [])).rejects.toMatchObject({ code: 'no-recipients' });
    expect(await site.opened.db.selectFrom('submission').selectAll().execute()).toEqual([]);
    expect((await accept(pipeline)).repeated).toBe(false);
  });

  it('takes mail also while the queue is away, and the sweep finds it', async () => {
    const away = newPipeline({ queue: { kind: 'postgres', connection: { host: '127.0.0.1', port: 1 } } });
    const { deliveries } = await accept(away);
    const pipeline = newPipeline();
    expect(await pipeline.sweep()).toBe(1);
    await pipeline.work();
    await delivered(deliveries.length);
    expect(await stageOf(deliveries[0] as number)).toBe('done');
    expect(site.log.splice(0).filter((line) => line.includes('"unexpected"')).length).toBeGreaterThan(0);
  });
});

/** Resolves when so many deliveries have ended. */
async function delivered(count: number): Promise<void> {
  const ended = (): number => site.log.filter((line) => line.includes('"delivery_ended"')).length;
  while (ended() < count) await site.logged();
}

describe('a failure', () => {
  it('is told by a report that programs and people can read', async () => {
    corp.removeUser(bob);
    const pipeline = newPipeline();
    const { submissionId, deliveries } = await accept(pipeline);
    await run(pipeline, deliveries[0] as number);
    const [body] = (await received()) as [EmailBody];
    expect(() => serializeBody('email', body)).not.toThrow();
    const own = site.alice.address;
    const sent = formatTimestamp(clock.seconds());
    const header = { from: own, to: own, uid: 'ab'.repeat(32) as Hex32, sent };
    const rendered = renderMessage({ header, content: { type: 'email', value: body }, notice: 'failed' });
    const text = rendered.toString('utf8');
    expect(text).toMatch(/multipart\/report/);
    expect(text).toMatch(/Final-Recipient: rfc822; ?bob@corp\.test/);
    expect(text).toMatch(/Action: failed/);
    expect(text).toMatch(/Status: 5\.1\.1/);
    expect(text).toContain('Message-ID: <first@acme.test>');
    const mail = await simpleParser(rendered);
    expect(mail.text).toContain('There is no user bob@corp.test.');
    expect(mail.text).toContain('Check the spelling');
    expect(await submissionContent(site.opened.db, submissionId)).toBeNull();
  });

  it('is told late, and then at the end, each once', async () => {
    const pipeline = newPipeline();
    const { deliveries } = await accept(pipeline, MESSAGE, [parseAddress('dora#dead.test')]);
    const id = deliveries[0] as number;
    for (;;) {
      await run(pipeline, id);
      const delivery = await findDelivery(site.opened.db, id);
      if (delivery === undefined || delivery.finished_at !== null) break;
      clock.moveTo(delivery.next_attempt_at);
    }
    const [late, over, ...more] = (await received()) as [EmailBody, EmailBody];
    expect(more).toEqual([]);
    expect(late.subject).toBe('Delayed, still being tried: the subject');
    expect(over.subject).toBe('Not delivered: the subject');
    expect(over.body).toContain('5 days');
  });

  it('of identity is told while the message is held', async () => {
    bob.messageKeyHead = 'ab'.repeat(32) as Hex32;
    const pipeline = newPipeline();
    const { deliveries } = await accept(pipeline);
    await run(pipeline, deliveries[0] as number);
    const [body] = (await received()) as [EmailBody];
    expect(body.subject).toContain('the subject');
    expect(body.body).toContain('Nothing of it was sent');
  });
});

describe('the whole way', () => {
  async function mailProgram(pipeline: Pipeline): Promise<(mail: SendMailOptions) => Promise<string>> {
    const authority = await testAuthority();
    const issued = await testCertificate('localhost');
    const submission = owned.use(
      createSubmission({
        name: 'localhost',
        tls: { cert: issued.certificate, key: issued.key },
        limits: {
          ...{ messageBytes: 2_000_000, recipients: 10 },
          ...{ connections: 50, connectionsPerAddress: 50, connectionsPerAccount: 50 },
        },
        keystore: site.keystore,
        accept: pipeline.accept,
        checkRecipient: pipeline.checkRecipient,
        events: site.events,
        clock: clock.read,
      }),
    );
    const { port } = await submission.listen({ host: '127.0.0.1', port: 0, implicitTls: true });
    const transport = createTransport({
      ...{ host: '127.0.0.1', port, secure: true },
      auth: { user: 'alice@acme.test', pass: 'secret word' },
      tls: { ca: authority.certificate, servername: 'localhost' },
    });
    owned.defer(() => transport.close());
    return async (mail) => (await transport.sendMail({ from: 'alice@acme.test', ...mail })).response;
  }

  it('carries a letter with picture, copy and blind copy', async () => {
    const carol = corp.addUser('carol', clock.seconds());
    const eve = corp.addUser('eve', clock.seconds());
    const pipeline = newPipeline();
    await pipeline.work();
    const send = await mailProgram(pipeline);
    const picture = Buffer.from(Array.from({ length: 500 }, (_, i) => i % 256));
    const reply = await send({
      ...{ to: 'Bob <bob@corp.test>', cc: 'carol@corp.test', bcc: 'eve@corp.test', subject: 'Grüße' },
      text: 'hello',
      attachments: [{ filename: 'pic.png', content: picture }],
    });
    expect(reply).toMatch(/^250 2\.6\.0 Queued as \d+$/);
    await delivered(3);
    expect(corp.messages.map(({ recipient }) => recipient).sort()).toEqual([bob, carol, eve].map((one) => one.address));
    for (const user of [bob, carol, eve]) {
      const message = corp.messages.find(({ recipient }) => recipient === user.address);
      if (message === undefined) throw new Error('nothing came');
      const { header, body } = unseal(user, message);
      expect(header.to).toBe(user.address);
      expect(body).toMatchObject({ to: ['bob#corp.test'], cc: ['carol#corp.test'], subject: 'Grüße' });
      expect(body.attachments[0]).toMatchObject({ file_name: 'pic.png', content: picture.toString('base64') });
      if (user !== eve) expect(JSON.stringify(body)).not.toContain('eve');
    }
  });

  it('refuses at RCPT whoever can never be reached', async () => {
    const legacy = owned.use(await startHostileServer('legacy.test', { zeroBits: 0, now: clock.seconds }));
    legacy.behave('smimp.txt', (_request, response) => answerText(response, 'nothing here', 404));
    Object.assign(site.hosts, legacy.hosts);
    const pipeline = newPipeline();
    const send = await mailProgram(pipeline);
    const refusal = async (to: string): Promise<unknown> =>
      send({ to, text: 'hi' }).then(
        (response) => response,
        (error: Error & { response?: string }) => error.response,
      );
    expect(await refusal('nobody@corp.test')).toMatch(/^550 5\.1\.1 <nobody@corp\.test>: There is no user/);
    expect(await refusal('bob@legacy.test')).toMatch(/^550 5\.7\.1 <bob@legacy\.test>: .*does not speak SMIMP/);
    expect(await refusal('anybody@dead.test')).toMatch(/^250 /);
  });

  it('holds at the first alarm of identity, and refuses from then on', async () => {
    const pipeline = newPipeline();
    await pipeline.work();
    const send = await mailProgram(pipeline);
    await send({ to: 'bob@corp.test', text: 'before' });
    await delivered(1);
    corp.removeUser(bob);
    bob = corp.addUser('bob', clock.seconds());
    clock.advance(120_000);
    expect(await send({ to: 'bob@corp.test', text: 'now' })).toMatch(/^250 /);
    while ((await received()).length === 0) await site.logged();
    const [held] = await pipeline.operations.list({ state: 'held', limit: 1 });
    expect(held).toMatchObject({ recipient: 'bob#corp.test', error_code: 'pin-replaced' });
    const refused = send({ to: 'bob@corp.test', text: 'again' });
    await expect(refused).rejects.toMatchObject({
      response: expect.stringMatching(/^550 5\.7\.1 <bob@corp\.test>: .*identity/),
    });
    expect(corp.messages).toHaveLength(1);
  });

  it('carries many messages of several senders at once, each exactly once', async () => {
    const pipeline = newPipeline();
    await pipeline.work();
    const send = await mailProgram(pipeline);
    const subjects = Array.from({ length: 24 }, (_, i) => `message ${i}`);
    await Promise.all(subjects.map((subject) => send({ to: 'bob@corp.test', subject, text: 'hi' })));
    await delivered(24);
    const arrived = corp.messages.map((message) => unseal(bob, message).body.subject);
    expect(arrived.sort()).toEqual(subjects.sort());
  });
});
