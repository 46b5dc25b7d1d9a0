/**
 * The two boxes of a message (SMIMP 0.1 §4.1). The inner one is from a key made for this message and forgotten at once, so
 * that a stolen sender key opens nothing; the outer one is the draft's. Sealing needs one buffer, whatever the size.
 */
import { Buffer } from 'node:buffer';
import {
  boxOpen,
  boxOpenInPlace,
  boxSealInPlace,
  KEY_BYTES,
  MAC_BYTES,
  type MasterKeyPair,
  type MessageKeyPair,
  masterToBoxSecretKey,
  messageKeyPair,
  NONCE_BYTES,
  randomBytes,
  wipe,
} from './crypto.ts';
import { type Hex24, type Hex32, parseHex, toHex, view } from './encoding.ts';
import type { SealedMessage } from './envelope.ts';
import { ProfileError } from './errors.ts';
import { type MessageHeader, serializeHeader } from './header.ts';
import { masterBoxKey } from './master-key.ts';
import { checkMessagePublicKey } from './message-key.ts';
import { frameLength, unframePayload, writeFrame } from './payload.ts';

/** eph_pk ‖ nonce, before the inner box. */
const INNER_PREFIX_BYTES = KEY_BYTES + NONCE_BYTES;
/** Where the plaintext stands in the buffer that becomes the message. */
const PLAIN_START = MAC_BYTES + INNER_PREFIX_BYTES + MAC_BYTES;

/** What must be fresh for every message. Whoever passes this in builds test vectors. */
export type SealingRandomness = { ephemeral: MessageKeyPair; innerNonce: Uint8Array; nonce: Uint8Array };

type SealInput = { messagePublicKey: Hex32; senderKey: MasterKeyPair };

/** Encrypts exact header and body bytes with given randomness. For building test vectors; `sealMessage` draws its own. */
export function sealWithRandomness(
  input: SealInput & { header: Uint8Array; body: Uint8Array },
  random: SealingRandomness,
): Buffer {
  const publicKey = checkMessagePublicKey(input.messagePublicKey, []);
  const buffer = Buffer.alloc(PLAIN_START + frameLength(input.header, input.body));
  writeFrame(buffer.subarray(PLAIN_START), input.header, input.body);
  buffer.set(random.ephemeral.publicKey, MAC_BYTES);
  buffer.set(random.innerNonce, MAC_BYTES + KEY_BYTES);
  const { secretKey } = random.ephemeral;
  boxSealInPlace(buffer, MAC_BYTES + INNER_PREFIX_BYTES, { nonce: random.innerNonce, publicKey, secretKey });
  const senderSecret = masterToBoxSecretKey(input.senderKey.secretKey);
  try {
    boxSealInPlace(buffer, 0, { nonce: random.nonce, publicKey, secretKey: senderSecret });
  } finally {
    wipe(senderSecret);
  }
  return buffer;
}

/**
 * Encrypts one message to one recipient. `body` as from `serializeBody`; `messagePublicKey` from a key that
 * `verifyMessageKey` accepted. Throws what the recipient would throw at the header, and `key-*` codes.
 */
export function sealMessage(
  input: SealInput & { header: MessageHeader; body: Uint8Array; messageType: string },
): SealedMessage {
  const { messageType, messagePublicKey, senderKey, body } = input;
  const header = serializeHeader(input.header);
  const ephemeral = messageKeyPair();
  const nonce = randomBytes(NONCE_BYTES);
  const random = { ephemeral, innerNonce: randomBytes(NONCE_BYTES), nonce };
  try {
    const ciphertext = sealWithRandomness({ messagePublicKey, senderKey, header, body }, random);
    return { ciphertext, messageType, messagePublicKey, nonce: toHex<Hex24>(nonce) };
  } finally {
    wipe(ephemeral.secretKey);
  }
}

type OuterBox = {
  ciphertext: Uint8Array;
  nonce: Hex24;
  senderPublicKey: Hex32;
  messageSecret: Uint8Array;
  /** Opens the box where it stands: `ciphertext` is overwritten. */
  inPlace?: boolean;
};

/** Opens the draft's box, into a new buffer unless `inPlace`. Throws `outer-box`. */
export function openOuterBox(input: OuterBox): Buffer {
  const keys = {
    nonce: parseHex(input.nonce, NONCE_BYTES),
    publicKey: parseHex(masterBoxKey(input.senderPublicKey), KEY_BYTES),
    secretKey: input.messageSecret,
  };
  const { ciphertext, inPlace } = input;
  const inner = inPlace === true ? boxOpenInPlace(view(ciphertext), keys) : boxOpen(ciphertext, keys);
  if (!inner) throw new ProfileError('outer-box');
  return inner;
}

function checkEphemeralKey(key: Uint8Array, senderMasterKeys: readonly Hex32[]): void {
  try {
    checkMessagePublicKey(toHex(key), senderMasterKeys);
  } catch (cause) {
    throw new ProfileError('inner-box', { cause });
  }
}

/**
 * Opens the inner box where it stands: `inner` is overwritten. Its ephemeral key meets the rules for message keys, seen
 * from the sender. Throws `inner-box`.
 */
export function openInnerBox(input: {
  inner: Buffer;
  messageSecret: Uint8Array;
  senderMasterKeys: readonly Hex32[];
}): Buffer {
  const { inner } = input;
  if (inner.byteLength < INNER_PREFIX_BYTES + MAC_BYTES) throw new ProfileError('inner-box');
  const publicKey = inner.subarray(0, KEY_BYTES);
  checkEphemeralKey(publicKey, input.senderMasterKeys);
  const nonce = inner.subarray(KEY_BYTES, INNER_PREFIX_BYTES);
  const box = inner.subarray(INNER_PREFIX_BYTES);
  const plain = boxOpenInPlace(box, { nonce, publicKey, secretKey: input.messageSecret });
  if (!plain) throw new ProfileError('inner-box');
  return plain;
}

/** Both boxes and the frame. Header and body are views into one new buffer, or into `ciphertext` when it is `inPlace`. */
export function openBoxes(input: OuterBox & { senderMasterKeys: readonly Hex32[] }): { header: Buffer; body: Buffer } {
  const inner = openOuterBox(input);
  return unframePayload(openInnerBox({ ...input, inner }));
}
