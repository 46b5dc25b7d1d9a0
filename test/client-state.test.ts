/** What a client remembers: saved in one piece, never twice at once, and read back only when it is sound. */
import { describe, expect, it } from 'vitest';
import { type ClientState, newState, parseState, stateOf } from '../src/client/index.ts';
import { Memory } from '../src/client/memory.ts';
import { parseAddress, parseDomain } from '../src/smimp/address.ts';
import type { BaseUrl } from '../src/smimp/discovery.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { errorOf } from './support/errors.ts';

const NOW = new Date('2026-03-01T09:00:00Z');
const ALICE = parseAddress('alice#corp.test');
const state = (): ClientState => newState({ address: ALICE, profile: { name: 'Alice' }, now: NOW });
const hex = (byte: number): Hex32 => toHex(Buffer.alloc(32, byte));

/** A place to save to whose every save the test lets end. */
function slowDisk() {
  const waiting: { saved: ClientState; end: (error?: Error) => void }[] = [];
  let atOnce = 0;
  let most = 0;
  const save = (saved: ClientState): Promise<void> => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        atOnce -= 1;
        if (error === undefined) resolve();
        else reject(error);
      };
      waiting.push({ saved, end });
    });
  };
  const next = async () => {
    while (waiting.length === 0) await Promise.resolve();
    return waiting.shift() as (typeof waiting)[number];
  };
  return { save, next, most: () => most, waiting: () => waiting.length };
}

describe('saving', () => {
  it('never happens twice at once, and one save covers all that was changed before it began', async () => {
    const disk = slowDisk();
    const memory = new Memory(state(), disk.save);
    const saves = [1, 2, 3].map((byte) => {
      memory.remember({ digest: hex(byte), from: ALICE, uid: hex(byte), message_id: hex(byte) });
      return memory.save();
    });
    const first = await disk.next();
    expect(first.saved.seen).toHaveLength(3);
    memory.remember({ digest: hex(4), from: ALICE, uid: hex(4), message_id: hex(4) });
    const later = [memory.save(), memory.save()];
    expect(disk.waiting()).toBe(0);
    first.end();
    await Promise.all(saves);
    const second = await disk.next();
    expect([first.saved.seen.length, second.saved.seen.length]).toEqual([3, 4]);
    second.end();
    await Promise.all(later);
    expect([disk.most(), disk.waiting()]).toEqual([1, 0]);
  });

  it('that fails fails what needed it; the next one saves all', async () => {
    const disk = slowDisk();
    const memory = new Memory(state(), disk.save);
    const look = {
      outcome: 'found',
      baseUrl: 'https://smimp.corp.test' as BaseUrl,
      checkedAt: NOW,
      spoke: true,
    } as const;
    const failing = errorOf(memory.domains.save(parseDomain('corp.test'), look));
    (await disk.next()).end(new Error('disk full'));
    expect(await failing).toMatchObject({ code: 'not-saved', cause: { message: 'disk full' } });
    const again = memory.save();
    const { saved, end } = await disk.next();
    end();
    await again;
    expect(saved.domains).toMatchObject([{ domain: 'corp.test', first_found: '2026-03-01 09:00:00' }]);
  });

  it('gives away copies: changing one changes nothing here', async () => {
    const memory = new Memory(state(), async (saved) => {
      saved.keystore.own_history.length = 0;
    });
    await memory.save();
    memory.keystore().own_history.length = 0;
    memory.state().keystore.own_history.length = 0;
    expect(memory.identity.own_history).toHaveLength(1);
  });
});

describe('a stored state', () => {
  it('comes back as it was, also from a keystore alone', () => {
    const stored = state();
    expect(parseState(JSON.parse(JSON.stringify(stored)))).toEqual(stored);
    expect(stateOf(stored.keystore)).toEqual(stored);
  });

  it.each<[string, (stored: ClientState) => unknown, string]>([
    ['of another version', (stored) => ({ ...stored, version: 2 }), 'bad-field'],
    [
      'without its history',
      ({ keystore, ...rest }) => ({ ...rest, keystore: { ...keystore, own_history: [] } }),
      'bad-field',
    ],
    [
      'with a foreign key',
      ({ keystore, ...rest }) => ({ ...rest, keystore: { ...keystore, master: state().keystore.master } }),
      'bad-field',
    ],
    ['that is no object', () => null, 'bad-field'],
  ])('%s is refused', (_name, change, code) => {
    expect(() => parseState(change(state()))).toThrow(expect.objectContaining({ code }));
  });
});
