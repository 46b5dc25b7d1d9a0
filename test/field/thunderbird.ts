/** Thunderbird without a display, driven from inside: offline work, search, drafts, filters, tags, folders, files, invitations. */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Person, readInbox, send } from '../../src/admin/demo/mail-clients.ts';
import { runCommand, runJson } from '../../src/admin/demo/sites.ts';
import { corpusMail } from '../support/mail-corpus.ts';
import { asLines } from './letters.ts';
import { type Contents, contentsOf, pathsOf } from './mailboxes.ts';
import { type Step, startThunderbird } from './thunderbird-program.ts';
import type { Field, Trial } from './trial.ts';
import type { World } from './world.ts';

export const thunderbirdTrial: Trial = {
  name: 'thunderbird',
  what: 'Thunderbird: offline work, search, drafts, filters, tags, folders, large files, invitations, the Outbox',
  programs: ['thunderbird'],
  run,
};

interface Using {
  readonly field: Field;
  readonly world: World;
  readonly alice: Person;
  readonly bob: Person;
  readonly step: Step;
  /** One check: the server comes to hold this. Thunderbird does what it is told here first, and tells the server later. */
  server(what: string, expected: Contents): Promise<void>;
}

async function run(field: Field): Promise<void> {
  const world = await field.world();
  const [alice, bob] = [await world.account(world.acme, 'thunderbird'), await world.account(world.corp, 'thunderbird')];
  for (const subject of LETTERS)
    await send(bob, { to: alice.mailbox, subject, text: `This is ${subject}, with word${subject.slice(-1)}.` });
  await readInbox(alice, LETTERS.length);
  await using program = await startThunderbird(field.directory);
  const { step } = program;
  const server: Using['server'] = async (what, expected) =>
    field.same(what, await settled(step, alice, expected), expected);
  const using: Using = { field, world, alice, bob, step, server };

  const authority = world.acme.ca.replace(/-----[^-]*-----|\s/g, '');
  const { mailbox, password, site } = alice;
  const folders = (await step('setUp', { mailbox, password, ports: site.ports, name: 'Alice', authority })) as Shown[];
  const uses = Object.fromEntries(folders.map(({ path, flags }) => [path, flags.join()]));
  field.same('each folder has its use', uses, USES);
  await offline(using);
  await searches(using);
  await writing(using);
  await arriving(using);
  await tags(using);
  await folderTree(using);
  await outbox(using);
  await largeFile(using);
}

interface Shown {
  path: string;
  flags: string[];
  messages: number;
}

const LETTERS = Array.from({ length: 9 }, (_, n) => `Letter ${n}`);
const USES = {
  ...{ INBOX: 'Inbox', Archive: 'Archive', Drafts: 'Drafts', Junk: 'Junk' },
  ...{ Outbox: '', Sent: 'SentMail', Trash: 'Trash' },
};
const MOST_MS = 40_000;

async function settled(step: Step, person: Person, expected: Contents): Promise<Contents> {
  const end = performance.now() + MOST_MS;
  for (;;) {
    const found = await contentsOf(person, Object.keys(expected));
    if (JSON.stringify(found) === JSON.stringify(expected) || performance.now() > end) return found;
    await step('update', 'INBOX');
  }
}

const letters = (...numbers: number[]): string[] => numbers.map((n) => `Letter ${n}`);

/** One letter at a time: of several that are moved together offline it forgets all but the first, whoever the server is. */
async function offline({ field, step, server }: Using): Promise<void> {
  await step('createFolder', 'Work');
  await step('update', 'INBOX');
  field.same('everything is taken for offline use', await step('downloadAll', 'INBOX'), []);
  await step('goOffline');
  await step('change', 'INBOX', letters(0), { read: true });
  await step('change', 'INBOX', letters(1), { flagged: true });
  await step('change', 'INBOX', letters(2), { delete: true });
  await step('change', 'INBOX', letters(3), { moveTo: 'Work' });
  await step('change', 'INBOX', letters(4), { copyTo: 'Work' });
  await step('change', 'INBOX', letters(5), { tag: '$label1 urlaub' });
  await step('goOnline');
  await server('what was done offline is done', {
    INBOX: ['Letter 0 \\Seen', 'Letter 1 \\Flagged', 'Letter 4', 'Letter 5 $label1 urlaub', ...letters(6, 7, 8)],
    Trash: letters(2),
    Work: letters(4, 3),
  });
}

