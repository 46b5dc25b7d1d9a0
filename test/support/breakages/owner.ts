/** Rules that an owner of an account can see broken (SMIMP 0.1 §5.3–§5.7). */
import { randomBytes } from 'node:crypto';
import { BASE_URL } from '../api-site.ts';
import {
  type Answered,
  type Asked,
  type Behind,
  codeIn,
  edited,
  isCall,
  isSignedFor,
  jsonOf,
  no,
  yes,
} from '../spoiling-proxy.ts';
import type { Breakage } from './breakage.ts';

const hex = (bytes = 32): string => randomBytes(bytes).toString('hex');
const isLogin = (asked: Asked): boolean => isCall(asked, 'POST', 'create_session/');
const session = (): Answered => yes({ authentication_token: hex(), expires: '2999-01-01 00:00:00', scope: 'home' });

/** Says yes where this call was refused with this code. */
const insteadOf =
  (method: string, start: string, code: string, answer: () => Answered) =>
  (asked: Asked, answered: Answered): Answered =>
    isCall(asked, method, start) && codeIn(answered) === code ? answer() : answered;

/** Changes what this call answered when all went well. */
const editing =
  (method: string, start: RegExp, change: Parameters<typeof edited>[1]) =>
  (asked: Asked, answered: Answered): Answered =>
    asked.method === method && start.test(asked.path) && answered.status === 200 ? edited(answered, change) : answered;

async function etagOfPool(asked: Asked, { ask }: Behind): Promise<string> {
  const answer = await ask({ path: '/0.1/ephemeral_keys', headers: { ...asked.headers } });
  return answer.headers.etag ?? '';
}

async function revisionOf(asked: Asked, { ask }: Behind): Promise<string> {
  const id = asked.path.split('/').at(-1);
  return `"${jsonOf(await ask({ path: `/0.1/message/${id}/false`, headers: { ...asked.headers } })).revision}"`;
}

/** Puts the state that is there into `If-Match`, where `when` says so: whoever asks is always right. */
const matching =
  (start: string, when: (ifMatch: string | undefined) => boolean, state: typeof revisionOf) =>
  async (asked: Asked, behind: Behind): Promise<undefined> => {
    if (!isCall(asked, 'POST', start) || !when(asked.headers['if-match'])) return;
    const { 'content-type': _, 'if-match': __, ...headers } = asked.headers;
    asked.headers['if-match'] = await state({ ...asked, headers }, behind);
  };

const absent = (ifMatch: string | undefined): boolean => ifMatch === undefined;
const present = (ifMatch: string | undefined): boolean => ifMatch !== undefined;

