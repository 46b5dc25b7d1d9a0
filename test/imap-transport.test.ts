/** What a connection writes: in order, never mixed, and no more at once than its client takes. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WRITE_BYTES } from '../src/imap/limits.ts';
import { Transport } from '../src/imap/transport.ts';

async function pair(): Promise<{ server: Socket; client: Socket; end: () => void }> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  const [server] = (await once(listener, 'connection')) as [Socket];
  const end = (): void => {
    client.destroy();
    server.destroy();
    listener.close();
  };
  return { server, client, end };
}

describe('the transport', () => {
  it('keeps whole what is written at the same time', async () => {
    const { server, client, end } = await pair();
    const transport = new Transport(server);
    const large = Buffer.alloc(20 * WRITE_BYTES + 1, 'a');
    const written = [transport.write(Buffer.from('<'), large, Buffer.from('>')), transport.write(Buffer.from('BYE'))];
    const got: Buffer[] = [];
    client.on('data', (chunk: Buffer) => got.push(chunk));
    await Promise.all(written);
    transport.end();
    await once(client, 'end');
    expect(Buffer.concat(got).equals(Buffer.from(`<${large.toString()}>BYE`))).toBe(true);
    end();
  });

  it('gives the socket one piece more at most than the client takes', async () => {
    const { server, client, end } = await pair();
    client.pause();
    const transport = new Transport(server);
    transport.start({ onChunk: () => undefined, onClose: () => undefined });
    const written = transport.write(Buffer.alloc(64 * WRITE_BYTES));
    await expect.poll(() => server.writableLength).toBeGreaterThan(0);
    expect(server.writableLength).toBeLessThanOrEqual(WRITE_BYTES);
    transport.close();
    await written;
    end();
  });
});
