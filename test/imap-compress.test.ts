/** COMPRESS=DEFLATE (RFC 4978), said line by line to the real server; and what unfolds to more than anybody needs. */
import { describe, expect, it } from 'vitest';
import { createUnfolding, Folding } from '../src/imap/folding.ts';
import { DEFAULT_SESSION_LIMITS } from '../src/imap/limits.ts';
import { forEachTest } from './support/each-session.ts';
import { ImapClient } from './support/imap-client.ts';
import { LIMITS, type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
forEachTest(async (given) => {
  site = given;
  client = await site.client();
  return [client];
});

const compressed = async (): Promise<void> => {
  expect(await client.okText('compress deflate')).toBe('DEFLATE active');
  client.compress();
};

describe('COMPRESS', () => {
  it('carries commands, literals and answers of every size', async () => {
    await compressed();
    const large = plainMail({ Subject: 'Large' }, 'The same words again. '.repeat(30_000));
    await client.ok('append inbox ', plainMail({ Subject: 'Small' }, 'text'));
    await client.ok('append inbox ', large);
    await client.ok(`append inbox {${large.length}+}\r\n${large.toString('latin1')}`);
    await client.ok('select inbox');
    const before = client.wireBytes;
    const [line = ''] = await client.ok('fetch 2 body.peek[text]');
    expect(line).toContain('The same words again. The same words again.');
    expect(line.length).toBeGreaterThan(600_000);
    expect(client.wireBytes - before).toBeLessThan(line.length / 20);
    expect(await client.search('subject large')).toEqual([2, 3]);
    client.send('i idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    using other = await site.client();
    await other.ok('append inbox ', plainMail({}, 'text'));
    expect(await client.line()).toBe('* 4 EXISTS');
    await client.line();
    client.send('done\r\n');
    expect(await client.line()).toMatch(/^i OK/);
    client.send('p1 noop\r\np2 noop\r\n');
    expect([await client.line(), await client.line()].map((text) => text.slice(0, 5))).toEqual(['p1 OK', 'p2 OK']);
    client.send('l logout\r\n');
    expect(await client.line()).toMatch(/^\* BYE/);
  });

  it('is offered after the login, once', async () => {
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    expect(stranger.greeting).not.toContain('COMPRESS');
    await stranger.bad('compress deflate');
    expect((await client.ok('capability'))[0]).toContain(' COMPRESS=DEFLATE');
    expect(await client.no('compress lzma')).toContain('not offered');
    for (const wrong of ['compress', 'compress deflate x', 'compress (deflate)']) await client.bad(wrong);
    await compressed();
    expect((await client.ok('capability'))[0]).not.toContain('COMPRESS');
    expect(await client.no('compress deflate')).toContain('[COMPRESSIONACTIVE]');
    await client.ok('noop');
  });

  it('survives the logout of UNAUTHENTICATE', async () => {
    await compressed();
    await client.ok('unauthenticate');
    expect((await client.ok('capability'))[0]).toContain('AUTH=PLAIN');
  });

  it('waits with what the client does not take', async () => {
    await compressed();
    const noise = Buffer.from(Array.from({ length: 400_000 }, (_, n) => 33 + ((n * n * 31 + n * 7) % 90)));
    await client.ok('append inbox ', Buffer.concat([plainMail({}, ''), noise]));
    await client.ok('select inbox');
    client.pause();
    client.send(`${Array.from({ length: 20 }, (_, n) => `f${n} fetch 1 body.peek[]\r\n`).join('')}`);
    using other = await site.client();
    await other.ok('noop');
    client.resume();
    for (let n = 0; n < 20; n += 1) expect((await client.finish(`f${n}`)).lines).toHaveLength(1);
  });

  it('ends with what is no deflate', async () => {
    await client.okText('compress deflate');
    client.sendRaw(Buffer.from('a1 noop\r\n'.repeat(20)));
    expect(await client.line()).toBe('<closed>');
    using other = await site.client();
    await other.ok('noop');
  });

  it('keeps every limit on what is unfolded', async () => {
    await compressed();
    client.send(`big append inbox {${LIMITS.messageBytes + 1}}\r\n`);
    expect(await client.line()).toMatch(/^big NO \[TOOBIG\]/);
    client.send(Buffer.alloc(70_000, 'x'));
    expect(await client.line()).toMatch(/^\* BYE/);
    expect(await client.line()).toBe('<closed>');
  });
});

describe('unfolding', () => {
  const unfold = async (folded: Buffer): Promise<{ bytes: number; broken: boolean }> => {
    const seen = { bytes: 0, broken: false };
    const { promise, resolve } = Promise.withResolvers<void>();
    const unfolding = createUnfolding(DEFAULT_SESSION_LIMITS, {
      onChunk: (chunk) => {
        seen.bytes += chunk.length;
      },
      onBroken: () => {
        seen.broken = true;
        unfolding.destroy();
        resolve();
      },
    });
    unfolding.write(folded, () => resolve());
    await promise;
    unfolding.destroy();
    return seen;
  };
  /** Without its last block: a stream that goes on. */
  const zeros = async (bytes: number): Promise<Buffer> => {
    const folding = new Folding();
    const folded = Buffer.concat(await folding.fold([Buffer.alloc(bytes)]));
    folding.close();
    return folded;
  };

  it('stops at the bound, and not before it', async () => {
    expect(await unfold(await zeros(DEFAULT_SESSION_LIMITS.unfoldFreeBytes))).toEqual({
      bytes: DEFAULT_SESSION_LIMITS.unfoldFreeBytes,
      broken: false,
    });
    const { bytes, broken } = await unfold(await zeros(2 * DEFAULT_SESSION_LIMITS.unfoldFreeBytes));
    expect(broken).toBe(true);
    expect(bytes).toBeLessThan(2 * DEFAULT_SESSION_LIMITS.unfoldFreeBytes);
  });

  it('folds in steps that can each be read, until it is closed', async () => {
    const folding = new Folding();
    const parts = [
      await folding.fold([Buffer.from('a')]),
      await folding.fold([Buffer.from('b'), Buffer.alloc(900_000)]),
    ];
    expect((await unfold(Buffer.concat(parts[0] ?? []))).bytes).toBe(1);
    expect((await unfold(Buffer.concat(parts.flat()))).bytes).toBe(900_002);
    const late = folding.fold([Buffer.alloc(900_000)]);
    folding.close();
    expect(await late).toBeInstanceOf(Array);
  });
});