async function searches({ field, step }: Using): Promise<void> {
  for (const onServer of [true, false]) {
    const where = onServer ? 'on the server' : 'here';
    const find = (attribute: string, value: string) => step('search', 'INBOX', { attribute, value, onServer });
    field.same(`search ${where}: subjects`, await find('Subject', 'etter 7'), letters(7));
    field.same(`search ${where}: texts`, await find('Body', 'word6'), letters(6));
  }
}

async function writing({ bob, step, server, field }: Using): Promise<void> {
  await step('write', { to: bob.mailbox, subject: 'A draft', body: '<p>Gr\u00fc\u00dfe</p>' });
  for (let n = 1; n <= 5; n += 1) await step('saveDraft', ` more ${n}`);
  await server('saved five times it is one draft', { Drafts: ['A draft \\Draft'] });
  await step('send');
  await server('sent, it is no draft and kept once', { Drafts: [], Sent: ['A draft \\Seen'] });
  await step('keepCopies', false);
  await step('write', { to: bob.mailbox, subject: 'No copy', body: '<p>Text</p>' });
  await step('send');
  await server('also when it keeps no copies itself', { Sent: ['A draft \\Seen', 'No copy \\Seen'] });
  await step('keepCopies', true);
  const subjects = (await readInbox(bob, 2)).map(({ mail }) => mail.subject);
  field.same('both arrived', subjects.sort(), ['A draft', 'No copy']);
}

async function arriving({ field, alice, bob, step, server }: Using): Promise<void> {
  await step('addFilter', { subject: '[list]', moveTo: 'Work', tag: '$label3' });
  await send(bob, { to: alice.mailbox, subject: '[list] News', text: 'News.' });
  await server('a filter tags and moves what comes in', { Work: [...letters(4, 3), '[list] News $label3'] });
  const { raw } = corpusMail('calendar-outlook-request');
  const invitation = raw.toString('latin1').replace(/^(From|To|Subject):.*\r?\n/gim, '');
  const fields = `From: ${bob.mailbox}\r\nTo: ${alice.mailbox}\r\nSubject: Invitation\r\n`;
  const envelope = { from: bob.mailbox, to: alice.mailbox };
  await send(bob, { raw: asLines(Buffer.from(`${fields}${invitation}`, 'latin1')), envelope });
  await readInbox(alice, 8);
  await step('update', 'INBOX');
  const { text } = (await step('read', 'INBOX', 'Invitation')) as { text: string };
  field.check('an invitation is recognised', text.includes('has invited you to') ? [] : [text]);
}

async function tags({ field, alice, bob, step, server }: Using): Promise<void> {
  await step('change', 'INBOX', letters(6), { tag: '$label2 eigenes' });
  await step('change', 'INBOX', letters(5), { untag: '$label1' });
  await step('change', 'INBOX', letters(7), { junk: true });
  await step('change', 'INBOX', letters(8), { junk: false });
  const inbox = [
    'Letter 5 urlaub',
    'Letter 6 $label2 eigenes',
    'Letter 7 $Junk',
    'Letter 8 $NotJunk',
    'Invitation \\Seen',
  ];
  await server('tags and judgements of junk are seen by others', {
    INBOX: ['Letter 0 \\Seen', 'Letter 1 \\Flagged', 'Letter 4', ...inbox],
  });
  const { fingerprint } = (await runJson(bob.site, ['whois', bob.mailbox])) as { fingerprint: string };
  await runCommand(alice.site, ['trust', 'verify', alice.mailbox, bob.mailbox, fingerprint]);
  const isVerified = (await step('awaitKeyword', 'INBOX', 'Letter 0', '$smimpverified')) === true;
  field.check('a comparison of fingerprints is heard of at once', isVerified ? [] : ['it is not']);
}

