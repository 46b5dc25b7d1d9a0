/**
 * AUTHENTICATE SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): the password is not sent, the server shows that it
 * knows it, and with PLUS nobody in between can pass the login on to another connection (RFC 5929, RFC 9266).
 */
import {
  type Binding,
  type ClientFirst,
  parseClientFinal,
  parseClientFirst,
  serverFirst,
} from '../../keystore/scram.ts';
import { randomBytes } from '../../smimp/crypto.ts';
import type { Done, Session } from '../context.ts';
import { Refusal } from '../replies.ts';

export const SCRAM = 'SCRAM-SHA-256';
export const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS';
const NONCE_BYTES = 18;

/** What the login needs of the command's module. */
export interface ScramDialogue {
  /** Asks for the next message of the client, with this challenge. */
  ask(challenge: string): Promise<Buffer>;
  addressOf(user: string): string;
  /** Ends the login with what was found out. */
  enter(result: Awaited<ReturnType<ScramTry['finish']>>): Promise<Done>;
  /** Whether the client was offered to bind the channel. */
  offersBinding: boolean;
}
type ScramTry = Awaited<ReturnType<Session['services']['keystore']['beginScram']>>;

export async function scram(
  session: Session,
  { plus, initial }: { plus: boolean; initial: Buffer | null },
  dialogue: ScramDialogue,
): Promise<Done> {
  const { keystore, clock } = session.services;
  const first = parseClientFirst((initial ?? (await dialogue.ask(''))).toString('utf8'));
  if (first === null) throw new Refusal('BAD', 'This is no SCRAM message');
  const bound = channelOf(session, first, { plus, offers: dialogue.offersBinding });
  if (first.authorize !== '' && first.authorize !== first.user)
    throw new Refusal('NO', 'You can act for yourself only', 'AUTHORIZATIONFAILED');
  const address = dialogue.addressOf(first.user);
  const tried = await keystore.beginScram({ address, source: session.remoteAddress, now: clock() });
  const nonce = first.nonce + randomBytes(NONCE_BYTES).toString('base64');
  const challenge = serverFirst(nonce, tried);
  const final = parseClientFinal((await dialogue.ask(challenge)).toString('utf8'));
  if (final === null) throw new Refusal('BAD', 'This is no SCRAM message');
  const isSame = final.nonce === nonce && final.channel.equals(Buffer.concat([Buffer.from(first.gs2Header), bound]));
  const authMessage = `${first.bare},${challenge},${final.withoutProof}`;
  // Of another channel or another dialogue no proof is right.
  const result = await tried.finish(isSame ? authMessage : '', final.proof);
  if (result.ok && result.signature !== undefined) {
    // The client says that it has seen it with an empty message (RFC 5802 §3).
    const last = await dialogue.ask(`v=${result.signature.toString('base64')}`);
    if (last.length > 0) throw new Refusal('BAD', 'This is no SCRAM message');
  }
  return dialogue.enter(result);
}

/** The bytes that bind the channel, none without PLUS. */
function channelOf(
  session: Session,
  { binding }: ClientFirst,
  { plus, offers }: { plus: boolean; offers: boolean },
): Buffer {
  if (plus !== (binding.kind === 'bound')) throw new Refusal('BAD', 'This is not how the mechanism binds the channel');
  // It was offered, and the client did not see it: somebody in between took it out (RFC 5802 §6).
  if (binding.kind === 'unoffered' && offers)
    throw new Refusal('NO', 'Somebody between us hides that the channel can be bound', 'AUTHENTICATIONFAILED');
  return bindingBytes(session, binding);
}

function bindingBytes(session: Session, binding: Binding): Buffer {
  if (binding.kind !== 'bound') return Buffer.alloc(0);
  const bytes = session.channelBinding(binding.name);
  if (bytes === null) throw new Refusal('NO', 'This connection has no such channel binding', 'CANNOT');
  return bytes;
}
