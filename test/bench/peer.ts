/** The peer of the throughput: a bare smtp-server that takes messages and throws them away. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { createAuthority, issueCertificate } from '../../src/admin/certificates.ts';
import { MESSAGE_TEXT } from './arrivals.ts';

/** Messages a second that it takes from so many connections. */
export async function peerRate(count: number, connections: number): Promise<number> {
  const issued = await issueCertificate({
    authority: await createAuthority(),
    names: ['localhost'],
    ips: ['127.0.0.1'],
  });
  const server = new SMTPServer({
    secure: true,
    key: issued.key,
    cert: issued.certificate,
    authOptional: true,
    onData(stream, _session, callback) {
      stream.resume();
      stream.once('end', () => callback());
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;
  const transport = createTransport({
    pool: true,
    maxConnections: connections,
    maxMessages: Number.POSITIVE_INFINITY,
    host: '127.0.0.1',
    port,
    secure: true,
    tls: { rejectUnauthorized: false },
  });
  const begin = performance.now();
  const send = () => transport.sendMail({ from: 'a@acme.test', to: 'b@corp.test', text: MESSAGE_TEXT });
  await Promise.all(Array.from({ length: count }, send));
  const seconds = (performance.now() - begin) / 1_000;
  transport.close();
  server.close();
  return count / seconds;
}
