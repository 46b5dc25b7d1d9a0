/** mutt on a terminal of its own, told keys: sending, postponing, searching, tagging, moving, deleting to the bin. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Person, readInbox, send } from '../../src/admin/demo/mail-clients.ts';
import { contentsOf, eventually } from './mailboxes.ts';
import { succeed } from './programs.ts';
import type { Field, Trial } from './trial.ts';

export const muttTrial: Trial = {
  name: 'mutt',
  what: 'mutt: postponed mail, copies of sent mail, search, moving, the bin',
  programs: ['mutt', 'script'],
  run,
};

const LETTERS = 8;

async function run(field: Field): Promise<void> {
  const world = await field.world();
  const [alice, bea] = [await world.account(world.acme, 'muttfrom'), await world.account(world.corp, 'mutt')];
  for (let n = 0; n < LETTERS; n += 1)
    await send(alice, { to: bea.mailbox, subject: `Letter ${n}`, text: `Text with word${n}.` });
  await readInbox(bea, LETTERS);
  const keys = await muttOf(bea, { home: field.directory, caPath: world.caPath });
  const see = (what: string, expected: Record<string, string[]>): Promise<void> =>
    eventually(() => contentsOf(bea, Object.keys(expected)), expected).then((found) =>
      field.same(what, found, expected),
    );

  await succeed('mutt', ['-F', join(field.directory, 'muttrc'), '-s', 'By the shell', '--', alice.mailbox], {
    home: field.directory,
    input: 'Text.\n',
  });
  await see('mail sent from the shell is kept once', { Sent: ['By the shell \\Seen'] });
  await keys(`<mail>${alice.mailbox}<enter>Postponed<enter><postpone-message><quit>`);
  await see('postponed mail is one draft', { Drafts: ['Postponed \\Draft'] });
  for (const end of ['<edit-message><postpone-message>', '<edit-message><postpone-message>'])
    await keys(`<recall-message>${end}<quit>`);
  await see('also when it is postponed again and again', { Drafts: ['Postponed \\Draft'] });
  await keys('<recall-message><send-message><quit>');
  await see('sent, it is no draft and kept once', {
    Drafts: [],
    Sent: ['By the shell \\Seen', 'Postponed \\Seen'],
  });
  const [first, second] = await readInbox(alice, 2);
  field.same('both arrived', [first?.mail.subject, second?.mail.subject], ['By the shell', 'Postponed']);

  await keys('<limit>~b word5<enter><flag-message><quit>');
  await keys('<tag-pattern>~b \\"word[12]\\"<enter><tag-prefix><save-message>=Work<enter><quit>');
  await keys('<delete-pattern>~s \\"Letter 3\\"<enter><quit>');
  await keys('<search>~s \\"Letter 6\\"<enter><display-message><exit><quit>');
  await see('found by text, flagged; moved by tags; deleted to the bin; read', {
    INBOX: ['Letter 0', 'Letter 4', 'Letter 5 \\Flagged', 'Letter 6 \\Seen', 'Letter 7'],
    Work: ['Letter 1', 'Letter 2'],
    Trash: ['Letter 3'],
  });
  // What it has of messages and headers in files of its own is still right after a kill of the bridge.
  await world.restart(world.corp, { kill: true });
  await keys('<limit>~b word7<enter><copy-message>=Work<enter><quit>');
  await see('its caches are right after a kill of the bridge', { Work: ['Letter 1', 'Letter 2', 'Letter 7'] });
}

/** A configuration and a directory for its caches; what it gives runs mutt, which is told keys. */
async function muttOf(
  person: Person,
  { home, caPath }: { home: string; caPath: string },
): Promise<(keys: string) => Promise<void>> {
  const { ports } = person.site;
  const place = (name: string): string => join(home, name);
  await Promise.all(['headers', 'bodies'].map((name) => mkdir(place(name))));
  await writeFile(place('edit'), '#!/bin/sh\necho "One more line." >> "$1"\n');
  await chmod(place('edit'), 0o755);
  const settings = {
    ...{ folder: `imaps://localhost:${ports.imaps}/`, spoolfile: '+INBOX', record: '+Sent', postponed: '+Drafts' },
    ...{ trash: '+Trash', imap_user: person.mailbox, imap_pass: person.password, smtp_pass: person.password },
    ...{ smtp_url: `smtps://${person.mailbox}@localhost:${ports.submissions}/`, from: person.mailbox },
    // One for GnuTLS, one for OpenSSL.
    ...{ ssl_ca_certificates_file: caPath, certificate_file: caPath },
    ...{ header_cache: place('headers'), message_cachedir: place('bodies'), editor: place('edit') },
    ...{ copy: 'yes', delete: 'yes', move: 'no', postpone: 'yes', recall: 'no', quit: 'yes', use_from: 'yes' },
    ...{ confirmappend: 'no', confirmcreate: 'no', wait_key: 'no', abort_unmodified: 'no', sleep_time: '0' },
  };
  const lines = Object.entries(settings).map(([name, value]) => `set ${name}="${value}"\n`);
  await writeFile(place('muttrc'), lines.join(''), { mode: 0o600 });
  return async (keys) => {
    await writeFile(place('keys'), `push "${keys}"\n`);
    const command = `mutt -F ${place('muttrc')} -e 'source ${place('keys')}'`;
    await succeed('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      home,
      variables: { TERM: 'xterm' },
      timeoutMs: 120_000,
    });
  };
}
