/** A mail server of the old internet, on loopback: takes what it is sent, until a test says otherwise. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { testCertificate } from './tls-server.ts';

export interface OldMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: Buffer;
  readonly encrypted: boolean;
  /** Parameters of MAIL, such as `BODY`. */
  readonly parameters: Record<string, unknown>;
  readonly user: string | null;
}

type At = 'connect' | 'mail' | 'rcpt' | 'data';

export interface OldServer extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:port`. */
  readonly target: string;
  readonly received: OldMail[];
  /** Connections so far. */
  connections(): number;
  /** What it answers at a step from now on, so many times; `drop`: it takes the message and hangs up without a word. */
  answer(at: At, reply: { code: number; text: string } | 'drop', times?: number): void;
  /** Resolves when so many messages are there. */
  arrived(count: number): Promise<void>;
}

/** `tls`: a certificate for `name`, for another name, or no STARTTLS at all. */
export async function startOldServer(
  options: {
    name?: string;
    tls?: 'valid' | 'invalid' | 'none';
    login?: { user: string; password: string };
    settings?: SMTPServerOptions;
    port?: number;
  } = {},
): Promise<OldServer> {
  const { name = 'mx.old.test', tls = 'valid', login, settings = {} } = options;
  const names = [tls === 'valid' ? name : 'other.test'];
  const { certificate: cert, key } = await testCertificate(...names);
  const received: OldMail[] = [];
  const waiting = new Set<() => void>();
  const answers = new Map<At, { reply: { code: number; text: string } | 'drop'; times: number }>();
  let connections = 0;

  const refusal = (at: At): Error | 'drop' | null => {
    const planned = answers.get(at);
    if (planned === undefined || planned.times === 0) return null;
    planned.times -= 1;
    if (planned.reply === 'drop') return 'drop';
    return Object.assign(new Error(planned.reply.text), { responseCode: planned.reply.code });
  };
  const step = (at: At, callback: (error?: Error | null) => void): void => {
    const refused = refusal(at);
    callback(refused === 'drop' ? null : refused);
  };

  const server = new SMTPServer({
    name,
    cert,
    key,
    logger: false,
    disableReverseLookup: true,
    hideSTARTTLS: tls === 'none',
    ...(tls === 'none' ? { disabledCommands: ['STARTTLS'] } : {}),
    authOptional: login === undefined,
    allowInsecureAuth: true,
    onAuth: (auth, _session, callback) => {
      const known = auth.username === login?.user && auth.password === login?.password;
      callback(known ? null : new Error('no'), known ? { user: auth.username } : undefined);
    },
    onConnect: (_session, callback) => {
      connections += 1;
      step('connect', callback);
    },
    onMailFrom: (_address, _session, callback) => step('mail', callback),
    onRcptTo: (_address, _session, callback) => step('rcpt', callback),
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const refused = refusal('data');
        if (refused instanceof Error) return callback(refused);
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks),
          encrypted: session.secure,
          parameters: { ...(mailFrom === false ? {} : (mailFrom.args as object)) },
          user: session.user ?? null,
        });
        for (const wake of waiting) wake();
        if (refused === null) return callback();
        for (const connection of server.connections) (connection as unknown as { close(): void }).close();
      });
    },
    ...settings,
  });
  server.on('error', () => undefined);
  await once(server.listen(options.port ?? 0, '127.0.0.1'), 'listening');
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    target: `127.0.0.1:${port}`,
    received,
    connections: () => connections,
    answer: (at, reply, times = Number.POSITIVE_INFINITY) => void answers.set(at, { reply, times }),
    async arrived(count) {
      while (received.length < count) {
        await new Promise<void>((resolve) => waiting.add(resolve));
        waiting.clear();
      }
    },
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(resolve));
    },
  };
}
