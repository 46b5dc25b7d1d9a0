/** One mirrored account at work: its keys, its home, and the session there. */
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { type MailAccount, openMailAccount } from '../mailbox/mail-account.ts';
import { RemoteError } from '../remote/errors.ts';
import type { HomeClient, Session } from '../remote/home.ts';
import type { OwnerClient } from '../remote/owner.ts';
import type { Sessions } from '../remote/sessions.ts';
import type { ApiErrorCode } from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Db } from '../store/database.ts';
import { findMirror, type StoredMirror } from '../store/mirrors.ts';

export interface MirrorServices {
  db: Db;
  keystore: Keystore;
  home: HomeClient;
  owner: OwnerClient;
  sessions: Sessions;
  events: Events;
  clock: () => Date;
}

export interface Mirror {
  readonly services: MirrorServices;
  readonly account: MailAccount;
  readonly accountId: number;
  readonly baseUrl: BaseUrl;
  /** Ended: nothing new is begun. */
  readonly signal: AbortSignal;
  /** A call in a session of the owner; once more in a new one, when the home has ended it. Throws RemoteError. */
  asOwner<Answer>(work: (session: Session) => Promise<Answer>): Promise<Answer>;
  /** Between two steps. Throws RemoteError `cancelled` when the work is to end here. */
  step(): Promise<void>;
}

export async function openMirror(
  services: MirrorServices,
  stored: Pick<StoredMirror, 'account_id' | 'base_url'>,
  control: { signal: AbortSignal; isHeld: () => Promise<boolean> },
): Promise<Mirror> {
  const accountId = stored.account_id;
  const baseUrl = stored.base_url as BaseUrl;
  const { sessions } = services;
  const account = await openMailAccount(services.keystore, accountId);
  return {
    ...{ services, account, accountId, baseUrl, signal: control.signal },
    async asOwner(work) {
      const session = await sessions.get({ accountId, baseUrl });
      try {
        return await work(session);
      } catch (error) {
        if (!(error instanceof RemoteError) || error.disposition !== 'session') throw error;
        await sessions.invalidate(accountId, session);
      }
      return work(await sessions.get({ accountId, baseUrl }));
    },
    async step() {
      if (control.signal.aborted || !(await control.isHeld())) throw new RemoteError('cancelled');
    },
  };
}

/** How far the mirror is. */
export async function storedMirror({ services, accountId }: Mirror): Promise<StoredMirror> {
  const stored = await findMirror(services.db, accountId);
  if (stored === undefined) throw new TypeError('the account is mirrored no more');
  return stored;
}

/** The answer, or the code of the home's error when it is one of `codes`. */
export async function orCode<Answer, Code extends ApiErrorCode>(
  call: Promise<Answer>,
  codes: readonly Code[],
): Promise<Answer | { readonly refused: Code }> {
  try {
    return await call;
  } catch (error) {
    const code = error instanceof RemoteError ? codes.find((one) => one === error.apiCode) : undefined;
    if (code === undefined) throw error;
    return { refused: code };
  }
}

/** Whether the home will never take this: neither a passing trouble nor something that a new look would change. */
export function isRefusal(error: unknown): error is RemoteError {
  return error instanceof RemoteError && error.code === 'api' && error.disposition === 'permanent';
}
