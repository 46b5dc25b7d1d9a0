/** The vector operations about whole messages and pins (`messages.json`, `pins.json`). */
import { Buffer } from 'node:buffer';
import type { Address } from '../../smimp/address.ts';
import { openInnerBox, openOuterBox, sealWithRandomness } from '../../smimp/boxes.ts';
import { verifyHistory } from '../../smimp/chain.ts';
import * as crypto from '../../smimp/crypto.ts';
import {
  type Hex24,
  type Hex32,
  parseBase64,
  parseHex,
  parseTimestamp,
  type SignedHash,
  toHex,
} from '../../smimp/encoding.ts';
import { parseStoredEnvelope, signEnvelope } from '../../smimp/envelope.ts';
import { parseHeader } from '../../smimp/header.ts';
import { openMessage } from '../../smimp/open.ts';
import { framePayload } from '../../smimp/payload.ts';
import { comparePin, type HistoryAnswer, historyIdentity, type Pin } from '../../smimp/pin.ts';
import { ciphertextHash, formatProof, powDigest } from '../../smimp/pow.ts';
import { verifySubmission } from '../../smimp/submit.ts';
import { digestOf, loginTokenDigest, text } from '../../smimp/transcript.ts';
import type { Outcome } from './outcome.ts';

type Build = {
  header: string;
  body: string;
  message_type: string;
  message_public_key: Hex32;
  sender_seed: string;
  ephemeral_secret: string;
  inner_nonce: string;
  nonce: Hex24;
  token: Hex32;
  proof_of_work: { nonce: Hex32; value: string } | null;
};

function innerBytes(plain: Uint8Array, input: Build): Buffer {
  const secretKey = parseHex(input.ephemeral_secret, 32);
  const nonce = parseHex(input.inner_nonce, 24);
  const box = Buffer.concat([Buffer.alloc(crypto.MAC_BYTES), plain]);
  crypto.boxSealInPlace(box, 0, { nonce, secretKey, publicKey: parseHex(input.message_public_key, 32) });
  return Buffer.concat([crypto.messagePublicKey(secretKey), nonce, box]);
}

/** The body is hex, the header its exact text. */
export function build(input: Build): Outcome {
  const senderKey = crypto.masterKeyPair(parseHex(input.sender_seed, 32));
  const secretKey = parseHex(input.ephemeral_secret, 32);
  const ephemeral = { secretKey, publicKey: crypto.messagePublicKey(secretKey) };
  const header = text(input.header);
  const body = Buffer.from(input.body, 'hex');
  const ciphertext = sealWithRandomness(
    { messagePublicKey: input.message_public_key, senderKey, header, body },
    { ephemeral, innerNonce: parseHex(input.inner_nonce, 24), nonce: parseHex(input.nonce, 24) },
  );
  const { from, to } = parseHeader(header);
  const loginTokenHash = toHex(loginTokenDigest(input.token));
  const target = { loginTokenHash, ciphertextHash: ciphertextHash(ciphertext), recipient: to };
  const proofOfWork = input.proof_of_work && prove(input, target, input.proof_of_work);
  const envelope = signEnvelope({
    sealed: {
      ciphertext,
      messageType: input.message_type,
      messagePublicKey: input.message_public_key,
      nonce: input.nonce,
    },
    proofOfWork,
    loginTokenHash,
    sender: from,
    recipient: to,
    senderKey,
  });
  const plain = framePayload(header, body);
  return {
    outputs: {
      sender_public_key: toHex(senderKey.publicKey),
      sender_x25519_secret: toHex(crypto.masterToBoxSecretKey(senderKey.secretKey)),
      ephemeral_public_key: toHex(ephemeral.publicKey),
      plain: toHex(plain),
      inner: toHex(innerBytes(plain, input)),
      ciphertext_hash: toHex(target.ciphertextHash),
      login_token_hash: loginTokenHash,
      digest: digestOf(envelope.message_hash),
      envelope,
    },
  };
}

