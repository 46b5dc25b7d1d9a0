/** What clients do at random, each thing with what must be true of its answer. */
import type { Random } from '../fuzz/random.ts';
import { placeOf } from './ledger.ts';
import { numbersIn, sortedFlags } from './model.ts';
import type { StressSession } from './session.ts';

export const BOXES = ['INBOX', 'Archive', 'Work', 'Work/Deep', 'Trash'] as const;
const FLAGS = ['\\Seen', '\\Flagged', '\\Answered', '\\Deleted', 'todo', '$Junk'] as const;
/** A mailbox with more is thinned out rather than filled. */
const FULL = 60;
const LONGEST_IDLE_MS = 40;

export interface Doer {
  readonly session: StressSession;
  readonly random: Random;
  /** A name for a letter that no other letter has. */
  newToken(): string;
}

type Action = (doer: Doer) => Promise<void>;

/** How often each is done. */
const ACTIONS: readonly [weight: number, action: Action][] = [
  [6, select],
  [14, append],
  [14, store],
  [6, copy],
  [8, move],
  [6, expunge],
  [2, replace],
  [10, fetch],
  [4, search],
  [3, sort],
  [6, noop],
  [6, idle],
  [4, status],
  [2, ownBox],
  [2, close],
  [1, dieInAppend],
];
const TOTAL = ACTIONS.reduce((sum, [weight]) => sum + weight, 0);

export async function doSomething(doer: Doer): Promise<void> {
  let left = doer.random.below(TOTAL);
  for (const [weight, action] of ACTIONS) {
    left -= weight;
    if (left >= 0) continue;
    await action(doer);
    await doer.session.learn();
    return;
  }
}

async function select({ session, random }: Doer): Promise<void> {
  await session.select(random.pick(BOXES), random.below(5) === 0);
}

function letter(token: string, random: Random): Buffer {
  const text = `${'x'.repeat(random.below(200))}\r\n`;
  return Buffer.from(`From: a@corp.test\r\nSubject: ${token}\r\nMessage-ID: <${token}@x>\r\n\r\n${text}`);
}

async function append({ session, random, newToken }: Doer): Promise<void> {
  const box = random.pick(BOXES);
  const tokens = Array.from({ length: 1 + random.below(3) }, newToken);
  const flags = random.below(3) === 0 ? '(\\Seen) ' : '';
  const parts = tokens.flatMap((token, n) => [`${n === 0 ? `append ${box}` : ''} ${flags}`, letter(token, random)]);
  const { ok, text } = await session.say(parts, { adds: tokens });
  if (ok) appended(session, text, tokens);
}

function appended(session: StressSession, text: string, tokens: readonly string[]): void {
  const [, uidValidity, set = ''] = /\[APPENDUID (\d+) ([\d:,]+)\]/.exec(text) ?? [];
  const uids = set === '' ? [] : numbersIn(set);
  if (uids.length !== tokens.length)
    session.mistake(`APPENDUID of ${uids.length} for ${tokens.length} letters: ${text}`);
  for (const [n, token] of tokens.entries()) session.ledger.put(placeOf(Number(uidValidity), uids[n] ?? 0), token);
}

/** Positions of some messages, from 0, and how a command names them; null when there are none. */
function some({ session, random }: Doer, most = 5): { positions: number[]; set: string; uid: string } | null {
  const messages = session.model?.messages ?? [];
  if (messages.length === 0) return null;
  const drawn = Array.from({ length: 1 + random.below(most) }, () => random.below(messages.length));
  const positions = [...new Set(drawn)].sort((a, b) => a - b);
  const byUid = random.below(2) === 0;
  const set = positions.map((position) => (byUid ? messages[position]?.uid : position + 1)).join(',');
  return { positions, set, uid: byUid ? 'uid ' : '' };
}

const uidsAt = (session: StressSession, positions: readonly number[]): number[] =>
  positions.map((position) => session.model?.messages[position]?.uid ?? 0);

