/** Sending: who it goes to is verified and pinned first, and nothing is sent while that is in doubt. */
import { createClient, type NetworkOptions, type Outgoing } from 'smimp-bridge/client';
import { normalizeAddress } from 'smimp-bridge/smimp';
import { loadState, saveTo } from './state-file.ts';

export async function sendShortMessage(given: {
  to: string;
  text: string;
  stateFile: string;
  /** Keeps the envelope, so that after a crash it can be handed in again instead of being sent twice. */
  keep: (outgoing: Outgoing) => Promise<void>;
  network?: NetworkOptions;
}): Promise<string> {
  const { stateFile, network = {}, keep } = given;
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  const to = normalizeAddress(given.to);
  const body = { message: given.text, attachments: [] };
  const delivery = await client.send({ to, messageType: 'short-message', body }, { agreedBits: 22, keep });
  switch (delivery.kind) {
    case 'sent':
      return `sent as ${delivery.messageId}`;
    case 'blocked':
      return `not sent: the identity of ${to} is ${delivery.contact.state}; ask for the fingerprint by phone`;
    case 'unavailable':
      return 'not sent: nobody can say now who that is; try again later';
    case 'impossible':
      return `there is no ${to}`;
    case 'asks':
      return `not sent: ${delivery.zeroBits} bits of work are asked; agree to them and deliver it again`;
    case 'too-much-work':
      return 'not sent: more work is asked than any client does';
    case 'seal-again':
      return 'not sent: its key was used up again and again; send it once more';
  }
}
