/**
 * Sending (SMIMP 0.1 §4, §5): get a key → confirm the head → seal → work → send. What was sealed is plain data, so that its
 * caller can keep it and hand in the same envelope again: in one session that is answered with the same message id.
 */
import { z } from 'zod';
import type { Contact } from '../identity/contact.ts';
import { envelopeJson } from '../pipeline/large-json.ts';
import type { Minter } from '../pipeline/minter.ts';
import { type Disposition, RemoteError } from '../remote/errors.ts';
import type { HomeClient, Session } from '../remote/home.ts';
import type { StreamedBody } from '../remote/https.ts';
import type { Address } from '../smimp/address.ts';
import { randomBytes } from '../smimp/crypto.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type EmailBody, type SecretBody, type ShortMessageBody, serializeBody } from '../smimp/email.ts';
import { type Hex32, parseBase64, toBase64, toHex } from '../smimp/encoding.ts';
import { proofOfWork, type SealedMessage, sentEnvelope } from '../smimp/envelope.ts';
import { address, base64, hex24, hex32, messageType, signedHash } from '../smimp/fields.ts';
import { ASK_OPERATOR_ABOVE_BITS } from '../smimp/pow.ts';
import { masterOf } from './keystore-data.ts';
import type { Memory } from './memory.ts';
import { ownIdentity, type People } from './people.ts';
import { sealTo, usableKey } from './sealing.ts';
import type { ClientSessions } from './sessions.ts';
import { type Worked, workFor } from './working.ts';

const UID_BYTES = 32;

/** One copy of a message. `body`: the object of a defined type, or the bytes of any. */
export type Draft = {
  readonly to: Address;
  readonly messageType: string;
  readonly body: EmailBody | ShortMessageBody | SecretBody | Uint8Array;
  /** The same for every recipient, and when it is tried again. Default: random. */
  readonly uid?: Hex32;
};

/** A message that was sealed and perhaps worked for. JSON, to be kept until it was sent. No secrets are in it. */
export const outgoingSchema = z.object({
  to: address,
  uid: hex32,
  message_type: messageType,
  base_url: z.string(),
  /** The master key it was sealed with. */
  sender_public_key: hex32,
  message_public_key: hex32,
  nonce: hex24,
  message: base64,
  worked: z
    .object({ proof_of_work: proofOfWork, message_hash: signedHash, login_token_hash: hex32, zero_bits: z.int() })
    .nullable(),
});
export type Outgoing = z.infer<typeof outgoingSchema>;

export type Refusal =
  /** Sending is blocked (§3); `contact.state` says why. Nothing was sent. */
  | { readonly kind: 'blocked'; readonly contact: Contact }
  /** Nobody can say now who this is. Try again later; never send it another way. */
  | { readonly kind: 'unavailable'; readonly contact: Contact }
  /** There is no such user, or its domain does not speak SMIMP and never did. */
  | { readonly kind: 'impossible'; readonly contact: Contact };

export type Sealing = { readonly kind: 'sealed'; readonly outgoing: Outgoing } | Refusal;

export type Delivery =
  | { readonly kind: 'sent'; readonly messageId: Hex32; readonly outgoing: Outgoing }
  /** More work is asked than was agreed to. Nothing was worked; call again with `agreedBits` to agree. */
  | { readonly kind: 'asks'; readonly zeroBits: number; readonly outgoing: Outgoing }
  /** More than 28 bits: no client does that. */
  | { readonly kind: 'too-much-work'; readonly zeroBits: number }
  /** The message key is gone or the master key was replaced: seal the draft anew, with the same uid. */
  | { readonly kind: 'seal-again' };

export type DeliverOptions = {
  /** Up to this many zero bits are worked without asking; at most 28. Default: 22. */
  readonly agreedBits?: number;
  /** Called before it is handed in, so that the same envelope can be handed in again after a crash. */
  readonly keep?: (outgoing: Outgoing) => Promise<void>;
  readonly signal?: AbortSignal;
};

export interface Sending {
  /** Seals one copy. Throws RemoteError; ProfileError for a body that its recipient would refuse. */
  seal(draft: Draft): Promise<Sealing>;
  /** Works for it and hands it in. Throws RemoteError, whose `disposition` says what helps; MintError when cancelled. */
  deliver(outgoing: Outgoing, options?: DeliverOptions): Promise<Delivery>;
  /** Both, sealing anew where it must be. */
  send(draft: Draft, options?: DeliverOptions): Promise<Delivery | Refusal>;
}

/** A key or a session may end between two calls; more often than this is no coincidence. */
const MAX_ROUNDS = 3;

