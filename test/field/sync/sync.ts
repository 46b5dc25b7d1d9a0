/**
 * mbsync and offlineimap at two servers, this one and Dovecot: the same things happen on both sides of a synchronisation, and
 * in the end the local trees are the same. Beside that nothing is lost, a sync without changes changes nothing, and one that
 * was killed, or whose server was, goes on to the same end.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDovecot } from '../../bench/imap/dovecot.ts';
import type { Place } from '../../bench/imap/raw-client.ts';
import type { Field, Trial } from '../trial.ts';
import type { World } from '../world.ts';
import { FOLDERS, LIMITED, MOST_KEPT } from './folders.ts';
import { SYNCHRONISERS, type Synchroniser, type Workplace, workplace } from './programs.ts';
import { Remote } from './remote.ts';
import { FOLDERS_TO_GO, Scenario } from './scenario.ts';
import { differences, sizeOf, type Tree } from './tree.ts';

export const syncTrials: readonly Trial[] = SYNCHRONISERS.map((program) => ({
  name: program.name,
  what: `${program.name} in both directions, with conflicts and kills, here and at Dovecot`,
  programs: [program.name, 'dovecot'],
  run: (field) => compare(field, program),
}));

/** Into how many files of a sync it is killed. */
const KILLED_AFTER = 12;
const MOST_SYNCS = 5;

interface Server {
  readonly name: string;
  readonly place: Place;
  /** Kills it; resolves when it is there again. Null where that is not what is tried. */
  readonly kill: (() => Promise<void>) | null;
}

/** What there was at each step. */
interface Journey {
  readonly local: Map<string, Tree>;
  readonly remote: Map<string, Tree>;
}

async function compare(field: Field, program: Synchroniser): Promise<void> {
  const dovecotDirectory = join(field.directory, 'dovecot');
  await mkdir(dovecotDirectory);
  await using dovecot = await startDovecot(dovecotDirectory);
  if (dovecot === null) throw new Error('Dovecot does not start');
  field.note(`beside Dovecot ${dovecot.version}`);
  const world = await field.world();
  const ours = await ourServer(world, program.name);
  const theirs = { name: 'Dovecot', place: { ...dovecot.place, user: program.name }, kill: null };
  const here = await travel(field, program, ours);
  const there = await travel(field, program, theirs);
  for (const step of here.local.keys()) {
    const trees = [here.local.get(step), there.local.get(step)] as [Tree, Tree];
    field.check(`${step}: the same local tree as with Dovecot`, differences(['here', 'Dovecot'], trees));
    const both = [here.remote.get(step), there.remote.get(step)] as [Tree, Tree];
    field.check(`${step}: the same on the server, keywords too`, differences(['here', 'Dovecot'], both));
  }
}

async function ourServer(world: World, user: string): Promise<Server> {
  const { password, mailbox } = await world.account(world.acme, user);
  return {
    name: 'here',
    place: { port: world.acme.ports.imaps, ca: world.acme.ca, user: mailbox, password },
    kill: () => world.restart(world.acme, { kill: true }),
  };
}

/**
 * Empty folders that a server has by itself count for nothing; nor do empty ones with others below them, which are folders
 * here and only names at Dovecot.
 */
function withoutOwn(tree: Tree, own: readonly string[]): Tree {
  const names = Object.keys(tree);
  const isImplied = (name: string): boolean => own.includes(name) || names.some((one) => one.startsWith(`${name}/`));
  return Object.fromEntries(
    Object.entries(tree).filter(([name, messages]) => name === 'INBOX' || messages.length > 0 || !isImplied(name)),
  );
}

