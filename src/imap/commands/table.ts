/** Which command is handled where. IDLE, STARTTLS and COMPRESS change the connection itself and are handled there. */
import type { Handler } from '../context.ts';
import type { CommandName } from '../wire/commands.ts';
import { append, replace } from './append.ts';
import { fetch } from './fetch.ts';
import { list, lsub } from './list.ts';
import { close, create, remove, rename, select, subscribe } from './mailboxes.ts';
import { copy, expunge, store } from './messages.ts';
import { notify } from './notify.ts';
import { search } from './search.ts';
import { authenticate, capability, enable, id, login, logout, namespace, noop, unauthenticate } from './session.ts';
import { sort, thread } from './sort.ts';
import { getQuotaRoot, quota, status } from './status.ts';

type Handled = Exclude<CommandName, 'IDLE' | 'STARTTLS' | 'COMPRESS'>;

// biome-ignore format: a table
export const HANDLERS: { readonly [Name in Handled]: Handler<Name> } = {
  CAPABILITY: capability, NOOP: noop, LOGOUT: logout, ID: id, ENABLE: enable, NAMESPACE: namespace,
  LOGIN: login, AUTHENTICATE: authenticate, UNAUTHENTICATE: unauthenticate,
  SELECT: select, EXAMINE: select, CREATE: create, DELETE: remove, RENAME: rename,
  SUBSCRIBE: subscribe, UNSUBSCRIBE: subscribe, LIST: list, LSUB: lsub, STATUS: status, APPEND: append, REPLACE: replace,
  GETQUOTA: quota, SETQUOTA: quota, GETQUOTAROOT: getQuotaRoot,
  CHECK: noop, CLOSE: close, UNSELECT: close, EXPUNGE: expunge,
  SEARCH: search, SORT: sort, THREAD: thread, NOTIFY: notify, FETCH: fetch, STORE: store, COPY: copy, MOVE: copy,
};
