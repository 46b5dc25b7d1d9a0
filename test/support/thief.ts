/** A thief with keys, who really tries each of them on each ciphertext, in every place where a key is used (SMIMP 0.1 §4.1). */
import { openInnerBox, openOuterBox } from '../../src/smimp/boxes.ts';
import { boxOpen, masterToBoxSecretKey } from '../../src/smimp/crypto.ts';
import { type Hex24, type Hex32, toHex } from '../../src/smimp/encoding.ts';
import { ProfileError } from '../../src/smimp/errors.ts';
import { unframePayload } from '../../src/smimp/payload.ts';
import type { StoredMessage } from '../../src/store/messages.ts';

export type Opened = 'nothing' | 'outer box' | 'message';
/** 32-byte secrets of X25519, whatever they are for. */
export type Thief = { boxSecrets: readonly Uint8Array[] };

/** The furthest that a thief gets with one envelope: every secret is tried in every place where one is used. */
export function tryOpen(row: StoredMessage, { boxSecrets }: Thief): { got: Opened; text: string } {
  let best: { got: Opened; text: string } = { got: 'nothing', text: '' };
  for (const secret of boxSecrets) {
    for (const inner of outerBoxes(row, secret)) {
      if (best.got === 'nothing') best = { got: 'outer box', text: '' };
      for (const second of boxSecrets) {
        const text = innerText(Buffer.from(inner), second, row);
        if (text !== null) best = { got: 'message', text };
      }
    }
  }
  return best;
}

/** As its recipient opens it, and as its sender can: a box opens from both ends. */
export function outerBoxes(row: StoredMessage, secretKey: Uint8Array): Buffer[] {
  const opened: (Buffer | null)[] = [
    boxOpen(row.ciphertext, { nonce: row.nonce, publicKey: row.message_public_key, secretKey }),
  ];
  try {
    const senderPublicKey = toHex<Hex32>(row.sender_public_key);
    opened.push(
      openOuterBox({
        ciphertext: row.ciphertext,
        nonce: toHex<Hex24>(row.nonce),
        senderPublicKey,
        messageSecret: secretKey,
      }),
    );
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
  }
  return opened.filter((inner) => inner !== null);
}

function innerText(inner: Buffer, secret: Uint8Array, row: StoredMessage): string | null {
  const direct = boxOpen(inner.subarray(56), {
    nonce: inner.subarray(32, 56),
    publicKey: row.message_public_key,
    secretKey: secret,
  });
  if (direct !== null) return unframePayload(direct).body.toString('utf8');
  try {
    const plain = openInnerBox({ inner, messageSecret: secret, senderMasterKeys: [] });
    return unframePayload(plain).body.toString('utf8');
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}

/** Master keys in both forms that they may have, message secrets as they are. */
export const asBoxSecrets = (...keys: Uint8Array[]): Thief => ({
  boxSecrets: keys.flatMap((key) => (key.length === 64 ? [masterToBoxSecretKey(key), key.subarray(0, 32)] : [key])),
});
