/** The commands about trust: who is pinned, and checking a fingerprint that was told over another way. */
import type { Command } from 'commander';
import { IdentityError } from '../identity/contact.ts';
import type { ShownContact } from '../identity/trust.ts';
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

export async function showTrust(
  command: CommandContext & { account: string; contact: string | undefined },
): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id } = await accountOf(bridge, command.account);
    const asked = command.contact === undefined ? {} : { contact: parseTyped(command.contact) };
    const contacts = await explained(bridge.identity.show({ accountId: id, ...asked }), IdentityError, EXPLANATIONS);
    command.output.result(contacts.map(describe), people(contacts));
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

function describe(shown: ShownContact): Record<string, unknown> {
  return {
    ...shown,
    verified: shown.verifiedAt !== null,
    verifiedAt: shown.verifiedAt?.toISOString() ?? null,
    checkedAt: shown.checkedAt.toISOString(),
  };
}

function people(contacts: readonly ShownContact[]): string {
  if (contacts.length === 0) return 'No contact is pinned yet.';
  const rows = contacts.map(({ contact, state, verifiedAt, records, fingerprint, firstSeen }) => [
    toMailbox(contact),
    state,
    verifiedAt === null ? 'no' : `since ${verifiedAt.toISOString().slice(0, 10)}`,
    String(records),
    firstSeen.slice(0, 10),
    fingerprint,
  ]);
  return table(['CONTACT', 'STATE', 'VERIFIED', 'RECORDS', 'FIRST SEEN', 'FINGERPRINT'], rows);
}

export function addTrustCommands(program: Command, add: Add): void {
  const trust = program.command('trust').description('Whose keys are pinned, and checking them.').exitOverride();
  add<[string, string?]>(
    trust,
    'show <account> [contact]',
    'Show the pinned contacts of an account.',
    (output, options, account, contact) => showTrust({ output, ...where(options), account, contact }),
  );
  add<[string, string, string]>(
    trust,
    'verify <account> <contact> <fingerprint>',
    'Enter the fingerprint (or smimp-verify: link) that the contact told you. Also releases one whose identity was replaced.',
    (output, options, account, contact, fingerprint) =>
      verifyTrust({ output, ...where(options), account, contact, fingerprint }),
  );
}
