/** curl: what scripts do with mail. */
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readInbox } from '../../src/admin/demo/mail-clients.ts';
import { asLines, head, withoutTrace } from './letters.ts';
import { runProgram } from './programs.ts';
import type { Field, Trial } from './trial.ts';

export const curlTrial: Trial = {
  name: 'curl',
  what: 'curl: LIST, APPEND, FETCH by UID and section, SEARCH, commands of its own, sending',
  programs: ['curl'],
  run,
};

/** What curl ends with. */
const NOT_FOUND = 78;

async function run(field: Field): Promise<void> {
  const world = await field.world();
  const [amy, bob] = [await world.account(world.acme, 'curl'), await world.account(world.corp, 'curl')];
  const [ca, letter] = [join(field.directory, 'ca.pem'), join(field.directory, 'letter.eml')];
  await copyFile(world.caPath, ca);
  const raw = asLines(`${head(amy.mailbox, bob.mailbox, 'By curl')}\r\nFirst\r\n.\r\nlast: Gr\u00fc\u00dfe\r\n`);
  await writeFile(letter, raw);
  const curl = async (url: string, ...args: string[]) => {
    const login = ['--silent', '--show-error', '--cacert', ca, '--user', `${amy.mailbox}:${amy.password}`];
    return runProgram('curl', [...login, url, ...args], { home: field.directory });
  };
  const { imaps, submissions } = amy.site.ports;
  const said = async (path: string, ...args: string[]): Promise<string> =>
    (await curl(`imaps://localhost:${imaps}/${path}`, ...args)).said.replace(/\r/g, '');

  const folders = ['INBOX', 'Archive', 'Drafts', 'Junk', 'Outbox', 'Sent', 'Trash'];
  const listed = (await said('')).split('\n').map((line) => line.split(' ').at(-1));
  field.same('LIST', listed, folders);
  field.same('APPEND', (await curl(`imaps://localhost:${imaps}/Archive`, '--upload-file', letter)).code, 0);
  const uid = /\* SEARCH (\d+)$/.exec(await said('Archive', '--request', 'UID SEARCH SUBJECT "by curl"'))?.[1] ?? '';
  field.same('SEARCH by a query', await said('Archive?BODY%20first'), '* SEARCH 1');
  const fetched = await curl(`imaps://localhost:${imaps}/Archive;UID=${uid}`);
  field.check('FETCH by UID, byte for byte', fetched.stdout.equals(raw) ? [] : [fetched.said]);
  field.same(
    'FETCH of a section',
    await said(`Archive;UID=${uid};SECTION=HEADER.FIELDS%20(SUBJECT)`),
    'Subject: By curl',
  );
  field.same('FETCH of a part', await said(`Archive;UID=${uid};SECTION=TEXT;PARTIAL=0.5`), 'First');
  field.same(
    'FETCH of what is not there',
    (await curl(`imaps://localhost:${imaps}/Archive;UID=999999`)).code,
    NOT_FOUND,
  );
  const flags = await said('Archive', '--request', 'STORE 1 +FLAGS (\\Deleted)');
  field.same('STORE', flags, '* 1 FETCH (FLAGS (\\Seen \\Deleted))');
  field.same('EXPUNGE', await said('Archive', '--request', 'EXPUNGE'), '* 1 EXPUNGE');
  field.same(
    'STATUS',
    await said('', '--request', 'STATUS Archive (MESSAGES SIZE)'),
    '* STATUS Archive (MESSAGES 0 SIZE 0)',
  );
  field.same(
    'NO is an error',
    (await curl(`imaps://localhost:${imaps}/`, '--request', 'SELECT Nowhere')).code === 0,
    false,
  );

  const envelope = ['--mail-from', amy.mailbox, '--mail-rcpt', bob.mailbox];
  const sent = await curl(`smtps://localhost:${submissions}`, ...envelope, '--upload-file', letter);
  field.same('sending', sent.code, 0);
  const [arrived] = await readInbox(bob, 1);
  field.check(
    'it arrives byte for byte',
    withoutTrace(arrived?.source ?? Buffer.alloc(0)).equals(raw) ? [] : ['another one'],
  );
  const unknown = ['--mail-from', amy.mailbox, '--mail-rcpt', 'nobody@corp.test'];
  const refused = await curl(`smtps://localhost:${submissions}`, ...unknown, '--upload-file', letter);
  field.check('nobody is refused', refused.code === 0 ? ['it was taken'] : []);
}