export function createSending(options: {
  memory: Memory;
  people: People;
  sessions: ClientSessions;
  home: HomeClient;
  minter: Minter;
  clock: () => Date;
}): Sending {
  const { memory, people, sessions, home, minter, clock } = options;
  const master = async () => masterOf(memory.identity);

  const seal: Sending['seal'] = async (draft) => {
    const body = bytesOf(draft);
    const first = await people.resolve(draft.to);
    if (first.history === null || first.baseUrl === null) return refusal(first);
    const { baseUrl } = first;
    const asked = sessions.within(baseUrl, (session) => home.getMessageKey(session, draft.to));
    const answer = await asked.catch(hiddenAsNull);
    if (answer === null) return refusal(hidden(first));
    const contact = await people.confirmHead(draft.to, answer.head);
    if (contact.history === null) return refusal(contact);
    const now = Math.floor(clock().getTime() / 1000);
    const key = usableKey(contact.history, answer.message_key, now);
    const { seq, head } = ownIdentity(memory);
    const senderKey = await master();
    const uid = draft.uid ?? toHex<Hex32>(randomBytes(UID_BYTES));
    const sealed = sealTo({
      sender: { address: memory.address, master: senderKey, head: { seq, head } },
      recipient: contact.history,
      key,
      message: { uid, messageType: draft.messageType, body },
      now,
    });
    const outgoing: Outgoing = {
      to: draft.to,
      uid,
      message_type: draft.messageType,
      base_url: baseUrl,
      sender_public_key: toHex(senderKey.publicKey),
      message_public_key: sealed.messagePublicKey,
      nonce: sealed.nonce,
      message: toBase64(sealed.ciphertext),
      worked: null,
    };
    return { kind: 'sealed', outgoing };
  };

  const work = async (session: Session, outgoing: Outgoing, { agreedBits, signal }: DeliverOptions): Promise<Worked> =>
    workFor(
      { home, minter },
      {
        session,
        sealed: sealedOf(outgoing),
        recipient: outgoing.to,
        agreedBits: agreedBits ?? ASK_OPERATOR_ABOVE_BITS,
        senderKey: master,
        signal,
      },
    );

  const handIn = async (session: Session, outgoing: Outgoing, options: DeliverOptions): Promise<Delivery> => {
    let ready = outgoing;
    if (outgoing.worked?.login_token_hash !== session.loginTokenHash) {
      const worked = await work(session, outgoing, options);
      if (worked.kind === 'refused') return { kind: 'too-much-work', zeroBits: worked.zeroBits };
      if (worked.kind === 'asked') return { kind: 'asks', zeroBits: worked.zeroBits, outgoing };
      if (worked.kind === 'rotated') return { kind: 'seal-again' };
      ready = withWork(outgoing, worked, session);
      await options.keep?.(ready);
    }
    const { messageId } = await home.sendMessage(session, outgoing.to, bodyToPost(ready), options.signal);
    return { kind: 'sent', messageId, outgoing: ready };
  };

  const deliver: Sending['deliver'] = async (outgoing, options = {}) => {
    let ready = outgoing;
    for (let round = 1; ; round++) {
      const session = await sessions.at(ready.base_url as BaseUrl);
      if (session.publicKey !== ready.sender_public_key) return { kind: 'seal-again' };
      try {
        return await handIn(session, ready, options);
      } catch (error) {
        const disposition: Disposition | null = error instanceof RemoteError ? error.disposition : null;
        if (disposition === 'reseal') return { kind: 'seal-again' };
        if ((disposition !== 'session' && disposition !== 'remint') || round === MAX_ROUNDS) throw error;
        if (disposition === 'session') await sessions.forget(session);
        ready = { ...ready, worked: null };
      }
    }
  };

  return {
    seal,
    deliver,
    async send(draft, options) {
      const again = { ...draft, uid: draft.uid ?? toHex<Hex32>(randomBytes(UID_BYTES)) };
      for (let round = 1; ; round++) {
        const sealing = await seal(again);
        if (sealing.kind !== 'sealed') return sealing;
        const delivery = await deliver(sealing.outgoing, options);
        if (delivery.kind !== 'seal-again' || round === MAX_ROUNDS) return delivery;
      }
    },
  };
}

function bytesOf({ messageType, body }: Draft): Uint8Array {
  return body instanceof Uint8Array ? body : serializeBody(messageType, body);
}

/** Whoever is pinned and suddenly unknown is UNAVAILABLE (SMIMP 0.1 §3). */
function hidden(contact: Contact): Contact {
  return { ...contact, state: 'UNAVAILABLE', sending: 'queued', history: null, reason: 'unavailable' };
}

function hiddenAsNull(error: unknown): null {
  if (error instanceof RemoteError && error.apiCode === 'unknown_user') return null;
  throw error;
}

function refusal(contact: Contact): Refusal {
  if (contact.sending === 'impossible') return { kind: 'impossible', contact };
  return { kind: contact.sending === 'blocked' ? 'blocked' : 'unavailable', contact };
}

function sealedOf(outgoing: Outgoing): SealedMessage {
  return {
    ciphertext: parseBase64(outgoing.message),
    messageType: outgoing.message_type,
    messagePublicKey: outgoing.message_public_key,
    nonce: outgoing.nonce,
  };
}

function withWork(outgoing: Outgoing, worked: Worked & { kind: 'worked' }, session: Session): Outgoing {
  const { proofOfWork: proof_of_work, messageHash: message_hash, zeroBits: zero_bits } = worked;
  return {
    ...outgoing,
    worked: { proof_of_work, message_hash, login_token_hash: session.loginTokenHash, zero_bits },
  };
}

function bodyToPost(outgoing: Outgoing): StreamedBody {
  const { worked } = outgoing;
  if (worked === null) throw new TypeError('nothing was worked for this message');
  const sealed = sealedOf(outgoing);
  const signed = { proofOfWork: worked.proof_of_work, messageHash: worked.message_hash };
  const { message: _none, ...envelope } = sentEnvelope({ ...sealed, ciphertext: new Uint8Array() }, signed);
  return envelopeJson(envelope, sealed.ciphertext);
}
