/** The two programs: how each is told of a server and a directory, and run. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Place } from '../../bench/imap/raw-client.ts';
import { type HowToRun, type Outcome, outcomeOf, startProgram } from '../programs.ts';
import { LIMITED, MOST_KEPT } from './folders.ts';
import { Maildir } from './maildir.ts';

export interface Synchroniser {
  readonly name: 'mbsync' | 'offlineimap';
  /** Keeps only the newest messages of the folder LIMITED here. */
  readonly limits: boolean;
  /** Removes what is marked as deleted on either side, and folders that are gone on one. */
  readonly removes: boolean;
  /** Mail of the corpus that it writes otherwise than it read it. */
  readonly changes: RegExp;
  /** What is handed up and interrupted is found again, not put in twice. */
  readonly resumesUploads: boolean;
  /** Writes its configuration; its arguments. `root`: where the Maildirs are to be. */
  layOut(home: string, root: string, place: Place): Promise<readonly string[]>;
}

const mbsync: Synchroniser = {
  ...{ name: 'mbsync', limits: true, removes: true, changes: /^$/, resumesUploads: true },
  async layOut(home, root, { port, user, password }) {
    const states = join(home, 'states');
    await mkdir(states);
    const common = [`SyncState ${states}/`, 'Create Both', 'Remove Both', 'Expunge Both'];
    const lines = [
      ...['IMAPStore far', 'Host localhost', `Port ${port}`, `User ${user}`, `Pass ${password}`],
      ...['SSLType IMAPS', `CertificateFile ${join(home, 'ca.pem')}`, ''],
      ...['MaildirStore near', `Path ${root}/`, `Inbox ${root}/INBOX`, 'SubFolders Verbatim', ''],
      ...['Channel all', 'Far :far:', 'Near :near:', `Patterns * "!${LIMITED}"`, ...common, ''],
      ...['Channel some', `Far ":far:${LIMITED}"`, `Near ":near:${LIMITED}"`],
      ...[`MaxMessages ${MOST_KEPT}`, 'ExpireUnread yes', ...common, ''],
    ];
    await writeFile(join(home, '.mbsyncrc'), lines.join('\n'));
    return ['--config', join(home, '.mbsyncrc'), '--all'];
  },
};

/** Python's parser reads it and writes it anew. */
const CHANGED_BY_PYTHON =
  /^(?:broken-.*|fields-(?:no-space|odd-names)|parts-(?:boundary-spaces|rfc822-base64)|report-(?:arf|mdn)|subject-(?:empty|space-before-colon))$/;

const offlineimap: Synchroniser = {
  ...{ name: 'offlineimap', limits: false, removes: false, changes: CHANGED_BY_PYTHON, resumesUploads: false },
  async layOut(home, root, { port, user, password }) {
    const lines = [
      ...['[general]', 'accounts = a', `metadata = ${join(home, 'metadata')}`, ''],
      ...['[Account a]', 'localrepository = here', 'remoterepository = there', ''],
      ...['[Repository here]', 'type = Maildir', `localfolders = ${root}`, 'sep = /', 'customflag_a = $Label1', ''],
      ...['[Repository there]', 'type = IMAP', 'remotehost = localhost', `remoteport = ${port}`],
      ...[`remoteuser = ${user}`, `remotepass = ${password.replaceAll('%', '%%')}`, 'ssl = yes'],
      ...[`sslcacertfile = ${join(home, 'ca.pem')}`, 'maxconnections = 2', ''],
    ];
    await writeFile(join(home, 'offlineimaprc'), lines.join('\n'));
    return ['-c', join(home, 'offlineimaprc'), '-o', '-1', '-u', 'quiet'];
  },
};

export const SYNCHRONISERS: readonly Synchroniser[] = [mbsync, offlineimap];

/** One user of one program at one server. */
export interface Workplace {
  readonly program: Synchroniser;
  readonly maildir: Maildir;
  /** Runs it to its end. `meanwhile`: done as soon as it has brought that many files, and before its end is waited for. */
  sync(meanwhile?: { files: number; act: (kill: () => void) => Promise<void> }): Promise<Outcome>;
}

const LOOK_AGAIN_MS = 10;

export async function workplace(program: Synchroniser, home: string, place: Place): Promise<Workplace> {
  const root = join(home, 'mail');
  await mkdir(root, { recursive: true });
  await writeFile(join(home, 'ca.pem'), place.ca);
  const args = await program.layOut(home, root, place);
  const how: HowToRun = { home };
  const maildir = new Maildir(root);
  return {
    ...{ program, maildir },
    async sync(meanwhile) {
      const before = meanwhile === undefined ? 0 : await maildir.count();
      const child = startProgram(program.name, args, how);
      const outcome = outcomeOf(child, how);
      if (meanwhile === undefined) return outcome;
      const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
      while (!isOver() && (await maildir.count()) < before + meanwhile.files)
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
      await meanwhile.act(() => child.kill('SIGKILL'));
      return outcome;
    },
  };
}
