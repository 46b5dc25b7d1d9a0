/** What binds a login to one TLS connection (RFC 5929 §4: tls-server-end-point, RFC 9266: tls-exporter). */
import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

const EXPORTER_LABEL = 'EXPORTER-Channel-Binding';
const EXPORTER_BYTES = 32;
/** Hashes of certificate signatures; weak ones are replaced (RFC 5929 §4.1). */
const HASHES: readonly [pattern: RegExp, hash: string][] = [
  [/sha-?384/i, 'sha384'],
  [/sha-?512/i, 'sha512'],
  [/sha-?256|sha-?1|md5/i, 'sha256'],
];

/** Null where there is none of that name. */
export function channelBinding(socket: TLSSocket, name: string): Buffer | null {
  if (name === 'tls-exporter') return exporter(socket);
  return name === 'tls-server-end-point' ? endPoint(socket) : null;
}

/** Before TLS 1.3 it is unique only with an extension that nobody tells us of (RFC 9266 §2). */
function exporter(socket: TLSSocket): Buffer | null {
  if (socket.getProtocol() !== 'TLSv1.3') return null;
  return socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
}

function endPoint(socket: TLSSocket): Buffer | null {
  const certificate = socket.getCertificate();
  if (certificate === null || !('raw' in certificate)) return null;
  const { signatureAlgorithm, raw } = new X509Certificate(certificate.raw);
  const hash = HASHES.find(([pattern]) => pattern.test(signatureAlgorithm ?? ''))?.[1];
  return hash === undefined ? null : createHash(hash).update(raw).digest();
}
