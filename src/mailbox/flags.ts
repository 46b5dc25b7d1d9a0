/**
 * Flags of messages. \Seen is the message's `read`; all others, and keywords, stand in its `extensions_data`, a storage
 * blob (SMIMP 0.1 §5) that holds `{"flags": […]}` beside whatever other clients of the user keep there.
 */
import type { Hex32 } from '../smimp/encoding.ts';
import { parseBase64, toBase64, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import type { JsonValue } from '../smimp/json.ts';
import { openStorage, type StorageObject, sealStorage } from '../smimp/storage.ts';
import { MailboxError } from './errors.ts';
import type { MailAccount } from './mail-account.ts';
import { isTrustKeyword } from './trust-keywords.ts';

export const SEEN = '\\Seen';
/** More keywords on one message are a mistake of some program; the blob has 64 KiB at most (SMIMP 0.1 §5). */
export const MAX_KEYWORDS = 100;
/** Longer names are refused; those of real programs have about twenty characters. */
export const MAX_KEYWORD_CHARS = 200;

/**
 * What is stored of one message's flags. `digest`: the one in `message_hash`. `leastVersion`: of the newest blob that was
 * seen here; an older one that was brought back is refused (SMIMP 0.1 §5).
 */
export type StoredFlags = { read: boolean; extensionsData: Buffer | null; digest: Buffer; leastVersion?: number };

/** A storage blob once it is open. */
export type Extensions = { version: number; value: Record<string, JsonValue> };

const NOTHING: Extensions = { version: 0, value: {} };

function objectOf(account: MailAccount, digest: Buffer): StorageObject {
  return { owner: account.address, purpose: 'extensions', objectId: toHex<Hex32>(digest) };
}

/** A blob that does not open holds no flags we know of: it was made under another storage key, is damaged, or was replaced since. */
export function openExtensions(
  account: MailAccount,
  stored: Pick<StoredFlags, 'extensionsData' | 'digest' | 'leastVersion'>,
): Extensions {
  const { leastVersion = 0 } = stored;
  // What is written next must be newer than what was seen.
  const nothing = { ...NOTHING, version: leastVersion };
  if (stored.extensionsData === null) return nothing;
  const { storageKey: key } = account;
  const object = objectOf(account, stored.digest);
  try {
    const opened = openStorage({ key, object, blob: toBase64(stored.extensionsData), leastVersion });
    return isObject(opened.value)
      ? { version: opened.version, value: opened.value }
      : { ...NOTHING, version: opened.version };
  } catch (error) {
    if (error instanceof ProfileError) return nothing;
    throw error;
  }
}

/** The blob of a value under the digest of its message. */
export function sealExtensions(account: MailAccount, digest: Buffer, { version, value }: Extensions): Buffer {
  const object = objectOf(account, digest);
  return parseBase64(sealStorage({ key: account.storageKey, object, version, value }));
}

function isObject(value: JsonValue): value is Record<string, JsonValue> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What can be a flag: another client of the owner may have stored anything (RFC 3501 §9: flag). */
const FLAG = /^\\?[^\x00-\x20(){%*"\\\]\x7f-\uffff]+$/;
/** These are kept elsewhere, or by nobody. */
const NOT_STORED: ReadonlySet<string> = new Set(['\\seen', '\\recent']);

const isStored = (flag: string): boolean => !NOT_STORED.has(flag.toLowerCase()) && !isTrustKeyword(flag);

/** The flags in an open blob, those that can be flags. */
export function flagsIn({ flags }: Record<string, JsonValue>): string[] {
  if (!Array.isArray(flags)) return [];
  return flags.filter((flag) => typeof flag === 'string' && FLAG.test(flag) && isStored(flag)) as string[];
}

/** All flags of a message, \Seen included. */
export function readFlags(account: MailAccount, stored: StoredFlags): string[] {
  return readVersioned(account, stored).flags;
}

/** The same, with the version of the blob they come from. */
export function readVersioned(account: MailAccount, stored: StoredFlags): { flags: string[]; version: number } {
  const { value, version } = openExtensions(account, stored);
  const others = flagsIn(value);
  return { flags: stored.read ? [SEEN, ...others] : others, version };
}

/** What to store so that the message has exactly `flags`; null when it has them already. Throws `too-many-keywords`. */
export function withFlags(
  account: MailAccount,
  stored: StoredFlags,
  flags: readonly string[],
): { read: boolean; extensionsData: Buffer | null; notesVersion: number } | null {
  const read = flags.includes(SEEN);
  const others = flags.filter((flag) => flag !== SEEN && !isTrustKeyword(flag));
  const before = openExtensions(account, stored);
  if (sameFlags(flagsIn(before.value), others)) {
    const kept = { extensionsData: stored.extensionsData, notesVersion: before.version };
    return read === stored.read ? null : { read, ...kept };
  }
  if (others.length > MAX_KEYWORDS || others.some((flag) => flag.length > MAX_KEYWORD_CHARS)) {
    throw new MailboxError('too-many-keywords');
  }
  const value = { ...before.value, flags: others };
  const version = before.version + 1;
  return { read, extensionsData: sealExtensions(account, stored.digest, { version, value }), notesVersion: version };
}

export function sameFlags(a: readonly string[], b: readonly string[]): boolean {
  const known = new Set(a.map((flag) => flag.toLowerCase()));
  return known.size === b.length && b.every((flag) => known.has(flag.toLowerCase()));
}

export type FlagChange = { mode: 'replace' | 'add' | 'remove'; flags: readonly string[] };

/**
 * The flags after a change; keywords of trust stay as they are. Keywords are the same in any case (RFC 3501 §2.3.2), in the
 * spelling they came in first.
 */
export function changeFlags(before: readonly string[], change: FlagChange): string[] {
  const given = change.flags.filter((flag) => !isTrustKeyword(flag));
  const own = before.filter((flag) => !isTrustKeyword(flag));
  return [...changedOwn(own, change.mode, given), ...before.filter(isTrustKeyword)];
}

function changedOwn(before: readonly string[], mode: FlagChange['mode'], given: readonly string[]): readonly string[] {
  if (mode === 'replace') return given;
  const named = new Set(given.map((flag) => flag.toLowerCase()));
  if (mode === 'remove') return before.filter((flag) => !named.has(flag.toLowerCase()));
  const present = new Set(before.map((flag) => flag.toLowerCase()));
  return [...before, ...given.filter((flag) => !present.has(flag.toLowerCase()))];
}
