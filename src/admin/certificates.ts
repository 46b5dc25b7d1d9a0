/**
 * Certificates of our own: an authority, and server certificates signed by it. For home servers without a public
 * certificate, for closed networks, and for tests.
 */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

type CryptoKey = webcrypto.CryptoKey;

/** PEM: the certificate, and its key as PKCS #8. */
export interface Authority {
  readonly certificate: string;
  readonly key: string;
}

export type Validity = { readonly notBefore?: Date; readonly notAfter?: Date };

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;
/** Mail programs ask anew when an authority changes, so it lives long. */
const AUTHORITY_DAYS = 3650;
/** The longest that clients accept for a server certificate (Apple: 825 days of private authorities). */
const SERVER_DAYS = 397;
/** Clocks of clients may be behind. */
const BACKDATED_MS = DAY_MS;
const SERIAL_BYTES = 16;

type Generated = { publicKey: CryptoKey; privateKey: CryptoKey };

async function newKeyPair(): Promise<Generated> {
  return await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

async function importKey(pem: string): Promise<CryptoKey> {
  const [der] = PemConverter.decode(pem);
  if (der === undefined) throw new TypeError('the key of the authority is no PEM');
  return await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']);
}

/** A positive serial number of 126 random bits. */
function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function dates(validity: Validity, days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return {
    notBefore: validity.notBefore ?? new Date(now - BACKDATED_MS),
    notAfter: validity.notAfter ?? new Date(now + days * DAY_MS),
  };
}

/** A new authority. `name` is what people see when they are asked to trust it. */
export async function createAuthority(options: Validity & { name?: string } = {}): Promise<Authority> {
  const keys = await newKeyPair();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [options.name ?? 'smimp-bridge authority'] }],
    ...dates(options, AUTHORITY_DAYS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

/** A certificate for a TLS server with these DNS names and IP addresses, and its key. PEM. */
export async function issueCertificate(
  options: Validity & { authority: Authority; names: readonly string[]; ips?: readonly string[] },
): Promise<{ certificate: string; key: string }> {
  const { authority, names, ips = [] } = options;
  const issuer = new X509Certificate(authority.certificate);
  const keys = await newKeyPair();
  const alternatives: JsonGeneralName[] = [
    ...names.map((value) => ({ type: 'dns' as const, value })),
    ...ips.map((value) => ({ type: 'ip' as const, value })),
  ];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [names[0] ?? ips[0] ?? 'server'] }],
    issuer: issuer.subject,
    ...dates(options, SERVER_DAYS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(alternatives),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}