async function store(doer: Doer): Promise<void> {
  const { session, random } = doer;
  const chosen = some(doer);
  if (chosen === null) return;
  const mode = random.pick(['+', '-', '']);
  const flags = Array.from({ length: 1 + random.below(2) }, () => random.pick(FLAGS));
  const silent = random.below(2) === 0;
  const known = chosen.positions.map((position) => session.model?.messages[position]);
  if (mode !== '-' && flags.includes('\\Deleted'))
    for (const uid of uidsAt(session, chosen.positions)) session.ledger.mayGo(session.place(uid));
  const unless =
    session.kind !== 'plain' && random.below(4) === 0 ? `(unchangedsince ${session.model?.highestModseq ?? 1}) ` : '';
  // What silence means for those of whom nothing is said.
  const meant = known.map((one) => ({ one, flags: changed(one?.flags ?? [], mode, flags) }));
  const { ok, text, lines } = await session.say([
    `${chosen.uid}store ${chosen.set} ${unless}${mode}flags${silent ? '.silent' : ''} (${flags.join(' ')})`,
  ]);
  const spoken = lines.some((line) => line.includes('FLAGS ('));
  const asMeant = ok && unless === '' && !spoken && !text.includes('MODIFIED');
  if (silent && !asMeant) await session.learn('1:*');
  for (const { one, flags: after } of silent && asMeant ? meant : []) if (one !== undefined) one.flags = after;
}

function changed(before: readonly string[], mode: string, flags: readonly string[]): string[] {
  if (mode === '') return sortedFlags([...new Set(flags)]);
  if (mode === '-') return before.filter((flag) => !flags.includes(flag));
  return sortedFlags([...new Set([...before, ...flags])]);
}

async function copy(doer: Doer): Promise<void> {
  const chosen = some(doer);
  if (chosen === null) return;
  const { session, random } = doer;
  const adds = uidsAt(session, chosen.positions).map((uid) => session.ledger.tokenAt(session.place(uid)));
  const { uidValidity } = session.model ?? { uidValidity: 0 };
  const { ok, text } = await session.say([`${chosen.uid}copy ${chosen.set} ${random.pick(BOXES)}`], { adds });
  if (ok) transferred(session, uidValidity, text, { isMove: false });
}

async function move(doer: Doer): Promise<void> {
  const chosen = some(doer);
  if (chosen === null || doer.session.model === null) return;
  const { session, random } = doer;
  const uids = uidsAt(session, chosen.positions);
  const adds = uids.map((uid) => session.ledger.tokenAt(session.place(uid)));
  const { uidValidity } = doer.session.model;
  const { text, lines } = await session.say([`${chosen.uid}move ${chosen.set} ${random.pick(BOXES)}`], {
    adds,
    moves: uids.map((uid) => session.place(uid)),
  });
  for (const line of [...lines, text]) transferred(session, uidValidity, line, { isMove: true });
}

function transferred(session: StressSession, from: number, text: string, { isMove }: { isMove: boolean }): void {
  const [, uidValidity, source, targets] = /\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]/.exec(text) ?? [];
  if (source === undefined || targets === undefined) return;
  const [left, came] = [numbersIn(source), numbersIn(targets)];
  if (left.length !== came.length) session.mistake(`COPYUID: ${text}`);
  for (const [n, uid] of left.entries()) {
    const place = placeOf(from, uid);
    const token = session.ledger.tokenAt(place);
    const target = placeOf(Number(uidValidity), came[n] ?? 0);
    if (token === null) session.ledger.putUnread(target);
    else session.ledger.put(target, token, place);
    if (isMove) session.ledger.moved(place);
  }
}

async function expunge(doer: Doer): Promise<void> {
  const { session, random } = doer;
  if (session.model === null) return;
  const chosen = random.below(2) === 0 ? some(doer, 10) : null;
  const uids = chosen === null ? [] : uidsAt(session, chosen.positions);
  await session.say([uids.length > 0 ? `uid expunge ${uids.join(',')}` : 'expunge']);
}

async function replace({ session, random, newToken }: Doer): Promise<void> {
  const uid = session.model?.uids()[0];
  if (uid === undefined) return;
  const token = newToken();
  session.ledger.mayGo(session.place(uid));
  const { ok, text, lines } = await session.say([`uid replace ${uid} ${random.pick(BOXES)} `, letter(token, random)], {
    adds: [token],
  });
  const told = [...lines, text].find((line) => line.includes('[APPENDUID'));
  if (ok && told !== undefined) appended(session, told, [token]);
}

