/** The commands about trust: who is pinned, and checking a fingerprint that was told over another way. */
import type { Command } from 'commander';
import { IdentityError } from '../identity/contact.ts';
import type { ShownContact, TrustEvent } from '../identity/trust-show.ts';
import { toMailbox } from '../smimp/address.ts';
import { accountOf, type CommandContext, parseTyped, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { EXIT, explained, table } from './output.ts';

const EXPLANATIONS: Record<IdentityError['code'], { text: string; exitCode: number }> = {
  'unknown-contact': { text: 'nothing is known of this contact', exitCode: EXIT.notFound },
  unavailable: {
    text: 'the server of this contact cannot be reached now; nothing was changed',
    exitCode: EXIT.unavailable,
  },
  'fingerprint-form': { text: 'this is neither a fingerprint nor a smimp-verify: link', exitCode: EXIT.badInput },
  'fingerprint-mismatch': {
    text: "the fingerprint is NOT that of the identity which the contact's server shows; nothing was changed",
    exitCode: EXIT.failed,
  },
  truncated: {
    text: 'the server shows less of the history than was seen before; a fingerprint cannot heal that',
    exitCode: EXIT.failed,
  },
  invalid: { text: 'the history that the server shows is not valid', exitCode: EXIT.failed },
  'no-history': { text: 'this account has no identity', exitCode: EXIT.failed },
};

export async function showTrust(command: CommandContext & { account: string }): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id } = await accountOf(bridge, command.account);
    const contacts = await bridge.identity.show({ accountId: id });
    command.output.result(contacts.map(describe), people(contacts));
  });
}

/** One contact, with everything that happened. */
export async function showContact(command: CommandContext & { account: string; contact: string }): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id: accountId } = await accountOf(bridge, command.account);
    const about = { accountId, contact: parseTyped(command.contact) };
    const [found] = await explained(bridge.identity.show(about), IdentityError, EXPLANATIONS);
    const history = await bridge.identity.history(about);
    if (found === undefined) return;
    const { evidence, alarms } = found;
    const whole = { ...describe(found), evidence, alarms, history };
    command.output.result([whole], contactText(found, history));
  });
}

export async function verifyTrust(
  command: CommandContext & { account: string; contact: string; fingerprint: string },
): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id } = await accountOf(bridge, command.account);
    const contact = parseTyped(command.contact);
    const verified = await explained(
      bridge.identity.verify({ accountId: id, contact, fingerprint: command.fingerprint }),
      IdentityError,
      EXPLANATIONS,
    );
    command.output.result(describe(verified), `${toMailbox(contact)} is verified.`);
  });
}

/** Evidence can be large; all of it is shown with one contact. */
function describe(shown: ShownContact): Record<string, unknown> {
  const { evidence, alarms, ...facts } = shown;
  return {
    ...facts,
    verified: facts.verifiedAt !== null,
    evidence: evidence !== null,
    alarms: alarms.map(({ evidence: kept, ...alarm }) => ({ ...alarm, evidence: kept !== null })),
  };
}

function people(contacts: readonly ShownContact[]): string {
  if (contacts.length === 0) return 'No contact is pinned yet.';
  const rows = contacts.map((shown) => [
    toMailbox(shown.contact),
    shown.state ?? 'not pinned',
    shown.verifiedAt === null ? 'no' : `since ${day(shown.verifiedAt)}`,
    String(shown.records),
    shown.firstSeen.slice(0, 10),
    shown.fingerprint ?? '',
    latestAlarm(shown),
  ]);
  return table(['CONTACT', 'STATE', 'VERIFIED', 'RECORDS', 'FIRST SEEN', 'FINGERPRINT', 'ALARM'], rows);
}

/** Why the contact is blocked, or the last thing that happened. */
function latestAlarm({ since, why, alarms }: ShownContact): string {
  if (since !== null && why !== null) return `${why}, since ${minute(since)}`;
  const last = alarms.at(-1);
  return last === undefined ? '' : `${last.says}, ${minute(last.last)}${last.ended === null ? '' : ', over'}`;
}

function contactText(shown: ShownContact, history: readonly TrustEvent[]): string {
  const facts: [string, string][] = [
    ['contact', toMailbox(shown.contact)],
    ['state', shown.state ?? 'not pinned'],
    ...(shown.since === null ? [] : [['since', minute(shown.since)] as [string, string]]),
    ...(shown.why === null ? [] : [['why', shown.why] as [string, string]]),
    ['verified', shown.verifiedAt === null ? 'no' : `yes, ${minute(shown.verifiedAt)}`],
    ...(shown.fingerprint === null ? [] : [['fingerprint', shown.fingerprint] as [string, string]]),
    ['records', `${shown.records}, with ${shown.masterKeys} keys`],
    ['evidence', evidenceText(shown.evidence)],
  ];
  const lines = facts.map(([name, value]) => `${name.padEnd(12)} ${value}`);
  const alarms = shown.alarms.map(({ kind, since, last, times, told, ended, evidence }) => [
    kind,
    minute(since),
    minute(last),
    String(times),
    told === null ? 'not told' : `${minute(told.at)} by ${told.by}`,
    ended === null ? '' : minute(ended),
    evidenceText(evidence),
  ]);
  const parts = [
    lines.join('\n'),
    ...(alarms.length === 0 ? [] : [table(['ALARM', 'SINCE', 'LAST', 'TIMES', 'TOLD', 'ENDED', 'EVIDENCE'], alarms)]),
    table(
      ['AT', 'EVENT', 'DETAIL'],
      history.map(({ at, event, detail }) => [minute(at), event, detail]),
    ),
  ];
  return parts.join('\n\n');
}

/** What kind of evidence there is; `--json` has all of it. */
function evidenceText(evidence: object | null): string {
  if (evidence === null) return 'none';
  if ('records' in evidence && Array.isArray(evidence.records))
    return `another history of ${evidence.records.length} records`;
  if ('signed_hashes' in evidence) return 'another history, hashes only';
  return 'message_id' in evidence ? `message ${String(evidence.message_id).slice(0, 16)}` : 'kept';
}

const day = (time: Date): string => time.toISOString().slice(0, 10);
const minute = (time: Date): string => time.toISOString().slice(0, 16).replace('T', ' ');

export function addTrustCommands(program: Command, add: Add): void {
  const trust = program.command('trust').description('Whose keys are pinned, and checking them.').exitOverride();
  add<[string, string?]>(
    trust,
    'show <account> [contact]',
    'Show the contacts of an account and their alarms; of one contact everything that happened.',
    (output, options, account, contact) => {
      const command = { output, ...where(options), account };
      return contact === undefined ? showTrust(command) : showContact({ ...command, contact });
    },
  );
  add<[string, string, string]>(
    trust,
    'verify <account> <contact> <fingerprint>',
    'Enter the fingerprint (or smimp-verify: link) that the contact told you. Also releases one whose identity was replaced.',
    (output, options, account, contact, fingerprint) =>
      verifyTrust({ output, ...where(options), account, contact, fingerprint }),
  );
}
