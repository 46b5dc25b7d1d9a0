/** fetchmail: keeping, waiting by IDLE, and taking away. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endProgram, runProgram, startProgram } from './programs.ts';
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

export const fetchmailTrial: Trial = {
  name: 'fetchmail',
  what: 'fetchmail carries mail away, also by IDLE: each once, byte for byte',
  programs: ['fetchmail'],
  run,
};

/** What it ends with when there was mail, and when there was none. */
const [FETCHED, NOTHING] = [0, 1];

async function run(field: Field): Promise<void> {
  const world = await field.world();
  const { to, more } = await mailbox(field, 'fetchmail');
  const out = join(field.directory, 'out');
  const deliver = await deliveringTo(out);
  const rc = async (...options: string[]): Promise<string[]> => {
    const path = join(field.directory, `fetchmailrc-${options.join('-')}`);
    const text = [
      'set invisible',
      `poll localhost service ${to.site.ports.imaps} protocol imap auth password bad-header accept`,
      `  user "${to.mailbox}" password "${to.password}" ssl sslcertck sslcertfile "${world.caPath}"`,
      `  norewrite mda "${deliver}" ${options.join(' ')}`,
    ];
    await writeFile(path, `${text.join('\n')}\n`, { mode: 0o600 });
    return ['-f', path, '--pidfile', `${path}.pid`];
  };
  const how = { home: field.directory };
  const fetch = async (...options: string[]) => (await runProgram('fetchmail', await rc(...options), how)).code;

  const before = await onServer(to);
  field.same('the first run gets mail', await fetch('keep'), FETCHED);
  field.check('everything, byte for byte', differences(await delivered(out), textsOf(before)));
  field.check('below the trace as it was sent', changedLetters(before, 'fetchmail'));
  field.same('what it has is marked as read', (await onServer(to)).filter(({ seen }) => !seen).length, 0);
  field.same('the second run gets nothing', await fetch('keep'), NOTHING);

  await more();
  const waiting = startProgram('fetchmail', await rc('keep', 'idle'), how);
  waiting.stdout?.resume();
  waiting.stderr?.resume();
  try {
    await waitFor(() => delivered(out), before.length + 1);
    // It waits by IDLE now, and hears of these.
    for (let n = 2; n <= 3; n += 1) {
      await more();
      await waitFor(() => delivered(out), before.length + n);
    }
  } finally {
    await endProgram(waiting);
  }
  const all = await onServer(to);
  field.check('what comes while it waits by IDLE is there at once', differences(await delivered(out), textsOf(all)));

  await world.restart(world.corp, { kill: true });
  await more();
  const last = await waitFor(() => onServer(to), all.length + 1);
  field.same('after a kill of the bridge it takes what is new away', await fetch('no', 'keep'), FETCHED);
  field.check('nothing is lost or doubled', differences(await delivered(out), textsOf(last)));
  field.check('what it had before stays', differences(textsOf(all), textsOf(await onServer(to))));
  field.same('asked for all, it takes all away', await fetch('fetchall', 'no', 'keep'), FETCHED);
  field.same('nothing is left on the server', (await onServer(to)).length, 0);
}
