/**
 * Message keys of a mirrored account (SMIMP 0.1 §1.4): secrets are made and kept here, public halves published at the home.
 * What is due is read from what the home shows, so a round that was killed is simply done again: a secret whose public half
 * never arrived is erased when it expires.
 */
import { LAST_ISSUE_BEFORE_MS, POOL_SIZE, ROTATE_AFTER_MS, TOP_UP_BELOW } from '../identity/key-policy.ts';
import { makeMessageKeys } from '../identity/publish.ts';
import { RemoteError } from '../remote/errors.ts';
import { wipe } from '../smimp/crypto.ts';
import { parseTimestamp } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import type { MessageKeyKind } from '../smimp/transcript.ts';
import { lockMailbox } from '../store/folders.ts';
import { retireMessageSecrets } from '../store/secrets.ts';
import { type Mirror, orCode } from './mirror.ts';

export async function maintainKeys(mirror: Mirror): Promise<void> {
  const { services, accountId } = mirror;
  const nonEphemeral = await replaceLasting(mirror);
  const ephemeral = await topUp(mirror);
  if (ephemeral + nonEphemeral > 0) services.events.keysPublished({ accountId, ephemeral, nonEphemeral });
}

/** Stored before anybody sees the public halves. */
async function make(mirror: Mirror, kind: MessageKeyKind, count: number): Promise<MessageKey[]> {
  const { services, accountId } = mirror;
  return services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const keys = await services.keystore.open(accountId, tx);
    const master = await keys.master();
    const made = await makeMessageKeys(tx, keys, { master, kind, count, now: services.clock() });
    wipe(master.secretKey);
    return made;
  });
}

const millis = (timestamp: MessageKey['created']): number => parseTimestamp(timestamp) * 1000;

async function isOurs({ account }: Mirror, key: MessageKey): Promise<boolean> {
  const secret = await account.keys.messageSecret(Buffer.from(key.public_key, 'hex'));
  if (secret === null) return false;
  wipe(secret);
  return true;
}

/** Weekly. The secrets of those before it are retired only when the home has the new one. How many were published. */
async function replaceLasting(mirror: Mirror): Promise<number> {
  const { services } = mirror;
  const { owner } = services;
  const nowMs = services.clock().getTime();
  const shown = await mirror.asOwner((session) => owner.nonEphemeralKey(session));
  const isYoung = nowMs - millis(shown.created) < ROTATE_AFTER_MS;
  if (isYoung && (await isOurs(mirror, shown))) {
    await retireOthers(mirror, shown);
    return 0;
  }
  const [key] = await make(mirror, 'non-ephemeral', 1);
  if (key === undefined) throw new TypeError('one key was asked for');
  await mirror.asOwner((session) => owner.setNonEphemeralKey(session, key));
  await retireOthers(mirror, key);
  return 1;
}

/** Whoever holds the mailbox seals to the newest key, so none is retired meanwhile. */
async function retireOthers({ services, accountId }: Mirror, key: MessageKey): Promise<void> {
  const except = [Buffer.from(key.public_key, 'hex')];
  await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    await retireMessageSecrets(tx, accountId, { kind: 'non-ephemeral', except, now: services.clock() });
  });
}

/** Fills the pool at the home when it runs low; keys that are about to end, or are not ours, are left out. How many were made. */
async function topUp(mirror: Mirror): Promise<number> {
  const { owner, clock } = mirror.services;
  const { keys, etag } = await mirror.asOwner((session) => owner.ephemeralKeys(session));
  if (etag === null) throw new RemoteError('bad-response');
  const untilMs = clock().getTime() + LAST_ISSUE_BEFORE_MS;
  const good: MessageKey[] = [];
  for (const key of keys) if (millis(key.expires) > untilMs && (await isOurs(mirror, key))) good.push(key);
  if (good.length >= TOP_UP_BELOW) return 0;
  const made = await make(mirror, 'ephemeral', POOL_SIZE - good.length);
  const isWhole = good.length === keys.length;
  const request = isWhole
    ? { keys: made, mode: 'append' as const }
    : { keys: [...good, ...made], mode: 'replace' as const };
  // Somebody was given a key meanwhile: next time.
  const put = await mirror.asOwner((session) =>
    orCode(owner.setEphemeralKeys(session, request, etag), ['precondition_failed']),
  );
  return typeof put === 'number' ? made.length : 0;
}
