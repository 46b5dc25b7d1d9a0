/** Signs what leaves a gateway for the domains that it has keys of (RFC 6376, RFC 8463). */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface DkimKey {
  readonly selector: string;
  /** PEM: RSA of 1,024 bits at least (2,048 are usual), or Ed25519. */
  readonly privateKey: string;
}

/** By domain. */
export type DkimKeys = ReadonlyMap<string, DkimKey>;

/** `domain`: whose key it is that cannot be used. */
export class DkimKeyError extends Error {
  override readonly name = 'DkimKeyError';
  readonly code = 'dkim-key';
  readonly domain: string;

  constructor(domain: string, options: { cause?: unknown } = {}) {
    super(`the DKIM key of ${domain} cannot be used: it must be a PEM file with an RSA or Ed25519 key`, options);
    this.domain = domain;
  }
}

const MIN_RSA_BITS = 1_024;

/** Reads and checks every key, so that a wrong one is found at the start. Throws DkimKeyError. */
export async function readDkimKeys(
  configured: Readonly<Record<string, { selector: string; key_file: string }>>,
): Promise<DkimKeys> {
  const keys = new Map<string, DkimKey>();
  for (const [domain, { selector, key_file: file }] of Object.entries(configured)) {
    try {
      const privateKey = await readFile(file, 'utf8');
      checkKey(privateKey, domain);
      keys.set(domain, { selector, privateKey });
    } catch (cause) {
      throw cause instanceof DkimKeyError ? cause : new DkimKeyError(domain, { cause });
    }
  }
  return keys;
}

function checkKey(pem: string, domain: string): void {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = createPrivateKey(pem);
  const isUsable = type === 'ed25519' || (type === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS);
  if (!isUsable) throw new DkimKeyError(domain);
}

/** The message with a signature above it; as it is, when there is no key of the domain. */
export async function signed(
  keys: DkimKeys,
  message: Buffer,
  { domain, now }: { domain: string; now: Date },
): Promise<Buffer> {
  const key = keys.get(domain);
  if (key === undefined) return message;
  // Only gateways sign.
  const { dkimSign } = await import('mailauth/lib/dkim/sign.js');
  const signature = { signingDomain: domain, selector: key.selector, privateKey: key.privateKey };
  const how = { canonicalization: 'relaxed/relaxed', signTime: now, strict: true };
  const { signatures, errors } = await dkimSign(message, { ...signature, ...how, signatureData: [signature] });
  // Nothing leaves unsigned that was to be signed.
  if (signatures === '' || errors.length > 0) throw new DkimKeyError(domain, { cause: errors[0]?.err });
  return Buffer.concat([Buffer.from(signatures, 'latin1'), message]);
}
