/** What may be encrypted to (SMIMP 0.1 §1.4), asked again and again: a key that passed is not multiplied with anew. */
import { describe, expect, it } from 'vitest';
import { masterKeyPair, messageKeyPair } from '../src/smimp/crypto.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { masterBoxKey } from '../src/smimp/master-key.ts';
import { checkMessagePublicKey } from '../src/smimp/message-key.ts';

const fresh = (): Hex32 => toHex<Hex32>(messageKeyPair().publicKey);
const LOW_ORDER = '00'.repeat(32);
const NOT_CANONICAL = `ee${'ff'.repeat(30)}7f`;

describe('the check of a message key', () => {
  it('gives the key each time, also when many others were asked for meanwhile', () => {
    const key = fresh();
    for (let n = 0; n < 600; n += 1) {
      expect(toHex(checkMessagePublicKey(n % 7 === 0 ? key : fresh(), []))).toHaveLength(64);
    }
    expect(toHex(checkMessagePublicKey(key, []))).toBe(key);
  });

  it.each([
    ['of low order', LOW_ORDER, 'key-low-order'],
    ['in another spelling', NOT_CANONICAL, 'key-not-canonical'],
  ])('refuses one %s the second time as the first', (_name, key, code) => {
    for (let n = 0; n < 2; n += 1)
      expect(() => checkMessagePublicKey(key, [])).toThrow(expect.objectContaining({ code }));
  });

  it('refuses one that passed for others where it is the master key', () => {
    const master = toHex<Hex32>(masterKeyPair().publicKey);
    const key = masterBoxKey(master);
    checkMessagePublicKey(key, []);
    expect(() => checkMessagePublicKey(key, [master])).toThrow(expect.objectContaining({ code: 'key-is-master' }));
  });
});
