/** getmail6, keeping and not keeping mail on the server. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { succeed } from './programs.ts';
import {
  changedLetters,
  delivered,
  deliveringTo,
  differences,
  mailbox,
  onServer,
  textsOf,
  waitFor,
} from './retrieving.ts';
import type { Field, Trial } from './trial.ts';

export const getmailTrial: Trial = {
  name: 'getmail',
  what: 'getmail6 carries mail away: each once, byte for byte',
  programs: ['getmail'],
  run,
};

async function run(field: Field): Promise<void> {
  const world = await field.world();
  const { to, more } = await mailbox(field, 'getmail');
  const [rc, out] = [join(field.directory, 'getmailrc'), join(field.directory, 'out')];
  const deliver = await deliveringTo(out);
  const retriever = [
    ...['[retriever]', 'type = SimpleIMAPSSLRetriever', 'server = localhost', `port = ${to.site.ports.imaps}`],
    ...[`username = ${to.mailbox}`, `password = ${to.password}`, `ca_certs = ${world.caPath}`],
  ];
  // As root it delivers to nothing but a command.
  const destination = [
    ...['[destination]', 'type = MDA_external', 'path = /bin/sh', 'allow_root_commands = true'],
    `arguments = ("-c", "${deliver}")`,
  ];
  const get = async (deletes: boolean): Promise<string> => {
    const options = [
      '[options]',
      'read_all = false',
      'delivered_to = false',
      'received = false',
      `delete = ${deletes}`,
    ];
    await writeFile(rc, [...retriever, ...destination, ...options, ''].join('\n'), { mode: 0o600 });
    const { said } = await succeed('getmail', ['-g', field.directory, '-r', rc], { home: field.directory });
    return / (\d+) messages \(.*retrieved, (\d+) skipped/.exec(said)?.slice(1, 3).join(' and ') ?? said;
  };

  const before = await onServer(to);
  field.same('the first run gets everything', await get(false), `${before.length} and 0`);
  field.check(
    'the letters byte for byte below the trace, and all others',
    differences(await delivered(out), textsOf(before), essence),
  );
  field.check('below the trace as it was sent', changedLetters(before, 'getmail'));
  field.same('the second run gets nothing', await get(false), `0 and ${before.length}`);
  await world.restart(world.corp, { kill: true });
  await more();
  await more();
  const all = await waitFor(() => onServer(to), before.length + 2);
  field.same('after a kill of the bridge it gets what is new', await get(false), `2 and ${before.length}`);
  field.same('it takes away what it has', await get(true), `0 and ${all.length}`);
  field.check('nothing is lost or doubled', differences(await delivered(out), textsOf(all), essence));
  field.same('nothing is left on the server', (await onServer(to)).length, 0);
}

/**
 * It writes mail anew, by Python's library: it folds long fields, ends what has no end, and says where mail is from. So of mail
 * of odd shapes only what it is called is compared, of letters everything below the trace.
 */
function essence(text: string): string {
  const letter = /^From: getmail@[\s\S]*/m.exec(text.replace(/^X-getmail-retrieved-from-mailbox: .*\n/m, ''));
  if (letter !== null) return letter[0];
  const [header = ''] = text.replace(/\n[ \t]+/g, ' ').split('\n\n');
  const named = (name: string): string => new RegExp(`^${name}:(.*)`, 'im').exec(header)?.[1] ?? '';
  return ['Subject', 'Message-ID', 'Date'].map((name) => named(name).replace(/\s+/g, '')).join('\n');
}
