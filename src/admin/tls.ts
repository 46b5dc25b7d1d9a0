/**
 * The certificate of every listener: the configured one, or one from an authority of the bridge's own, kept in
 * `data_directory/tls`. The authority stays the same for years, so a mail program that trusts it is never asked again;
 * the certificate is made anew only when it is about to end or the names changed.
 */
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Authority } from './certificates.ts';

/** A certificate that ends within this time is made anew at the next start. */
const RENEW_BEFORE_MS = 30 * 86_400_000;

export interface TlsMaterial {
  /** PEM, with the chain. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** The authority made here, to be trusted by mail programs; null with a configured certificate. */
  readonly authority: { readonly path: string; readonly pem: string } | null;
}

export async function loadTls(config: Config, now: Date): Promise<TlsMaterial> {
  const { certificate, key } = config.tls;
  if (certificate !== null && key !== null) {
    const [cert, secret] = await Promise.all([readFile(certificate, 'utf8'), readFile(key, 'utf8')]);
    return { certificate: cert, key: secret, authority: null };
  }
  return ownTls(join(config.data_directory, 'tls'), namesOf(config), now);
}

function namesOf(config: Config): string[] {
  const host = new URL(config.base_url).hostname;
  return [...new Set([config.mail_host, 'localhost', host, ...config.domains])];
}

async function ownTls(directory: string, names: string[], now: Date): Promise<TlsMaterial> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const authority = await ownAuthority(directory);
  const paths = { certificate: join(directory, 'server.pem'), key: join(directory, 'server.key') };
  let certificate = await readIfThere(paths.certificate);
  let key = await readIfThere(paths.key);
  if (certificate === null || key === null || !isStillGood(certificate, names, now)) {
    const { issueCertificate } = await import('./certificates.ts');
    const issued = await issueCertificate({ authority, names, ips: ['127.0.0.1', '::1'] });
    ({ certificate, key } = issued);
    await writeFile(paths.key, key, { mode: 0o600 });
    await writeFile(paths.certificate, certificate);
  }
  const chain = `${certificate.trimEnd()}\n${authority.certificate}`;
  return { certificate: chain, key, authority: { path: join(directory, 'ca.pem'), pem: authority.certificate } };
}

async function ownAuthority(directory: string): Promise<Authority> {
  const paths = { certificate: join(directory, 'ca.pem'), key: join(directory, 'ca.key') };
  const [certificate, key] = await Promise.all([readIfThere(paths.certificate), readIfThere(paths.key)]);
  if (certificate !== null && key !== null) return { certificate, key };
  const { createAuthority } = await import('./certificates.ts');
  const authority = await createAuthority();
  await writeFile(paths.key, authority.key, { mode: 0o600 });
  await writeFile(paths.certificate, authority.certificate);
  return authority;
}

function isStillGood(certificate: string, names: string[], now: Date): boolean {
  const parsed = new X509Certificate(certificate);
  const ends = Date.parse(parsed.validTo);
  return ends - now.getTime() > RENEW_BEFORE_MS && names.every((name) => parsed.checkHost(name) !== undefined);
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
