/** The client's side of SCRAM-SHA-256 (RFC 5802 §3). */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();

export async function scramProof(
  password: string,
  { salt, iterations }: { salt: Buffer; iterations: number },
  authMessage: string,
): Promise<Buffer> {
  const clientKey = hmac(pbkdf2Sync(password, salt, iterations, 32, 'sha256'), 'Client Key');
  const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage);
  return Buffer.from(clientKey.map((byte, n) => byte ^ (signature[n] ?? 0)));
}

export function serverSignature(
  password: string,
  { salt, iterations }: { salt: Buffer; iterations: number },
  authMessage: string,
): Buffer {
  return hmac(hmac(pbkdf2Sync(password, salt, iterations, 32, 'sha256'), 'Server Key'), authMessage);
}
