/** How many unknown authors a client may bring in an hour: at the edge, for each client, and in bounded memory. */
import { describe, expect, it } from 'vitest';
import { createNewcomers, MAX_CLIENTS, type Newcomers } from '../src/legacy/newcomers.ts';
import { NOW } from './support/mx-site.ts';

const HOUR_MS = 3_600_000;
const later = (ms: number): Date => new Date(NOW.getTime() + ms);

/** How many of `tries` are admitted. */
const admitted = (newcomers: Newcomers, client: string, now = NOW, tries = 10): number =>
  Array.from({ length: tries }, () => newcomers.admit(client, now)).filter(Boolean).length;

describe('authors that nobody knows', () => {
  it('are as many as are allowed in an hour, and again in the next', () => {
    const newcomers = createNewcomers({ perHour: 3 });
    expect(admitted(newcomers, '192.0.2.1')).toBe(3);
    expect(admitted(newcomers, '192.0.2.1', later(HOUR_MS - 1))).toBe(0);
    expect(admitted(newcomers, '192.0.2.1', later(HOUR_MS))).toBe(3);
    expect(admitted(newcomers, '192.0.2.1', later(2 * HOUR_MS - 1))).toBe(0);
  });

  it('are counted for each client; a network of 64 bits is one', () => {
    const newcomers = createNewcomers({ perHour: 3 });
    expect(admitted(newcomers, '192.0.2.1')).toBe(3);
    expect(admitted(newcomers, '::ffff:192.0.2.1')).toBe(0);
    expect(admitted(newcomers, '192.0.2.2')).toBe(3);
    expect(admitted(newcomers, '2001:db8::1')).toBe(3);
    expect(admitted(newcomers, '2001:db8:0:0:ffff::2')).toBe(0);
    expect(admitted(newcomers, '2001:db8:0:1::1')).toBe(3);
  });

  it(`are remembered of ${MAX_CLIENTS} clients, and the oldest of more is forgotten`, () => {
    const newcomers = createNewcomers({ perHour: 1 });
    const client = (n: number): string => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
    for (let n = 0; n < MAX_CLIENTS; n += 1) newcomers.admit(client(n), NOW);
    expect(newcomers.admit(client(0), NOW)).toBe(false);
    expect(newcomers.admit(client(MAX_CLIENTS), NOW)).toBe(true);
    expect(newcomers.admit(client(1), NOW)).toBe(false);
    expect(newcomers.admit(client(0), NOW)).toBe(true);
  });
});
