/** Rules that show when two accounts write to each other, or a user of another server comes (SMIMP 0.1 §4.3, §5.4, §5.5). */
import { randomBytes } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { type Answered, type Asked, codeIn, edited, isCall, isSignedFor, jsonOf, no, yes } from '../spoiling-proxy.ts';
import type { Breakage } from './breakage.ts';

const hex = (): string => randomBytes(32).toString('hex');
const isSend = (asked: Asked): boolean => isCall(asked, 'POST', 'send_message/');
const isKeyCall = (asked: Asked, answered: Answered): boolean =>
  isCall(asked, 'POST', 'get_message_key') && answered.status === 200;
const taken = (): Answered => yes({ message_id: hex() });
/** How the kit writes a signature that is none. */
const isUnsigned = (asked: Asked): boolean => String(jsonOf(asked).message_hash).startsWith('00000000');
const workOf = (asked: Asked): string[] => String(jsonOf(asked).proof_of_work).split(':');

/** Says yes where `send_message` was refused with this code and `when` holds. */
const takenInsteadOf = (code: string, when: (asked: Asked) => boolean = () => true) => ({
  answer: (asked: Asked, answered: Answered): Answered =>
    isSend(asked) && codeIn(answered) === code && when(asked) ? taken() : answered,
});

export const sendingBreakages: readonly Breakage[] = [
  {
    name: 'gives a message key without the head',
    accounts: 2,
    spoil: () => ({
      answer: (asked, answered) =>
        isKeyCall(asked, answered) ? edited(answered, () => ({ head: undefined })) : answered,
    }),
    fails: ['issue.head', 'every.answer-form'],
  },
  {
    name: 'gives a message key with a head that is not that of the history',
    accounts: 2,
    spoil: () => ({
      answer: (asked, answered) => (isKeyCall(asked, answered) ? edited(answered, () => ({ head: hex() })) : answered),
    }),
    fails: ['issue.head'],
  },
  {
    name: 'gives a key to two senders',
    accounts: 2,
    spoil: () => {
      const given = new Map<string, Answered>();
      return {
        answer(asked, answered) {
          if (!isKeyCall(asked, answered)) return answered;
          const recipient = asked.body.toString();
          const before = given.get(recipient);
          given.set(recipient, answered);
          return before ?? answered;
        },
      };
    },
    fails: ['issue.one-sender'],
  },
  {
    name: 'lets a key be used twice',
    accounts: 2,
    spoil: () => takenInsteadOf('key_consumed'),
    fails: ['send.key-once'],
  },
  {
    name: 'takes a message under any key',
    accounts: 2,
    spoil: () => takenInsteadOf('bad_key', (asked) => !isUnsigned(asked)),
    fails: ['send.key-bound', 'send.not-master-key'],
  },
  {
    name: 'takes a nonce twice',
    accounts: 2,
    spoil: () => {
      const used = new Set<string>();
      return {
        answer(asked, answered) {
          const nonce = workOf(asked)[2] ?? '';
          if (isSend(asked) && codeIn(answered) === 'bad_pow' && used.has(nonce)) return taken();
          if (isSend(asked) && answered.status === 200) used.add(nonce);
          return answered;
        },
      };
    },
    fails: ['work.nonce-once'],
  },
  {
    name: 'takes a message without proof of work',
    accounts: 2,
    spoil: () => takenInsteadOf('bad_pow', (asked) => jsonOf(asked).proof_of_work === null && !isUnsigned(asked)),
    fails: ['work.required'],
  },
  {
    name: 'does not compute the hash of a proof again',
    accounts: 2,
    spoil: () => takenInsteadOf('bad_pow', (asked) => /^0+$/.test(workOf(asked)[0] ?? '')),
    fails: ['work.hash'],
  },
  {
    name: 'gives nonces without end',
    accounts: 2,
    spoil: () => ({
      answer: (asked, answered) =>
        isCall(asked, 'GET', 'get_pow_params/') && answered.status === 429
          ? yes({ zero_bits: 0, nonce: hex(), expires: '2999-01-01 00:00:00' })
          : answered,
    }),
    fails: ['work.sixteen'],
  },
  {
    name: 'does not say when to come again',
    accounts: 2,
    spoil: () => ({
      answer(_asked, answered) {
        const { 'retry-after': _, ...headers } = answered.headers;
        return { ...answered, headers };
      },
    }),
    areas: ['work'],
    fails: ['every.retry-after'],
  },
  {
    name: 'looks at the signature before key and work',
    accounts: 2,
    spoil: () => ({
      answer: (asked, answered) =>
        isSend(asked) && isUnsigned(asked) && ['bad_key', 'bad_pow'].includes(String(codeIn(answered)))
          ? no('bad_signature')
          : answered,
    }),
    fails: ['send.order'],
  },
  {
    name: 'looks at the work before the key',
    accounts: 2,
    spoil: () => ({
      answer: (asked, answered) =>
        isSend(asked) && jsonOf(asked).proof_of_work === null && codeIn(answered) === 'bad_key'
          ? no('bad_pow')
          : answered,
    }),
    fails: ['send.order'],
  },
  {
    name: 'takes messages that are not signed as they stand',
    accounts: 2,
    spoil: () => takenInsteadOf('bad_signature', (asked) => !isUnsigned(asked)),
    fails: ['send.signature'],
  },
  {
    name: 'uses a key up although it refuses the message',
    accounts: 2,
    spoil: () => {
      const burnt = new Set<unknown>();
      return {
        answer(asked, answered) {
          const key = jsonOf(asked).message_public_key;
          if (isSend(asked) && codeIn(answered) === 'bad_signature' && isUnsigned(asked)) burnt.add(key);
          return isSend(asked) && answered.status === 200 && burnt.delete(key) ? no('key_consumed') : answered;
        },
      };
    },
    fails: ['send.refused-uses-nothing'],
  },
  {
    name: 'gives the same envelope another id each time',
    accounts: 2,
    spoil: () => ({ answer: (asked, answered) => (isSend(asked) && answered.status === 200 ? taken() : answered) }),
    fails: ['send.opens', 'send.repeated', 'send.any-type'],
  },
  {
    name: 'changes the sender of what it stores',
    accounts: 2,
    spoil: () => ({
      answer: (asked, answered) =>
        isCall(asked, 'GET', 'message/') && answered.status === 200
          ? edited(answered, ({ received_via }) =>
              received_via === 'smimp_client' ? { sender_public_key: hex() } : {},
            )
          : answered,
    }),
    fails: ['send.opens'],
  },
  {
    name: 'takes known message types only',
    accounts: 2,
    spoil: () => ({
      request: (asked) =>
        isCall(asked, 'GET', 'get_pow_params/') && asked.path.includes('x-custom') ? no('bad_request') : undefined,
    }),
    fails: ['send.any-type'],
  },
  {
    name: 'takes messages from whoever is blocked',
    accounts: 2,
    spoil: () => takenInsteadOf('blocked'),
    fails: ['lists.blocked-message'],
  },
  {
    name: 'gives keys to whoever is blocked',
    accounts: 2,
    spoil: () => ({
      answer: (asked, answered) =>
        isCall(asked, 'POST', 'get_message_key') && codeIn(answered) === 'blocked' ? yes({}) : answered,
    }),
    fails: ['lists.blocked-key', 'lists.blocked-domain', 'lists.precedence', 'every.answer-form'],
  },
  {
    name: 'lets domains decide before addresses',
    accounts: 2,
    spoil: () => {
      const listed = new Map<string, number>();
      return {
        answer(asked, answered) {
          const [, list = ''] = /^\/0\.1\/(whitelist|blacklist)/.exec(asked.path) ?? [];
          if (answered.status >= 400) return answered;
          if (list !== '' && asked.method === 'POST') listed.set(list, (listed.get(list) ?? 0) + 1);
          if (list !== '' && asked.method === 'DELETE') listed.set(list, (listed.get(list) ?? 1) - 1);
          const isBoth = (listed.get('whitelist') ?? 0) > 0 && (listed.get('blacklist') ?? 0) > 0;
          return isBoth && isKeyCall(asked, answered) ? no('blocked') : answered;
        },
      };
    },
    fails: ['lists.precedence'],
  },
  {
    name: 'gives ephemeral keys without end',
    accounts: 2,
    including: ['issue.sender-limit'],
    spoil: () => ({
      answer: (asked, answered) =>
        isKeyCall(asked, answered)
          ? edited(answered, ({ message_key }) => ({
              non_ephemeral: false,
              message_key: { ...(message_key as object), kind: 'ephemeral' },
            }))
          : answered,
    }),
    fails: ['issue.sender-limit'],
  },
];

