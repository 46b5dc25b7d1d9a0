/**
 * Who can open an account: the one place where its account key is wrapped and unwrapped. `server` custody wraps it with
 * the server key. `password` custody has its place in the schema; an account under it is locked here.
 */
import { KEY_BYTES, randomBytes, secretOpen, secretSeal } from '../smimp/crypto.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { MailUser } from '../store/users.ts';
import { KeystoreError } from './errors.ts';

type Wrapped = Pick<MailUser, 'address' | 'custody' | 'wrapped_key'>;

function wrapContext(address: string, custody: string): Buffer {
  return pae([text('smimp-bridge/account-key/1'), text(address), text(custody)]);
}

/** A new account key: 32 bytes that seal everything else of the account. */
export function newAccountKey(): Uint8Array {
  return randomBytes(KEY_BYTES);
}

export function wrapAccountKey(wrap: { serverKey: Uint8Array; address: string; accountKey: Uint8Array }): Buffer {
  return secretSeal(wrap.serverKey, wrap.accountKey, wrapContext(wrap.address, 'server'));
}

/** The account key. Throws KeystoreError `locked`, `wrong-server-key`. */
export function unwrapAccountKey({ serverKey, user }: { serverKey: Uint8Array; user: Wrapped }): Uint8Array {
  if (user.custody !== 'server') throw new KeystoreError('locked');
  const accountKey = secretOpen(serverKey, user.wrapped_key, wrapContext(user.address, user.custody));
  if (accountKey === null) throw new KeystoreError('wrong-server-key');
  return accountKey;
}
