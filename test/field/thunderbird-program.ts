/** Thunderbird as a program that this one starts, with a profile of its own, and what is done in it (thunderbird-steps.js, thunderbird-writing.js). */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Marionette } from './marionette.ts';
import { endProgram, startProgram } from './programs.ts';

export type Step = (name: string, ...args: unknown[]) => Promise<unknown>;

const PREFERENCES = {
  // Any free port; it says which in a file.
  'marionette.port': 0,
  'mail.provider.suppress_dialog_on_startup': true,
  'mailnews.start_page.url': 'about:blank',
  'mail.shell.checkDefaultClient': false,
  'mail.rights.version': 1,
  'mail.inappnotifications.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'app.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  // It asks before it sends anything larger.
  'mailnews.message_warning_size': 1_000_000_000,
};
const START_MS = 60_000;
const LOOK_MS = 200;

export async function startThunderbird(directory: string): Promise<{ step: Step } & AsyncDisposable> {
  const profile = join(directory, 'profile');
  await mkdir(profile);
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
  await writeFile(join(profile, 'user.js'), lines.join(''));
  const args = ['--headless', '--no-remote', '--profile', profile, '--marionette', '--remote-allow-system-access'];
  const program = startProgram('thunderbird', args, { home: directory });
  program.stdout?.resume();
  program.stderr?.resume();
  program.stdin?.end();
  try {
    const marionette = await Marionette.open(await portOf(profile));
    const texts = ['thunderbird-steps.js', 'thunderbird-writing.js'].map((name) =>
      readFile(new URL(name, import.meta.url), 'utf8'),
    );
    const steps = (await Promise.all(texts)).join('');
    return {
      step: (name, ...args) =>
        marionette.run(`${steps}\nreturn steps[arguments[0]](...[...arguments].slice(1));`, [name, ...args]),
      async [Symbol.asyncDispose]() {
        await marionette[Symbol.asyncDispose]();
        await endProgram(program);
      },
    };
  } catch (error) {
    await endProgram(program);
    throw error;
  }
}

async function portOf(profile: string): Promise<number> {
  const end = performance.now() + START_MS;
  for (;;) {
    const text = await readFile(join(profile, 'MarionetteActivePort'), 'utf8').catch(() => '');
    if (text !== '') return Number(text);
    if (performance.now() > end) throw new Error('Thunderbird does not start');
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
