/** The old internet of the demonstration, on loopback: a mail server of old.test, where nobody but Bob lives, and a DNS without names. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface OldMail {
  readonly from: string;
  readonly to: string;
  readonly raw: Buffer;
}

export interface OldInternet extends AsyncDisposable {
  /** Where its mail server is: `127.0.0.1:port`. */
  readonly server: string;
  /** Where its name server is, likewise. */
  readonly dns: string;
  /** The messages that came, once there are `count`. */
  received(count: number): Promise<readonly OldMail[]>;
}

export const BOB_OF_OLD = 'bob@old.test';
/** Mail that is on its way comes within this time. */
const ARRIVAL_TIMEOUT_MS = 120_000;
const HEADER_BYTES = 12;
/** An answer, recursion available, no such name. */
const NO_SUCH_NAME = 0x8183;

export async function startOldInternet(): Promise<OldInternet> {
  const mails: OldMail[] = [];
  let changed = Promise.withResolvers<void>();
  const take = (mail: OldMail): void => {
    mails.push(mail);
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const server = mailServer(take);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const names = createSocket('udp4');
  names.on('message', (query, from) => names.send(nothing(query), from.port, from.address));
  names.bind(0, '127.0.0.1');
  await once(names, 'listening');
  return {
    server: `127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    dns: `127.0.0.1:${names.address().port}`,
    async received(count) {
      const late = AbortSignal.timeout(ARRIVAL_TIMEOUT_MS);
      while (mails.length < count) {
        late.throwIfAborted();
        await Promise.race([changed.promise, once(late, 'abort')]);
      }
      return mails;
    },
    async [Symbol.asyncDispose]() {
      names.close();
      await new Promise<void>((resolve) => server.close(resolve));
    },
  };
}

function mailServer(take: (mail: OldMail) => void): SMTPServer {
  const server = new SMTPServer({
    name: 'mx.old.test',
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    onRcptTo: ({ address }, _session, callback) => {
      const isKnown = address === BOB_OF_OLD;
      callback(isKnown ? null : Object.assign(new Error('5.1.1 No such user here'), { responseCode: 550 }));
    },
    onData(stream, { envelope: { mailFrom, rcptTo } }, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const from = mailFrom === false ? '' : mailFrom.address;
        take({ from, to: rcptTo.map(({ address }) => address).join(), raw: Buffer.concat(chunks) });
        callback();
      });
    },
  });
  // Whoever hangs up is no failure of the demonstration; what does not arrive is.
  server.on('error', () => undefined);
  return server;
}

/** The question again, and that there is no such name. */
function nothing(query: Buffer): Buffer {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(NO_SUCH_NAME, 2);
  answer.fill(0, 6, HEADER_BYTES);
  const end = answer.indexOf(0, HEADER_BYTES) + 5;
  return answer.subarray(0, end);
}
