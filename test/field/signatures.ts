/**
 * What other programs signed, encrypted or made before it was sent goes through two bridges, and those programs judge what
 * comes out by IMAP: OpenDKIM, GnuPG, openssl and git. Handed in in turns by swaks, msmtp and curl.
 */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { imapClient, type Person, readInbox } from '../../src/admin/demo/mail-clients.ts';
import { corpusMail } from '../support/mail-corpus.ts';
import { dkimLetters } from './dkim.ts';
import { head, type Letter, SENDERS, withoutTrace } from './letters.ts';
import { openPgpLetters } from './openpgp.ts';
import { patchSeries } from './patches.ts';
import { smimeLetters } from './smime.ts';
import type { Field, Trial } from './trial.ts';

export const signaturesTrial: Trial = {
  name: 'signatures',
  what: 'DKIM, PGP, S/MIME, patches and invitations through two bridges',
  programs: ['opendkim', 'opendkim-testmsg', 'gpg', 'gpgconf', 'openssl', 'git', 'swaks', 'msmtp', 'curl'],
  run,
};

const INVITATIONS = ['calendar', 'calendar-google-request', 'calendar-outlook-request', 'calendar-apple-request'];

const CHANGED_AT = [0.6, 0.7, 0.8, 0.9];

async function run(field: Field): Promise<void> {
  const world = await field.world();
  const [alice, bob] = [await world.account(world.acme, 'alice'), await world.account(world.corp, 'bob')];
  const { directory } = field;
  await copyFile(world.caPath, join(directory, 'ca.pem'));
  const people = { from: 'Alice <alice@acme.test>', to: bob.mailbox };

  const pgp = await openPgpLetters(people, join(directory, 'gnupg'));
  try {
    const letters = [
      ...(await dkimLetters(people, join(directory, 'dkim'))),
      ...pgp.letters,
      ...(await smimeLetters(people, join(directory, 'smime'))),
    ];
    const series = await patchSeries(people, join(directory, 'patches'));
    const invitations = INVITATIONS.map((name) => invitation(name, people));
    const raws = [...letters.map(({ raw }) => raw), ...series.raws, ...invitations];
    const by = await sendAll(raws, { person: alice, to: bob.mailbox, home: directory });
    const arrived = await readAll(bob, raws);

    for (const [n, letter] of letters.entries())
      field.check(`${letter.name}: verifies (sent by ${by[n]})`, await judged(letter, arrived[n] ?? null));
    field.check('control: with one letter changed, none verifies', await forgeries(letters));
    const same = raws.filter((raw, n) => arrived[n]?.equals(raw) !== true);
    field.check(
      `${raws.length} messages come out byte for byte`,
      same.map((raw) => `another one: ${subjectOf(raw)}`),
    );
    const patches = arrived.slice(letters.length, letters.length + series.raws.length).map((one) => one as Buffer);
    field.check(`${patches.length - 1} patches apply by git am to the same tree`, await series.apply(patches));
    field.check('invitations keep method=REQUEST in BODYSTRUCTURE', await invited(bob, invitations));
  } finally {
    await pgp.end();
  }
}

const judged = (letter: Letter, arrived: Buffer | null): Promise<readonly string[]> =>
  arrived === null ? Promise.resolve(['it did not arrive']) : letter.verify(arrived);

/** Those that verify all the same, wherever a letter is changed: there is more in a message than what is signed. */
async function forgeries(letters: readonly Letter[]): Promise<string[]> {
  const believed: string[] = [];
  for (const { name, raw, verify } of letters) {
    let refused = false;
    for (const part of CHANGED_AT) refused ||= (await verify(changedAt(raw, part))).length > 0;
    if (!refused) believed.push(name);
  }
  return believed;
}

/** The next letter is another one. */
function changedAt(raw: Buffer, part: number): Buffer {
  const text = raw.toString('latin1');
  const at = Math.floor(text.length * part);
  const rest = text.slice(at).replace(/[a-z]/, (one) => (one === 'x' ? 'y' : 'x'));
  return Buffer.from(`${text.slice(0, at)}${rest}`, 'latin1');
}

const subjectOf = (raw: Buffer): string => /^Subject: (.*)\r$/im.exec(raw.toString('latin1'))?.[1] ?? '';
const idOf = (raw: Buffer): string => /^Message-ID:\s*(<[^>]*>)/im.exec(raw.toString('latin1'))?.[1] ?? '';

/** One of the corpus, as from Alice. */
function invitation(name: string, { from, to }: { from: string; to: string }): Buffer {
  const text = corpusMail(name).raw.toString('latin1').replace(/\r?\n/g, '\r\n');
  const end = text.indexOf('\r\n\r\n');
  const kept = text.slice(0, end + 2).match(/^Content-[^\r]*\r\n(?:[ \t][^\r]*\r\n)*/gim) ?? [];
  const ends = text.endsWith('\r\n') ? '' : '\r\n';
  return Buffer.from(`${head(from, to, name)}${kept.join('')}${text.slice(end + 2)}${ends}`, 'latin1');
}

/** Which program sent each. */
async function sendAll(
  raws: readonly Buffer[],
  sending: { person: Person; to: string; home: string },
): Promise<string[]> {
  const senders = Object.entries(SENDERS);
  const names: string[] = [];
  for (const [n, raw] of raws.entries()) {
    const [name, send] = senders[n % senders.length] as (typeof senders)[number];
    await send({ ...sending, raw });
    names.push(name);
  }
  return names;
}

/** In the order of `raws`, without what was put above; null for one that is not there. */
async function readAll(person: Person, raws: readonly Buffer[]): Promise<(Buffer | null)[]> {
  const mails = (await readInbox(person, raws.length)).map(({ source }) => withoutTrace(source));
  return raws.map((raw) => mails.find((mail) => idOf(mail) === idOf(raw)) ?? null);
}

async function invited(person: Person, invitations: readonly Buffer[]): Promise<string[]> {
  const client = imapClient(person);
  await client.connect();
  await client.mailboxOpen('INBOX');
  const structures = new Map<string, string>();
  for await (const { envelope, bodyStructure } of client.fetch('1:*', { envelope: true, bodyStructure: true }))
    structures.set(envelope?.messageId ?? '', JSON.stringify(bodyStructure));
  await client.logout();
  return invitations
    .filter(
      (raw) => !/"type":"text\/calendar","parameters":\{[^}]*"method":"REQUEST"/i.test(structures.get(idOf(raw)) ?? ''),
    )
    .map((raw) => `${subjectOf(raw)}: ${structures.get(idOf(raw))}`);
}
