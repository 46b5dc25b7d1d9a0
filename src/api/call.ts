/** What a handler of a call gets and gives; and the services all handlers share. */

import type { z } from 'zod';
import type { Events } from '../events.ts';
import type { LegacyIdentities } from '../legacy/identities.ts';
import type { PowPolicy } from '../policy/pow-policy.ts';
import type { Address } from '../smimp/address.ts';
import type { CALLS, CallName, PublicKeyAnswer } from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Db, Listener } from '../store/database.ts';
import type { DefaultQuota } from '../store/quota.ts';
import type { StoredSession } from '../store/sessions.ts';

export interface ApiServices {
  db: Db;
  listener: Listener;
  /** Exactly as other servers know it: every login is bound to it. */
  baseUrl: BaseUrl;
  domains: readonly string[];
  /** What is asked of whoever has no account here. */
  powPolicy: PowPolicy;
  /** Most bytes of a mailbox whose account has no limit of its own; null or absent: no limit. */
  quotaBytes?: DefaultQuota;
  /** The present key of a user of another server. Throws RemoteError. */
  fetchPublicKey(address: Address): Promise<PublicKeyAnswer>;
  /** Whom a gateway has behind it; null or absent: this is none. */
  legacy?: LegacyIdentities | null;
  events: Events;
  clock: () => Date;
}

type Part<Name extends CallName, Key extends string> =
  (typeof CALLS)[Name] extends Record<Key, z.ZodType>
    ? z.output<(typeof CALLS)[Name][Key & keyof (typeof CALLS)[Name]] & z.ZodType>
    : undefined;

export interface Call<Name extends CallName> {
  params: Part<Name, 'params'>;
  query: Part<Name, 'query'>;
  request: Part<Name, 'request'>;
  /** The owner of the mailbox of a call that needs a `home` session; else null. */
  owner: Owner | null;
  session: StoredSession | null;
  now: Date;
  ifMatch: string | null;
  ifNoneMatch: string | null;
  /** Aborted when the caller is gone. */
  signal: AbortSignal;
}

export interface Owner {
  accountId: number;
  address: Address;
}

export interface Answer<Body> {
  body: Body;
  etag?: string;
  /** Instead of the call's own: 304. */
  notModified?: boolean;
}

/** `body` is the answer, in the form of the call's schema. */
export type Handler<Name extends CallName> = (
  call: Call<Name>,
) => Promise<Answer<z.input<(typeof CALLS)[Name]['response']>>>;

export type Handlers = { [Name in CallName]?: Handler<Name> };

/** The session of a call whose definition demands one. */
export function sessionOf(call: Pick<Call<CallName>, 'session'>): StoredSession {
  if (call.session === null) throw new TypeError('the call has no session');
  return call.session;
}

/** The owner of a call whose definition demands a `home` session. */
export function ownerOf(call: Pick<Call<CallName>, 'owner'>): Owner {
  if (call.owner === null) throw new TypeError('the call has no owner');
  return call.owner;
}

export const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);
export const secondsLater = (date: Date, later: number): Date => new Date(date.getTime() + later * 1000);