function prove(
  input: Build,
  target: { loginTokenHash: Hex32; ciphertextHash: Uint8Array; recipient: Address },
  proof: { nonce: Hex32; value: string },
): string {
  const value = parseHex(proof.value, 32);
  const hash = powDigest({ ...target, messageType: input.message_type, nonce: proof.nonce }, value);
  return formatProof({ hash, value, nonce: proof.nonce });
}

type Answer = { address: Address; records: unknown; head: unknown };
type Open = {
  me: Address;
  envelope: Record<string, unknown>;
  message_secrets: Record<string, string>;
  sender_history: (Answer & { first_seen: string[] }) | null;
  my_history: Answer;
  envelope_first_seen: string;
  seen_message_hashes: SignedHash[];
  seen_uids: [string, string][];
};

export async function open(input: Open): Promise<Outcome> {
  const envelope = parseStoredEnvelope(input.envelope);
  const secretOf = (key: Hex32): Uint8Array | null => {
    const secret = input.message_secrets[key];
    return secret === undefined ? null : parseHex(secret, 32);
  };
  const sender =
    input.sender_history &&
    historyIdentity(verifyHistory(input.sender_history), input.sender_history.first_seen.map(parseTimestamp));
  const seenDigests = input.seen_message_hashes.map(digestOf);
  const opened = await openMessage({
    me: input.me,
    envelope,
    messageSecret: secretOf,
    sender,
    myHistory: verifyHistory(input.my_history),
    firstSeen: parseTimestamp(input.envelope_first_seen),
    seen: {
      digest: (digest) => seenDigests.includes(digest),
      uid: (address, uid) => input.seen_uids.some(([a, u]) => a === address && u === uid),
    },
  });
  const messageSecret = secretOf(envelope.message_public_key) ?? new Uint8Array();
  const senderPublicKey = envelope.sender_public_key;
  const inner = openOuterBox({
    ciphertext: envelope.ciphertext,
    nonce: envelope.nonce,
    senderPublicKey,
    messageSecret,
  });
  const innerHex = toHex(inner);
  const plain = openInnerBox({ inner, messageSecret, senderMasterKeys: [] });
  return {
    error: opened.cautions[0],
    outputs: {
      digest: opened.digest,
      inner: innerHex,
      plain: toHex(plain),
      header: opened.header,
      body: toHex(opened.body),
      body_value: opened.content.value,
    },
  };
}

type Submit = {
  envelope: unknown;
  sender: Address;
  recipient: Address;
  sender_public_key: Hex32;
  login_token_hash: Hex32;
  issued_key: Hex32;
  proof_of_work_parameters: { zero_bits: number; nonce: Hex32 } | null;
  recipient_master_keys: Hex32[];
};

export function submit(input: Submit): Outcome {
  const { envelope, digest } = verifySubmission({
    envelope: input.envelope,
    sender: input.sender,
    recipient: input.recipient,
    senderPublicKey: input.sender_public_key,
    loginTokenHash: input.login_token_hash,
    issuedKey: input.issued_key,
    recipientMasterKeys: input.recipient_master_keys,
    proofOfWorkParameters: input.proof_of_work_parameters,
  });
  const sent = input.envelope as { message: string };
  if (!parseBase64(sent.message).equals(envelope.ciphertext)) throw new Error('ciphertext was not handed on');
  return { outputs: { digest } };
}

type WirePin = Omit<Pin, 'last_data' | 'master_keys'>;

/** The pins of the vectors have the four members that the comparison needs. */
export function compare(input: { address: Address; answer: HistoryAnswer; pin: WirePin | null; now: string }): Outcome {
  const pin = input.pin && { ...input.pin, last_data: '', master_keys: [] };
  const { address, answer } = input;
  const compared = comparePin({ address, answer, pin, now: parseTimestamp(input.now) });
  return {
    error: compared.reason ?? undefined,
    outputs: { state: compared.state, sending: compared.sending, pin: compared.pin && wirePin(compared.pin) },
  };
}

function wirePin({ original_key, first_seen_key, signed_hashes, first_seen }: Pin): WirePin {
  return { original_key, first_seen_key, signed_hashes, first_seen };
}