async function fetch(doer: Doer): Promise<void> {
  const chosen = some(doer, 8);
  if (chosen === null) return;
  const items = doer.random.pick([
    '(uid flags body.peek[header.fields (subject)])',
    '(uid envelope rfc822.size)',
    '(uid body.peek[])',
    '(uid flags internaldate)',
  ]);
  await doer.session.say([`${chosen.uid}fetch ${chosen.set} ${items}`]);
}

/** All UIDs, in whatever order: those that the client was told of, each once. */
async function same(session: StressSession, command: string, name: string): Promise<void> {
  // Others are told of changes before the answer.
  if (session.kind === 'notify') return;
  const before = session.model?.uids() ?? [];
  const { ok, lines } = await session.say([command]);
  const found =
    lines
      .find((line) => line.startsWith(name))
      ?.match(/\d+/g)
      ?.map(Number) ?? [];
  const [known, there] = [new Set(before), new Set(session.model?.uids())];
  const wrong = found.filter((uid) => !known.has(uid));
  // What left meanwhile may be missing, when it is told behind the answer that it did.
  const missed = before.filter((uid) => there.has(uid) && !found.includes(uid));
  if (ok && (wrong.length > 0 || missed.length > 0 || new Set(found).size < found.length))
    session.mistake(`${command} found ${wrong.join()}, which were not known, and not ${missed.join()}`);
}

async function search({ session }: Doer): Promise<void> {
  if (session.model !== null) await same(session, 'uid search all', 'SEARCH');
}

async function sort({ session, random }: Doer): Promise<void> {
  if (session.model === null) return;
  if (random.below(2) === 0) await same(session, 'uid sort (subject reverse date) utf-8 all', 'SORT');
  else await same(session, `uid thread ${random.pick(['references', 'orderedsubject'])} utf-8 all`, 'THREAD');
}

async function noop({ session, random }: Doer): Promise<void> {
  const box = session.model !== null && session.model.messages.length > FULL;
  if (!box) {
    await session.say(['noop']);
    return;
  }
  const uids = session.model?.uids().filter(() => random.below(2) === 0) ?? [];
  for (const uid of uids) session.ledger.mayGo(session.place(uid));
  if (uids.length > 0) await session.say([`uid store ${uids.join(',')} +flags (\\Deleted)`]);
}

async function idle({ session, random }: Doer): Promise<void> {
  await session.idle(random.below(LONGEST_IDLE_MS));
}

async function status({ session, random }: Doer): Promise<void> {
  const box = random.pick(BOXES);
  const { ok, lines } = await session.say([`status ${box} (messages uidnext uidvalidity unseen highestmodseq)`]);
  if (ok && !lines.some((line) => line.startsWith('STATUS'))) session.mistake(`no STATUS of ${box}`);
}

/** A mailbox that only this client fills, renames and deletes. */
async function ownBox({ session, random, newToken }: Doer): Promise<void> {
  const name = `Own-${session.name}`;
  const token = newToken();
  await session.say([`create ${name}`]);
  const { ok, text } = await session.say([`append ${name} `, letter(token, random)], { adds: [token] });
  if (ok) appended(session, text, [token]);
  if (random.below(2) === 0) {
    await session.say([`rename ${name} ${name}-renamed`]);
    await session.say([`rename ${name}-renamed ${name}`]);
  }
  const { lines } = await session.say([`status ${name} (uidvalidity)`]);
  const uidValidity = /UIDVALIDITY (\d+)/.exec(lines.join())?.[1];
  if (uidValidity === undefined || random.below(3) > 0) return;
  session.ledger.boxGoes(Number(uidValidity));
  await session.say([`delete ${name}`]);
}

async function close({ session, random }: Doer): Promise<void> {
  if (session.model === null) return;
  const { ok } = await session.say([random.below(2) === 0 ? 'close' : 'unselect']);
  if (ok) session.model = null;
}

async function dieInAppend({ session, random, newToken }: Doer): Promise<void> {
  await session.dieInAppend(random.pick(BOXES), letter(newToken(), random));
  await session.connect();
}