async function travel(field: Field, program: Synchroniser, server: Server): Promise<Journey> {
  const home = join(field.directory, server.name);
  await mkdir(home);
  const at = await workplace(program, home, server.place);
  const scenario = new Scenario({ leftOut: program.changes, foldersGo: program.removes });
  const journey: Journey = { local: new Map(), remote: new Map() };
  const own = await atServer(server, (remote) => remote.folders());
  const say = (what: string): string => `${server.name}: ${what}`;

  const arrive = async (step: string): Promise<void> => {
    const local = withoutOwn(await at.maildir.tree(), own);
    const [plain, whole] = await atServer(server, async (remote) => [
      withoutOwn(await remote.tree({ keywords: false }), own),
      withoutOwn(await remote.tree({ keywords: true }), own),
    ]);
    journey.local.set(step, local);
    journey.remote.set(step, whole as Tree);
    field.check(
      say(`${step}: both sides have the same, ${sizeOf(local)} messages`),
      differences(['local', 'server'], [comparable(program, local), comparable(program, plain as Tree)]),
    );
    field.check(say(`${step}: no message is twice in a folder`), twice(local));
  };

  await atServer(server, (remote) => scenario.begin(remote));
  await synced(field, at, say('the first sync'));
  await arrive('first sync');

  await atServer(server, (remote) => scenario.diverge({ remote, local: at.maildir }));
  await settled(field, at, server, say('changes on both sides'));
  await arrive('conflicts');
  if (program.removes)
    field.check(say('what is marked as deleted is removed on both sides'), marked(journey.remote.get('conflicts')));
  await changesNothing(field, at, server, say('a sync without changes changes nothing'));

  const uploads = program.resumesUploads;
  await atServer(server, (remote) => scenario.add({ remote, local: uploads ? at.maildir : null }));
  const { code } = await at.sync({ files: KILLED_AFTER, act: async (kill) => kill() });
  field.same(say('a sync is killed on its way'), code, null);
  await settled(field, at, server, say('what was left'));
  await arrive('killed');

  await atServer(server, (remote) => scenario.add({ remote, local: uploads ? at.maildir : null }));
  const validities = await atServer(server, (remote) => remote.uidValidities());
  if (server.kill !== null) {
    const { code: ended, said } = await at.sync({ files: KILLED_AFTER, act: server.kill });
    field.check(say('the server is killed during a sync'), ended === 0 ? [`nothing was noticed: ${said}`] : []);
  }
  await settled(field, at, server, say(server.kill === null ? 'more of both' : 'what was left by the kill'));
  await arrive('server killed');
  const after = await atServer(server, (remote) => remote.uidValidities());
  field.same(say('UIDVALIDITY of all folders stays'), after, validities);
  await changesNothing(field, at, server, say('a third sync without changes changes nothing'));
  if (program.limits) {
    const [kept, all] = [journey.local, journey.remote].map(
      (trees) => trees.get('server killed')?.[LIMITED]?.length ?? 0,
    );
    const holds = kept !== undefined && all !== undefined && kept >= MOST_KEPT && kept < all;
    field.check(say(`MaxMessages keeps ${kept} of ${all}`), holds ? [] : ['that is not what was asked']);
  }
  field.note(say(`${scenario.used} messages of the corpus in ${FOLDERS.length} folders`));
  return journey;
}

/** A connection for one thing: those that are open must not be in the way of what is tried. */
async function atServer<T>(server: Server, act: (remote: Remote) => Promise<T>): Promise<T> {
  await using remote = await Remote.connect(server.place);
  return await act(remote);
}

/** Without what a program does not mirror: the folder that is limited, and one that was renamed at the server. */
function comparable({ limits }: Synchroniser, tree: Tree): Tree {
  const left = (name: string): boolean => (limits && name === LIMITED) || name === FOLDERS_TO_GO.renamed;
  return Object.fromEntries(Object.entries(tree).filter(([name]) => !left(name)));
}

function twice(tree: Tree): string[] {
  return Object.entries(tree).flatMap(([folder, messages]) => {
    const digests = messages.map((one) => one.split(' ')[0]);
    return digests.filter((one, n) => digests.indexOf(one) < n).map((one) => `${folder}: ${one}`);
  });
}

function marked(tree: Tree = {}): string[] {
  return Object.entries(tree).flatMap(([folder, messages]) =>
    messages.filter((one) => /^\w+ [A-Z]*T/.test(one)).map((one) => `${folder}: ${one}`),
  );
}

async function synced(field: Field, at: Workplace, what: string): Promise<void> {
  const { code, said } = await at.sync();
  field.check(`${what} ends well`, code === 0 ? [] : [`${code}: ${said.slice(-1_000)}`]);
}

/** One sync finds what another has to carry on: all of them end well, and soon there is nothing more to do. */
async function settled(field: Field, at: Workplace, server: Server, what: string): Promise<void> {
  const problems: string[] = [];
  let isSettled = false;
  let syncs = 0;
  while (!isSettled && syncs < MOST_SYNCS) {
    const before = await stateOf(at, server);
    const { code, said } = await at.sync();
    if (code !== 0) problems.push(`${code}: ${said.slice(-1_000)}`);
    isSettled = changes(before, await stateOf(at, server)).length === 0;
    syncs += 1;
  }
  if (!isSettled) problems.push(`it still finds something to do after ${syncs} syncs`);
  field.check(`${what}: carried within ${syncs - 1} syncs, and the next changes nothing`, problems);
}

async function changesNothing(field: Field, at: Workplace, server: Server, what: string): Promise<void> {
  const before = await stateOf(at, server);
  const { code, said } = await at.sync();
  field.check(what, code === 0 ? changes(before, await stateOf(at, server)) : [`${code}: ${said}`]);
}

async function stateOf(at: Workplace, server: Server): Promise<string[]> {
  return [...(await at.maildir.state()), ...(await atServer(server, (remote) => remote.state()))];
}

function changes(before: readonly string[], after: readonly string[]): string[] {
  return [...before.filter((one) => !after.includes(one)), ...after.filter((one) => !before.includes(one))];
}
