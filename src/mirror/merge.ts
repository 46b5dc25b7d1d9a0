/**
 * Three states of one message made into one: what both sides last agreed on (the base), what is here, what is at the home.
 * Pure. Nothing that one side did is lost because the other did something else.
 *
 * - Place: the home's, if it moved there; else the one here.
 * - \Seen: whoever changed it. Both changed it: they agree.
 * - Other flags: what was added or removed here is added to or removed from what stands there.
 */
import { changeFlags, type Extensions, flagsIn, openExtensions, sameFlags, sealExtensions } from '../mailbox/flags.ts';
import type { MailAccount } from '../mailbox/mail-account.ts';
import type { MirrorState } from '../store/mirror-messages.ts';

/** What the message here becomes. `digest`: the one in `message_hash`. */
export function mergeStates(
  account: MailAccount,
  states: { base: MirrorState; local: MirrorState; remote: MirrorState; digest: Buffer },
): MirrorState {
  const { base, local, remote, digest } = states;
  const extensions = { base: base.extensions_data, local: local.extensions_data, remote: remote.extensions_data };
  return {
    folder_id: remote.folder_id === base.folder_id ? local.folder_id : remote.folder_id,
    read: remote.read === base.read ? local.read : remote.read,
    extensions_data: mergeExtensions(account, digest, extensions),
  };
}

export function sameState(a: MirrorState, b: MirrorState): boolean {
  return a.folder_id === b.folder_id && a.read === b.read && sameBytes(a.extensions_data, b.extensions_data);
}

export function sameBytes(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}

type Blobs = { base: Buffer | null; local: Buffer | null; remote: Buffer | null };

function mergeExtensions(account: MailAccount, digest: Buffer, { base, local, remote }: Blobs): Buffer | null {
  if (sameBytes(remote, base) || sameBytes(remote, local)) return local;
  const open = (extensionsData: Buffer | null): Extensions => openExtensions(account, { extensionsData, digest });
  const [before, here, there] = [open(base), open(local), open(remote)];
  // An old blob brought back (SMIMP 0.1 §5: a version lower than seen is refused): what is here stands, and is pushed again.
  if (there.version !== 0 && there.version < before.version) return local;
  if (sameBytes(local, base)) return remote;
  return mergedBlob(account, digest, { before, here, there, remote });
}

function mergedBlob(
  account: MailAccount,
  digest: Buffer,
  merge: { before: Extensions; here: Extensions; there: Extensions; remote: Buffer | null },
): Buffer | null {
  const [before, here, there] = [flagsIn(merge.before.value), flagsIn(merge.here.value), flagsIn(merge.there.value)];
  const added = changeFlags(there, { mode: 'add', flags: without(here, before) });
  const flags = changeFlags(added, { mode: 'remove', flags: without(before, here) });
  if (sameFlags(flags, there)) return merge.remote;
  const version = Math.max(merge.here.version, merge.there.version) + 1;
  return sealExtensions(account, digest, { version, value: { ...merge.there.value, flags } });
}

function without(flags: readonly string[], others: readonly string[]): string[] {
  return changeFlags(flags, { mode: 'remove', flags: others });
}

/** The blob of a message that was sealed anew: the same flags under its new digest. */
export function movedExtensions(
  account: MailAccount,
  blob: Buffer | null,
  digests: { from: Buffer; to: Buffer },
): Buffer | null {
  if (blob === null) return null;
  const { version, value } = openExtensions(account, { extensionsData: blob, digest: digests.from });
  return sealExtensions(account, digests.to, { version: Math.max(version, 1), value });
}
