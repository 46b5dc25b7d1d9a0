/**
 * The demonstration: three bridges as processes, acme.test and corp.test and the gateway gw.test, each with a database of its own.
 * Alice writes with an ordinary mail program, Bob and Carol read with one, every part is compared; then she writes to somebody
 * of the old internet, who answers; and then corp.test rewrites Bob's identity and Alice's bridge refuses to send to it.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ParsedMail } from 'mailparser';
import { GATEWAY, legacySettings, writeToOldInternet } from './legacy.ts';
import { type Person, type ReadMail, readInbox, send } from './mail-clients.ts';
import { startOldInternet } from './old-internet.ts';
import { layOutSites, type RunningSite, runCommand, runJson, type Site, startSite } from './sites.ts';
import { type Say, Story } from './story.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const ATTACHMENT_BYTES = 5_000_000;
/** A red square, 1 × 1 pixel. */
const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==',
  'base64',
);

/** Runs the whole demonstration; true when every check held. */
export async function demonstrate(say: Say): Promise<boolean> {
  const directory = await temporaryDirectory('demo');
  const story = new Story(say);
  const running: RunningSite[] = [];
  const internet = await startOldInternet();
  try {
    say('Three bridges, three databases, one certificate authority, all on this machine.');
    const { settingsOf, publicKey } = await legacySettings(internet, join(directory, 'dkim.pem'));
    const domains = ['acme.test', 'corp.test', GATEWAY];
    const [acme, corp, gateway] = (await layOutSites({ directory, domains, settingsOf })) as [Site, Site, Site];
    running.push(...(await Promise.all([acme, corp, gateway].map((site) => startSite(site)))));
    for (const { site, pid } of running) say(`  ${site.domain}: process ${pid}, API ${site.ports.api}`);
    const alice = await addAccount(acme, 'alice');
    const bob = await addAccount(corp, 'bob');
    const carol = await addAccount(corp, 'carol');
    await letter(story, { alice, bob, carol });
    await blindCopy(story, { alice, bob, carol });
    await reply(story, { alice, bob });
    await printTimeline(story, acme);
    await writeToOldInternet(story, { alice, gateway, internet, publicKey });
    await refusal(story, { alice, bob });
    return story.finish();
  } finally {
    for (const site of running) await site[Symbol.asyncDispose]();
    await internet[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  }
}

async function addAccount(site: Site, name: string): Promise<Person> {
  const mailbox = `${name}@${site.domain}`;
  const added = (await runJson(site, ['account', 'add', mailbox])) as { password: string };
  return { site, mailbox, password: added.password };
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const addresses = (field: ParsedMail['to']): string[] =>
  [field ?? []].flat().flatMap((list) => list.value.map(({ address }) => address ?? ''));

interface People {
  alice: Person;
  bob: Person;
  carol: Person;
}

async function letter(story: Story, { alice, bob, carol }: People): Promise<void> {
  story.say('\nAlice writes to Bob, with a copy to Carol: HTML, a picture in the text, 5 MB attached.');
  const attachment = Buffer.alloc(ATTACHMENT_BYTES, 'smimp-bridge demonstration ');
  await send(alice, {
    from: 'Alice Ängström <alice@acme.test>',
    to: bob.mailbox,
    cc: carol.mailbox,
    subject: 'Plans für Zürich ✓',
    html: '<h1>Plans</h1><p>We meet <b>on Friday</b>: <img src="cid:map@acme.test" alt="the map"></p><ul><li>one</li><li>two</li></ul>',
    attachments: [
      { filename: 'map.png', content: PICTURE, contentType: 'image/png', cid: 'map@acme.test' },
      { filename: 'Bericht für März.bin', content: attachment, contentType: 'application/octet-stream' },
    ],
  });
  for (const reader of [bob, carol]) {
    const [read] = (await readInbox(reader, 1)) as [ReadMail];
    const name = reader.mailbox;
    const { mail } = read;
    story.check(`${name}: subject`, mail.subject === 'Plans für Zürich ✓');
    story.check(`${name}: from Alice, by name`, mail.from?.text === '"Alice Ängström" <alice@acme.test>');
    story.check(`${name}: To is Bob`, addresses(mail.to).join() === bob.mailbox);
    story.check(`${name}: Cc is Carol`, addresses(mail.cc).join() === carol.mailbox);
    const html = String(mail.html);
    story.check(`${name}: heading and emphasis`, html.includes('<h1>Plans</h1><p>We meet <b>on Friday</b>:'));
    story.check(`${name}: the list`, html.includes('<ul><li>one</li><li>two</li></ul>'));
    const inline = mail.attachments.find(({ filename }) => filename === 'map.png');
    story.check(`${name}: the picture, inside the text`, inline?.related === true && PICTURE.equals(inline.content));
    const file = mail.attachments.find(({ filename }) => filename === 'Bericht für März.bin');
    story.check(`${name}: 5 MB, byte for byte`, file !== undefined && digest(file.content) === digest(attachment));
  }
}

async function blindCopy(story: Story, { alice, bob, carol }: People): Promise<void> {
  story.say('\nAlice writes to Bob, with a blind copy to Carol.');
  await send(alice, {
    to: bob.mailbox,
    bcc: carol.mailbox,
    subject: 'Between us',
    text: 'Only for Bob, you would think.',
  });
  for (const reader of [bob, carol]) {
    const mails = await readInbox(reader, 2);
    const read = mails.at(-1);
    story.check(`${reader.mailbox}: arrived`, read?.mail.subject === 'Between us');
    story.check(
      `${reader.mailbox}: no trace of Carol`,
      read?.source.includes('carol') === false || isOwnTrace(read, reader),
    );
  }
}

/** The reader's own address may stand in a trace header above the message, never in the message. */
function isOwnTrace(read: ReadMail | undefined, reader: Person): boolean {
  const fields = [read?.mail.to, read?.mail.cc, read?.mail.bcc].flatMap((field) => addresses(field));
  return read !== undefined && !fields.includes('carol@corp.test') && reader.mailbox.startsWith('carol');
}

async function reply(story: Story, { alice, bob }: Omit<People, 'carol'>): Promise<void> {
  story.say('\nBob answers, Alice answers back: one thread in both mailboxes.');
  const [first] = (await readInbox(bob, 2)) as [ReadMail];
  const original = first.mail.messageId ?? '';
  await send(bob, {
    to: alice.mailbox,
    subject: `Re: ${first.mail.subject}`,
    inReplyTo: original,
    references: original,
    text: '> We meet on Friday\n\nFriday is good.',
  });
  const [answer] = (await readInbox(alice, 1)) as [ReadMail];
  story.check('Alice: answers her letter', answer.mail.inReplyTo === original && original !== '');
  story.check('Alice: the quotation', answer.mail.text?.startsWith('> We meet on Friday\n\nFriday is good.') === true);
  const second = answer.mail.messageId ?? '';
  const underWay = (await runJson(bob.site, ['queue', 'list'])) as QueueEntry[];
  story.check('corp.test: knows that Bob wrote to Alice', underWay.length === 0);
  await send(alice, {
    to: bob.mailbox,
    subject: `Re: ${first.mail.subject}`,
    inReplyTo: second,
    references: [original, second],
    text: 'See you there.',
  });
  const mails = await readInbox(bob, 3);
  const last = mails.at(-1)?.mail;
  story.check('Bob: answers his answer', last?.inReplyTo === second);
  story.check('Bob: knows the whole thread', [last?.references ?? []].flat().join() === [original, second].join());
}

interface QueueEntry {
  id: number;
  recipient: string;
  stage: string;
  zero_bits: number | null;
  error_code: string | null;
}

interface Timeline extends QueueEntry {
  timeline: { at: string; stage: string; outcome: string }[];
}

async function printTimeline(story: Story, acme: Site): Promise<void> {
  story.say('\nWhat every stage did at acme.test:');
  const entries = (await runJson(acme, ['queue', 'list', '--all'])) as QueueEntry[];
  for (const { id } of [...entries].sort((a, b) => a.id - b.id)) {
    const entry = (await runJson(acme, ['queue', 'show', String(id)])) as Timeline;
    story.say(`  delivery ${id} to ${entry.recipient}: ${entry.stage}, proof of work ${entry.zero_bits} bits`);
    const start = Date.parse(entry.timeline[0]?.at ?? '');
    for (const { at, stage, outcome } of entry.timeline) {
      story.say(`    ${String(Date.parse(at) - start).padStart(6)} ms  ${stage.padEnd(8)} ${outcome}`);
    }
    story.check(`delivery ${id} is done`, entry.stage === 'done');
  }
  const toBob = entries.filter(({ recipient }) => recipient === 'bob#corp.test').sort((a, b) => a.id - b.id);
  const bits = toBob.map(({ zero_bits }) => zero_bits ?? 0) as [number, number, number];
  story.check(`work for a stranger, an acquaintance, a correspondent: ${bits.join(' > ')} bits`, isFalling(bits));
}

const isFalling = ([stranger, known, correspondent]: [number, number, number]): boolean =>
  stranger > known && known > correspondent && correspondent > 0;

async function refusal(story: Story, { alice, bob }: Omit<People, 'carol'>): Promise<void> {
  story.say("\ncorp.test rewrites Bob's history: another key under the same address.");
  for (const command of ['remove', 'add']) {
    const flags = command === 'remove' ? ['--yes'] : [];
    const done = await runCommand(bob.site, ['account', command, bob.mailbox, ...flags]);
    story.check(`corp.test: account ${command}`, done.code === 0);
  }
  const before = (await readInbox(alice, 1)).length;
  await send(alice, { to: bob.mailbox, subject: 'For Bob alone', text: 'Not for whoever holds this key.' });
  const notice = (await readInbox(alice, before + 1)).at(-1);
  const told = notice?.source.toString('utf8') ?? '';
  story.check('Alice is told by mail, and told who', told.includes('bob') && told.includes('corp.test'));
  const held = ((await runJson(alice.site, ['queue', 'list'])) as QueueEntry[]).find(({ stage }) => stage === 'held');
  story.check(`the message is held (${held?.error_code})`, held?.recipient === 'bob#corp.test');
  const trust = (await runJson(alice.site, ['trust', 'show', alice.mailbox, bob.mailbox])) as { state: string }[];
  story.check("Alice's pin says REPLACED", trust[0]?.state === 'REPLACED');
}
