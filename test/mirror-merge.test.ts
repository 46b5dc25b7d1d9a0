/** Three states of one message made into one (docs/proxy.md), and how many envelopes are fetched at once. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flagsIn, openExtensions, sealExtensions } from '../src/mailbox/flags.ts';
import type { MailAccount } from '../src/mailbox/mail-account.ts';
import { mergeStates, movedExtensions, sameState } from '../src/mirror/merge.ts';
import { batches, FETCH_AT_ONCE, FETCH_BYTES } from '../src/mirror/pull-messages.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import type { MirrorState } from '../src/store/mirror-messages.ts';
import { BOB } from './support/identities.ts';

const account = { address: BOB, storageKey: Buffer.alloc(32, 5) } as unknown as MailAccount;
const digest = Buffer.alloc(32, 6);

const blob = (version: number, flags: readonly string[], others: object = {}): Buffer =>
  sealExtensions(account, digest, { version, value: { ...others, flags: [...flags] } });
const flagsOf = (state: MirrorState): string[] =>
  flagsIn(openExtensions(account, { extensionsData: state.extensions_data, digest }).value).sort();

const FLAGS = ['\\Flagged', '\\Answered', 'a', 'b', 'c'];
const flags = fc.subarray(FLAGS);
const state = fc
  .record({ folder_id: fc.nat({ max: 2 }), read: fc.boolean(), flags })
  .map(({ flags: some, ...rest }) => ({ ...rest, some }));

describe('merging', () => {
  it('adds up what both sides did, whatever it was', () => {
    fc.assert(
      fc.property(state, state, state, (before, here, there) => {
        const of = ({ folder_id, read, some }: typeof before, version: number): MirrorState => ({
          folder_id,
          read,
          extensions_data: blob(version, some),
        });
        const [base, local, remote] = [of(before, 1), of(here, 2), of(there, 2)];
        const merged = mergeStates(account, { base, local, remote, digest });
        expect(merged.folder_id).toBe(there.folder_id === before.folder_id ? here.folder_id : there.folder_id);
        expect(merged.read).toBe(there.read === before.read ? here.read : there.read);
        const expected = FLAGS.filter((flag) => {
          const [was, isHere, isThere] = [before, here, there].map(({ some }) => some.includes(flag));
          return isHere === was ? isThere : isHere;
        });
        expect(flagsOf(merged)).toEqual(expected.sort());
        const again = mergeStates(account, { base: remote, local: merged, remote, digest });
        expect(sameState(again, merged)).toBe(true);
      }),
    );
  });

  it('takes the blob of the home as it is when nothing was done here, and keeps what others put in it', () => {
    const at = { folder_id: 1, read: false };
    const base = { ...at, extensions_data: blob(3, ['a']) };
    const remote = { ...at, extensions_data: blob(4, ['a', 'b'], { note: 'of another client' }) };
    expect(mergeStates(account, { base, local: base, remote, digest })).toEqual(remote);
    const local = { ...at, extensions_data: blob(4, ['a', 'c']) };
    const merged = mergeStates(account, { base, local, remote, digest });
    const opened = openExtensions(account, { extensionsData: merged.extensions_data, digest });
    expect(opened).toEqual({ version: 5, value: { note: 'of another client', flags: ['a', 'b', 'c'] } });
  });

  it('refuses a version lower than both had agreed on', () => {
    const at = { folder_id: 1, read: false };
    const base = { ...at, extensions_data: blob(3, ['new']) };
    const old = { ...at, extensions_data: blob(2, ['old']) };
    expect(mergeStates(account, { base, local: base, remote: old, digest })).toEqual(base);
    const same = { ...at, extensions_data: blob(3, ['other']) };
    expect(flagsOf(mergeStates(account, { base, local: base, remote: same, digest }))).toEqual(['other']);
  });

  it('gives a message that was sealed anew its flags under its new digest', () => {
    const to = randomBytes(32);
    const moved = movedExtensions(account, blob(7, ['a'], { note: 1 }), { from: digest, to });
    expect(openExtensions(account, { extensionsData: moved, digest: to })).toEqual({
      version: 7,
      value: { note: 1, flags: ['a'] },
    });
    expect(openExtensions(account, { extensionsData: moved, digest })).toEqual({ version: 0, value: {} });
    expect(movedExtensions(account, null, { from: digest, to })).toBeNull();
  });
});

describe('fetching', () => {
  const sizes = (list: readonly { size: number }[][]): number[][] => list.map((batch) => batch.map(({ size }) => size));

  it('takes so many envelopes at once, and so many bytes of them', () => {
    const small = Array.from({ length: FETCH_AT_ONCE + 1 }, () => ({ size: 1 }));
    expect(batches(small).map(({ length }) => length)).toEqual([FETCH_AT_ONCE, 1]);
    expect(sizes(batches([{ size: FETCH_BYTES - 1 }, { size: 1 }, { size: 1 }]))).toEqual([[FETCH_BYTES - 1, 1], [1]]);
    expect(sizes(batches([{ size: 1 }, { size: 10 * FETCH_BYTES }, { size: 1 }]))).toEqual([
      [1],
      [10 * FETCH_BYTES],
      [1],
    ]);
    expect(batches([])).toEqual([]);
  });
});
