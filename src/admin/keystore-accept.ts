/** `keystore accept`: a secret that the owner sent to herself from another client is taken in, once she says so. */
import { SecretError, type SecretErrorCode } from '../mailbox/accept-secret.ts';
import { accountOf, type CommandContext, withBridge } from './accounts.ts';
import { CommandError, EXIT, type Explanations, explained } from './output.ts';
import { plain } from './plain.ts';
import { fullId } from './read.ts';

const MAX_LISTED = 10_000;

const FAULTS: Explanations<SecretErrorCode> = {
  'unknown-message': { text: 'there is no such message', exitCode: EXIT.notFound },
  'not-opened': { text: 'this message did not pass the checks, so nothing is taken from it', exitCode: EXIT.failed },
  'not-secret': { text: 'there is no secret in this message', exitCode: EXIT.badInput },
  'not-own': {
    text: 'this secret is not from this account under the master key it uses now; nothing was taken in',
    exitCode: EXIT.failed,
  },
  unsupported: { text: 'secrets of this kind have no use here', exitCode: EXIT.failed },
  'bad-key': { text: 'the public key is not that of the secret', exitCode: EXIT.failed },
};

const EFFECTS: Readonly<Record<string, string>> = {
  'message-key': 'a key that opens messages sent to it',
  storage: 'the key of notes and lists; it takes the place of the one in use, and notes are sealed anew',
};

export async function acceptSecret(
  command: CommandContext & { account: string; messageId: string; confirmed: boolean },
): Promise<void> {
  await withBridge(command.configPath, async (bridge) => {
    const { id: accountId } = await accountOf(bridge, command.account);
    const { inspection, secrets } = bridge.mailbox;
    const listed = await inspection.list({ accountId, folder: null, limit: MAX_LISTED });
    const ask = { accountId, messageId: fullId(command.messageId, listed) };
    const offered = await explained(secrets.offered(ask), SecretError, FAULTS);
    const what = `${EFFECTS[offered.kind] ?? offered.kind}${offered.note === null ? '' : ` (${plain(offered.note)})`}`;
    if (!command.confirmed) throw new CommandError(`this takes in ${what}; say --yes to do it`, EXIT.usage);
    await explained(secrets.accept(ask), SecretError, FAULTS);
    command.output.result({ accepted: true, kind: offered.kind, public_key: offered.publicKey }, `Taken in: ${what}.`);
  });
}