async function folderTree({ field, alice, step, server }: Using): Promise<void> {
  for (const path of ['Project', 'Project/A', 'Project/A/Deep']) await step('createFolder', path);
  await step('change', 'INBOX', letters(0), { moveTo: 'Project/A' });
  await server('a letter is moved inside', { 'Project/A': ['Letter 0 \\Seen'] });
  await step('renameFolder', 'Project/A', '\u00c4rger (1) & Co');
  const renamed = 'Project/\u00c4rger (1) & Co';
  await server('a folder is renamed with what is in it', { [renamed]: ['Letter 0 \\Seen'], [`${renamed}/Deep`]: [] });
  await step('moveFolder', renamed, 'Trash');
  const away = renamed.replace('Project', 'Trash');
  await server('and deleted to the bin', { [away]: ['Letter 0 \\Seen'], [`${away}/Deep`]: [] });
  for (const path of [`${away}/Deep`, away, 'Project']) await step('deleteFolder', path);
  const expected = ['Archive', 'Drafts', 'INBOX', 'Junk', 'Outbox', 'Sent', 'Trash', 'Work'];
  await server('and for good', { Trash: letters(2) });
  field.same('no folder is left over', await pathsOf(alice), expected);
  field.same('nor any subscription', await pathsOf(alice, true), expected);
}

async function outbox({ field, world, bob, step, server }: Using): Promise<void> {
  process.kill(world.pid(world.corp), 'SIGSTOP');
  try {
    await step('write', { to: bob.mailbox, subject: 'Waits', body: '<p>Text</p>' });
    await step('send');
    await server('what waits is shown', { Outbox: ['Waits \\Seen'] });
    const reason = 'cannot be reached';
    const text = await readUntil(step, reason);
    field.check('with the reason', text.includes(reason) ? [] : [text]);
    await step('change', 'Outbox', ['Waits'], { delete: true });
    await server('and deleting it there leaves a note', { Outbox: [], Trash: ['Letter 2', 'Waits \\Seen'] });
    field.same('it is cancelled', await runJson(world.acme, ['queue', 'list']), []);
  } finally {
    process.kill(world.pid(world.corp), 'SIGCONT');
  }
}

/** It waits first, and is tried then. */
async function readUntil(step: Step, words: string): Promise<string> {
  const end = performance.now() + MOST_MS;
  for (;;) {
    await step('update', 'Outbox');
    const { text } = (await step('read', 'Outbox', 'Waits')) as { text: string };
    if (text.includes(words) || performance.now() > end) return text;
  }
}

const LARGE_BYTES = 20_000_000;

async function largeFile({ field, alice, bob, step, server }: Using): Promise<void> {
  const [path, saved] = [join(field.directory, 'large.bin'), join(field.directory, 'saved.bin')];
  const content = randomBytes(LARGE_BYTES);
  await writeFile(path, content);
  await step('write', { to: bob.mailbox, subject: 'Large', body: '<p>See</p>', files: [path] });
  await step('saveDraft', ' it');
  await step('send');
  await server('20 MB are sent, and kept once', {
    Drafts: [],
    Sent: ['A draft \\Seen', 'No copy \\Seen', 'Waits \\Seen', 'Large \\Seen'],
  });
  const arrived = (await readInbox(bob, 3)).at(-1)?.mail.attachments[0]?.content;
  field.check('and arrive', arrived?.equals(content) === true ? [] : ['another file']);
  await send(bob, {
    to: alice.mailbox,
    subject: 'Large too',
    attachments: [{ filename: 'gr\u00f6\u00dfe.bin', content }],
  });
  await readInbox(alice, 8);
  await step('update', 'INBOX');
  await step('read', 'INBOX', 'Large too');
  await step('saveAttachment', 'gr\u00f6\u00dfe.bin', saved);
  field.check('20 MB are read and saved', (await readFile(saved)).equals(content) ? [] : ['another file']);
}
