/** `whois`: who somebody is, as her server shows it now, and what that means against what was pinned. Pins nobody. */
import type { Command } from 'commander';
import { type Examined, timeline } from '../identity/examine.ts';
import { toMailbox } from '../smimp/address.ts';
import type { SignedHash } from '../smimp/encoding.ts';
import { fingerprintOf } from '../smimp/fingerprint.ts';
import { accountOf, type CommandContext, parseTyped, withBridge } from './accounts.ts';
import { type Add, where } from './command-line.ts';
import { CommandError, EXIT, table } from './output.ts';
import { plain } from './plain.ts';
import { qrText } from './qr.ts';

const SHORT_KEY_DIGITS = 16;

export type WhoisCommand = CommandContext & { address: string; as: string | null; qr: boolean };

export async function whois(command: WhoisCommand): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const contact = parseTyped(command.address);
    const account = command.as === null ? null : await accountOf(bridge, command.as);
    const examined = await bridge.identity.examine({ accountId: account?.id ?? null, contact });
    const asked = account === null ? null : toMailbox(account.address);
    command.output.result(jsonOf(examined, asked), textOf(examined, asked, command.qr));
    if (examined.shown === null) throw refusal(examined);
  });
}

function jsonOf({ address, baseUrl, state, reason, shown, pinned }: Examined, asked: string | null): object {
  return {
    address,
    server: baseUrl,
    state,
    reason,
    fingerprint: shown?.fingerprint ?? null,
    uri: shown?.uri ?? null,
    head: shown?.history.head ?? null,
    history: shown === null ? null : timeline(shown.history),
    pinned_by: asked,
    pin: pinned && {
      state: pinned.state,
      verified: pinned.verifiedAt?.toISOString() ?? null,
      checked: pinned.checkedAt.toISOString(),
      records: pinned.pin.signed_hashes.length,
      first_seen: pinned.pin.first_seen[0],
      fingerprint: fingerprintOf(address, pinned.pin.signed_hashes[0] as SignedHash),
    },
  };
}

function textOf(examined: Examined, asked: string | null, withQr: boolean): string {
  const { address, baseUrl, shown } = examined;
  const lines = [
    `address      ${toMailbox(address)}`,
    `server       ${baseUrl ?? 'not found'}`,
    ...pinLines(examined, asked),
  ];
  if (shown === null) return lines.join('\n');
  const rows = timeline(shown.history).map(({ seq, date, changed, publicKey, name }) => [
    String(seq),
    date,
    changed.map((member) => WORDS[member]).join(', '),
    `${publicKey.slice(0, SHORT_KEY_DIGITS)}…`,
    plain(name ?? ''),
  ]);
  return [
    ...lines,
    `fingerprint  ${shown.fingerprint}`,
    '',
    table(['RECORD', 'DATE', 'CHANGED', 'MASTER KEY', 'NAME'], rows),
    '',
    ...(withQr ? [qrText(shown.uri)] : []),
    shown.uri,
  ].join('\n');
}

const WORDS = {
  created: 'created',
  public_key: 'NEW KEY',
  name: 'name',
  web_site_url: 'web site',
  profiles: 'profiles',
  additional_data: 'additional data',
} as const;

const MEANINGS: Readonly<Record<Examined['state'], string>> = {
  NEW: 'not pinned; nothing was pinned now',
  OK: 'as pinned',
  EXTENDED: 'continues what is pinned',
  TRUNCATED: 'LESS than is pinned: the server hides changes',
  FORKED: 'CONTRADICTS what is pinned',
  REPLACED: 'ANOTHER identity than is pinned',
  INVALID: 'what the server shows does not verify',
  UNAVAILABLE: 'the server does not say',
};

function pinLines({ state, pinned }: Examined, asked: string | null): string[] {
  if (asked === null) return ['pinned       (say whose pins to look at with --as)'];
  const verified = pinned?.verifiedAt ? `, verified on ${pinned.verifiedAt.toISOString().slice(0, 10)}` : '';
  const kept =
    pinned === null ? 'no' : `since ${pinned.pin.first_seen[0] ?? ''}${verified}; last state ${pinned.state}`;
  return [`pinned by    ${asked}: ${kept}`, `now          ${state}: ${MEANINGS[state]}`];
}

function refusal({ address, reason, state }: Examined): CommandError {
  const mailbox = toMailbox(address);
  if (reason === 'no-smimp') return new CommandError(`the domain of ${mailbox} does not speak SMIMP`, EXIT.notFound);
  if (reason === 'unknown-user') return new CommandError(`there is no user ${mailbox}`, EXIT.notFound);
  if (state === 'INVALID')
    return new CommandError(`the history of ${mailbox} does not verify (${reason})`, EXIT.failed);
  return new CommandError(`the server of ${mailbox} cannot be reached now`, EXIT.unavailable);
}

const HELP = `
Finds the server, fetches the whole history and verifies it: every record, who signed it, which keys came and went. With
--as it is compared with what that account pinned. It pins nobody and changes no pin; it opens and fetches no message, so it
is no read receipt: the server learns that somebody asked for a public history, as anybody may. To pin somebody as verified,
compare the fingerprint with what the person tells you, and enter it with "trust verify".

The QR code is the smimp-verify: link below it, for another client to scan.`;

export function addWhoisCommand(program: Command, add: Add): void {
  add<[string]>(
    program,
    'whois <address>',
    'Show the identity of any SMIMP user, without pinning it.',
    (output, options, address) =>
      whois({
        output,
        ...where(options),
        address,
        as: (options.as as string | undefined) ?? null,
        qr: options.qr !== false,
      }),
  )
    .option('--as <account>', 'compare with what this account pinned')
    .option('--no-qr', 'without the QR code')
    .addHelpText('after', HELP);
}