/** Asks the kit's own server something, as a server under test would. */
export function askCounterpart(at: { port: number; ca: string }, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const options = { host: '127.0.0.1', port: at.port, ca: at.ca, servername: 'kit.test', path };
  httpsRequest(options, (response) => response.resume().once('end', resolve))
    .once('error', reject)
    .end();
  return promise;
}

/** The path of a user's key at her own server. */
const keyPath = (asked: Asked): string => `/0.1/get_user/${asked.path.split('/').at(-1)}/public_key`;
const isOfKit = (asked: Asked): boolean => /create_session\/kit[0-9a-f]{16}%23kit\.test$/i.test(asked.path);

export function remoteBreakages(counterpart: () => { port: number; ca: string }): Breakage[] {
  return [
    {
      name: 'fetches a key when a token is asked for',
      accounts: 2,
      counterpart: true,
      spoil: () => ({
        async request(asked) {
          if (asked.method === 'GET' && isOfKit(asked)) await askCounterpart(counterpart(), '/version');
          return undefined;
        },
      }),
      fails: ['remote.get-fetches-nothing'],
    },
    {
      name: 'fetches a key before it looks at the signature',
      accounts: 2,
      counterpart: true,
      spoil: () => ({
        async request(asked) {
          const isWrong = asked.method === 'POST' && isOfKit(asked) && !isSignedFor(asked);
          if (isWrong) await askCounterpart(counterpart(), keyPath(asked));
          return undefined;
        },
      }),
      fails: ['remote.signature-first'],
    },
    {
      name: 'fetches a key for every login',
      accounts: 2,
      counterpart: true,
      spoil: () => ({
        async request(asked) {
          if (asked.method === 'POST' && isOfKit(asked) && isSignedFor(asked))
            await askCounterpart(counterpart(), keyPath(asked));
          return undefined;
        },
      }),
      fails: ['remote.single-flight', 'remote.two-at-once'],
    },
    {
      name: 'refuses a login when the other server is away',
      accounts: 2,
      counterpart: true,
      spoil: () => ({ answer: (_asked, answered) => (answered.status === 502 ? no('unauthorized') : answered) }),
      fails: ['remote.unreachable'],
    },
    {
      name: 'takes strangers for owners',
      accounts: 2,
      counterpart: true,
      spoil: () => ({
        answer: (asked, answered) =>
          codeIn(answered) === 'forbidden' && isCall(asked, 'GET', 'folder/')
            ? yes({ messages: [], next: null })
            : answered,
      }),
      fails: ['remote.forbidden'],
    },
    {
      name: 'takes less work than it asks for',
      accounts: 2,
      counterpart: true,
      spoil: () => {
        const bitsOf = new Map<string, number>();
        return {
          answer(asked, answered) {
            const asksWork = isCall(asked, 'GET', 'get_pow_params/') && answered.status === 200;
            if (asksWork) bitsOf.set(String(jsonOf(answered).nonce), Number(jsonOf(answered).zero_bits));
            const bits = bitsOf.get(workOf(asked)[2] ?? '') ?? 0;
            return isSend(asked) && codeIn(answered) === 'bad_pow' && bits > 0 ? taken() : answered;
          },
        };
      },
      fails: ['remote.work-bits'],
    },
    {
      name: 'keeps a session whose key was replaced at home',
      accounts: 2,
      counterpart: true,
      spoil: () => ({
        answer: (asked, answered) =>
          isSend(asked) && codeIn(answered) === 'unauthorized' && asked.headers['smimp-authentication'] !== undefined
            ? taken()
            : answered,
      }),
      fails: ['remote.rotated-key'],
    },
  ];
}
