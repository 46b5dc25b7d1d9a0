/**
 * What `npm start`, `npm test` and the other scripts run first, with whatever Node (≥ 20) the machine has: it installs
 * what is missing and then runs the program with the Node that the project depends on. Plain JavaScript, nothing imported
 * but Node itself, because nothing else may be there yet.
 *
 * Usage: node src/launch.mjs FILE [ARGUMENT…]   where FILE is relative to the project.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = join(dirname(fileURLToPath(import.meta.url)), '..');
const [file, ...args] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write('usage: node src/launch.mjs FILE [ARGUMENT…]\n');
  process.exit(64);
}

if (isIncomplete()) install();
run();

/** True when a package of the lock file is absent or of another version. Optional ones (other platforms) may be absent. */
function isIncomplete() {
  const installed = join(project, 'node_modules', '.package-lock.json');
  if (!existsSync(installed) || !existsSync(bundledNode())) return true;
  const have = JSON.parse(readFileSync(installed, 'utf8')).packages;
  const want = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(want).some(([name, { version, optional, dev }]) => {
    if (name === '' || (dev && process.env.NODE_ENV === 'production')) return false;
    const found = have[name];
    return found === undefined ? !optional : found.version !== version;
  });
}

function install() {
  process.stderr.write('Installing what is missing (npm install) …\n');
  const npm = process.env.npm_execpath;
  const [command, before] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  const options = { cwd: project, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' };
  // Not `npm ci`: it refuses a lock file that does not name optional packages of other platforms. `--no-save` keeps the
  // lock file, and what is installed is what it says.
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status } = spawnSync(command, [...before, ...args], options);
  if (status !== 0) {
    process.stderr.write('npm install failed: see above.\n');
    process.exit(status ?? 1);
  }
}

function bundledNode() {
  return join(project, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

function run() {
  // Messages come and go: with these the memory they took is given back, and garbage is collected before it is as much
  // again as what is in use.
  const { nodeFlags, environment } = JSON.parse(readFileSync(join(project, 'src', 'runtime.json'), 'utf8'));
  const env = { ...environment, ...process.env };
  const child = spawn(bundledNode(), [...nodeFlags, join(project, file), ...args], { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}