export const ownerBreakages: readonly Breakage[] = [
  {
    name: 'takes a login that was signed for another server',
    accounts: 1,
    spoil: () => ({
      answer: (asked, answered) =>
        isLogin(asked) && isSignedFor(asked, BASE_URL.replace('https://', 'https://not.')) ? session() : answered,
    }),
    fails: ['login.binds-base-url'],
  },
  {
    name: 'takes a login token twice',
    accounts: 1,
    spoil: () => {
      const known = new Map<string, Answered>();
      return {
        answer(asked, answered) {
          const text = asked.body.toString();
          if (isLogin(asked) && answered.status === 200) known.set(text, answered);
          return known.get(text) ?? answered;
        },
      };
    },
    fails: ['login.token-once'],
  },
  {
    name: 'keeps a token that a failed login used',
    accounts: 1,
    spoil: () => ({
      request: (asked) => (isLogin(asked) && isSignedFor(asked, `${BASE_URL}/other`) ? no('unauthorized') : undefined),
    }),
    fails: ['login.token-used-by-failure'],
  },
  {
    name: 'gives owners a session of strangers',
    accounts: 1,
    spoil: () => ({ answer: editing('POST', /create_session/, () => ({ scope: 'remote' })) }),
    fails: ['login.works'],
  },
  {
    name: 'gives tokens that live for a day',
    accounts: 1,
    spoil: () => ({ answer: editing('GET', /create_session/, () => ({ expires: '2999-01-01 00:00:00' })) }),
    fails: ['login.token-for-anybody'],
  },
  {
    name: 'does not end a session that is to end',
    accounts: 1,
    spoil: () => ({
      request: (asked) =>
        isCall(asked, 'POST', 'destroy_session') && 'smimp-authentication' in asked.headers
          ? yes(undefined, 204)
          : undefined,
    }),
    fails: ['session.destroyed', 'session.required'],
  },
  {
    name: 'takes the session token from other headers',
    accounts: 1,
    spoil: () => ({
      request(asked) {
        const token = /^Bearer (\w+)$/.exec(asked.headers.authorization ?? '')?.[1];
        if (token !== undefined) asked.headers['smimp-authentication'] = token;
        return undefined;
      },
    }),
    fails: ['session.header-only'],
  },
  {
    name: 'lets an account be made twice',
    accounts: 1,
    spoil: () => ({
      answer: insteadOf('POST', 'initialize_account', 'already_initialized', () => yes(undefined, 201)),
    }),
    fails: ['initialize.once'],
  },
  {
    name: 'lets one-time codes be guessed for ever',
    accounts: 3,
    spoil: () => ({ answer: insteadOf('POST', 'initialize_account', 'too_many_requests', () => no('unauthorized')) }),
    fails: ['initialize.tries'],
  },
  {
    name: 'begins a history after `from`',
    accounts: 1,
    spoil: () => ({
      request(asked) {
        asked.path = asked.path.replace(
          /history\?from=(0|[1-9]\d*)$/,
          (_, from: string) => `history?from=${Number(from) + 1}`,
        );
        return undefined;
      },
    }),
    fails: ['history.from'],
  },
  {
    name: 'sends a history again that did not change',
    accounts: 1,
    spoil: () => ({
      request(asked) {
        delete asked.headers['if-none-match'];
        return undefined;
      },
    }),
    fails: ['history.not-modified'],
  },
  {
    name: 'shows another head than that of the history',
    accounts: 1,
    spoil: () => ({ answer: editing('GET', /public_key$/, () => ({ head: hex() })) }),
    fails: ['users.agree'],
  },
  {
    name: 'shows histories with a head that is not theirs',
    accounts: 1,
    spoil: () => {
      const head = hex();
      return { answer: editing('GET', /\/history/, () => ({ head })) };
    },
    fails: ['users.agree', 'history.verifies'],
  },
  {
    name: 'shows histories without their last record',
    accounts: 1,
    spoil: () => ({
      answer: editing('GET', /\/history/, ({ records }) => ({ records: (records as unknown[]).slice(0, -1) })),
    }),
    fails: ['users.agree', 'history.verifies', 'history.from'],
  },
  {
    name: 'changes the pool without If-Match',
    accounts: 1,
    spoil: () => ({ request: matching('ephemeral_keys', absent, etagOfPool) }),
    fails: ['pool.if-match-required'],
  },
  {
    name: 'changes the pool under any If-Match',
    accounts: 1,
    spoil: () => ({ request: matching('ephemeral_keys', present, etagOfPool) }),
    fails: ['pool.if-match'],
  },
  {
    name: 'takes a non-ephemeral key of any kind',
    accounts: 1,
    spoil: () => ({ answer: insteadOf('POST', 'nonephemeral_key', 'bad_key', () => yes(undefined, 204)) }),
    fails: ['keys.non-ephemeral-rules'],
  },
  {
    name: 'changes extensions without If-Match',
    accounts: 1,
    spoil: () => ({ request: matching('message_extensions/', absent, revisionOf) }),
    fails: ['extensions.if-match-required'],
  },
  {
    name: 'changes extensions under any If-Match',
    accounts: 1,
    spoil: () => ({ request: matching('message_extensions/', present, revisionOf) }),
    fails: ['extensions.if-match'],
  },
  {
    name: 'loses deletes from changes',
    accounts: 1,
    spoil: () => ({
      answer: editing('GET', /\/changes/, ({ changes }) => ({
        changes: (changes as { op: string }[]).filter(({ op }) => op !== 'delete'),
      })),
    }),
    fails: ['changes.delete'],
  },
  {
    name: 'does not wait for news',
    accounts: 1,
    spoil: () => ({
      request(asked) {
        asked.path = asked.path.replace(/wait=[1-9]\b/, 'wait=0');
        return undefined;
      },
    }),
    fails: ['changes.wait'],
  },
  {
    name: 'marks what is only looked at',
    accounts: 1,
    spoil: () => ({
      request(asked) {
        if (isCall(asked, 'GET', 'message/')) asked.path = asked.path.replace(/false$/, 'true');
        return undefined;
      },
    }),
    fails: ['mailbox.read', 'extensions.set'],
  },
  {
    name: 'keeps what is deleted',
    accounts: 1,
    spoil: () => ({
      request: (asked) =>
        isCall(asked, 'DELETE', 'message/') && 'smimp-authentication' in asked.headers && !asked.path.includes('ffff')
          ? yes(undefined, 204)
          : undefined,
    }),
    fails: ['mailbox.delete', 'changes.delete'],
  },
  {
    name: 'changes what it stores',
    accounts: 1,
    spoil: () => ({ answer: editing('GET', /\/message\//, () => ({ nonce: hex(24) })) }),
    fails: ['mailbox.envelope'],
  },
  {
    name: 'says that an import came from a client',
    accounts: 1,
    spoil: () => ({ answer: editing('GET', /\/message\//, () => ({ received_via: 'smimp_client' })) }),
    fails: ['import.works'],
  },
  {
    name: 'imports what is sealed to any key',
    accounts: 1,
    spoil: () => ({
      answer: insteadOf('POST', 'import_message', 'bad_key', () =>
        yes({ message_id: hex(), seq: 1, revision: 1 }, 201),
      ),
    }),
    fails: ['import.own-key'],
  },
  {
    name: 'pages with `after` inclusive',
    accounts: 1,
    spoil: () => ({
      request(asked) {
        asked.path = asked.path.replace(
          /after=([1-9]\d*)&limit/,
          (_, after: string) => `after=${Number(after) - 1}&limit`,
        );
        return undefined;
      },
    }),
    fails: ['mailbox.paging'],
  },
  {
    name: 'keeps the seq of what is moved',
    accounts: 1,
    spoil: () => ({ answer: editing('POST', /message_move/, () => ({ seq: 1 })) }),
    fails: ['move.new-seq'],
  },
  {
    name: 'deletes folders that are not empty',
    accounts: 1,
    spoil: () => ({ answer: insteadOf('DELETE', 'folders/', 'folder_not_empty', () => yes(undefined, 204)) }),
    fails: ['folders.delete'],
  },
  {
    name: 'takes a record that does not continue the last one',
    accounts: 1,
    spoil: () => ({ answer: insteadOf('POST', 'update_profile', 'stale_record', () => yes({ head: hex() })) }),
    fails: ['profile.stale'],
  },
  {
    name: 'gives another head back than that of the new record',
    accounts: 1,
    spoil: () => ({ answer: editing('POST', /update_profile/, () => ({ head: hex() })) }),
    fails: ['profile.update'],
  },
  {
    name: 'keeps sessions when the master key changes',
    accounts: 1,
    spoil: () => {
      const ended = new Set<string>();
      let newest = '';
      return {
        request(asked) {
          const token = asked.headers['smimp-authentication'] ?? '';
          if (isCall(asked, 'GET', 'nonephemeral_key') && ended.has(token))
            asked.headers['smimp-authentication'] = newest;
          return undefined;
        },
        answer(asked, answered) {
          if (answered.status === 200 && isLogin(asked)) newest = String(jsonOf(answered).authentication_token);
          if (answered.status === 200 && isCall(asked, 'POST', 'update_profile'))
            ended.add(asked.headers['smimp-authentication'] ?? '');
          return answered;
        },
      };
    },
    fails: ['rotation.works'],
  },
  {
    name: 'does not mind keys that are missing from a change of the master key',
    accounts: 1,
    spoil: () => ({ answer: insteadOf('POST', 'update_profile', 'bad_key', () => yes({ head: hex() })) }),
    fails: ['rotation.needs-keys'],
  },
];
