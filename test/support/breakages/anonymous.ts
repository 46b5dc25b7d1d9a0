/** Rules that anybody can see broken: forms, errors, headers (SMIMP 0.1 §1, §2, §5.1–§5.4). */
import { gzipSync } from 'node:zlib';
import { ProfileError } from '../../../src/smimp/errors.ts';
import { parseStrictJson } from '../../../src/smimp/json.ts';
import { type Answered, type Asked, codeIn, edited, isCall, isSignedFor, jsonOf, no } from '../spoiling-proxy.ts';
import type { Breakage } from './breakage.ts';

function defectOf(text: Buffer | string): string | null {
  try {
    parseStrictJson(text);
    return null;
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
}

/** Takes a body that has only this defect for what it seems to say. */
const lenient =
  (defect: string) =>
  (asked: Asked): undefined => {
    if (asked.body.length > 0 && defectOf(asked.body) === defect)
      asked.body = Buffer.from(JSON.stringify(jsonOf(asked)));
  };

/** The same for `data` of a record. */
const lenientData =
  (defect: string) =>
  (asked: Asked): undefined => {
    const request = jsonOf(asked) as { record?: { data?: string } };
    const { record } = request;
    if (typeof record?.data !== 'string' || defectOf(record.data) !== defect) return;
    record.data = JSON.stringify(JSON.parse(record.data));
    asked.body = Buffer.from(JSON.stringify(request));
  };

const withHeader =
  (name: string, value: string) =>
  (_asked: Asked, answered: Answered): Answered => ({
    ...answered,
    headers: { ...answered.headers, [name]: value },
  });

const isInformation = (asked: Asked, { status }: Answered): boolean =>
  status === 200 && isCall(asked, 'GET', 'server_information');

const isLogin = (asked: Asked): boolean => isCall(asked, 'POST', 'create_session/');

export const anonymousBreakages: readonly Breakage[] = [
  {
    name: 'takes a member name that comes twice',
    accounts: 0,
    spoil: () => ({ request: lenient('json-duplicate-name') }),
    fails: ['json.duplicate-name'],
  },
  {
    name: 'takes a byte order mark',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        if (asked.body[0] === 0xef) asked.body = asked.body.subarray(3);
        return undefined;
      },
    }),
    fails: ['json.encoding'],
  },
  {
    name: 'takes 0.0 for 0 in a record',
    accounts: 0,
    spoil: () => ({ request: lenientData('json-number') }),
    fails: ['json.number'],
  },
  {
    name: 'takes lone surrogates in a record',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        asked.body = Buffer.from(asked.body.toString('latin1').replace(/\\\\ud[89a-f]../gi, '?'), 'latin1');
        return undefined;
      },
    }),
    fails: ['json.surrogate'],
  },
  {
    name: 'ignores members that a request does not define',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        const { kit, ...rest } = jsonOf(asked);
        if (kit !== undefined) asked.body = Buffer.from(JSON.stringify(rest));
        return undefined;
      },
    }),
    fails: ['json.unknown-member'],
  },
  {
    name: 'repairs addresses in capitals',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        if (isCall(asked, 'GET', 'get_user/')) asked.path = asked.path.toLowerCase();
        return undefined;
      },
    }),
    fails: ['paths.normal-form'],
  },
  {
    name: 'decodes paths twice',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        asked.path = asked.path.replaceAll('%25', '%');
        return undefined;
      },
    }),
    fails: ['paths.decoded-once'],
  },
  {
    name: 'says not_found where the method is wrong',
    accounts: 0,
    spoil: () => ({
      answer: (_asked, answered) => (codeIn(answered) === 'method_not_allowed' ? no('not_found') : answered),
    }),
    fails: ['requests.methods'],
  },
  {
    name: 'ignores a query it does not know',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        asked.path = asked.path.replace('?kit=1', '');
        return undefined;
      },
    }),
    fails: ['requests.query'],
  },
  {
    name: 'takes any content type for JSON',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        if (asked.body.length > 0) asked.headers['content-type'] = 'application/json';
        return undefined;
      },
    }),
    fails: ['requests.content-type'],
  },
  {
    name: 'does not look at content codings',
    accounts: 0,
    spoil: () => ({
      request(asked) {
        delete asked.headers['content-encoding'];
        return undefined;
      },
    }),
    fails: ['requests.content-coding'],
  },
  {
    name: 'takes requests of any size',
    accounts: 0,
    including: ['requests.oversize'],
    spoil: () => ({ request: (asked) => (asked.body.length > 256 * 1024 ? no('unauthorized') : undefined) }),
    fails: ['requests.oversize'],
  },
  {
    name: 'answers errors as plain JSON',
    accounts: 0,
    spoil: () => ({
      answer: (asked, answered) =>
        answered.status < 400 ? answered : withHeader('content-type', 'application/json')(asked, answered),
    }),
    fails: ['every.problem-document'],
  },
  {
    name: 'answers every error with 400',
    accounts: 0,
    spoil: () => ({ answer: (_asked, answered) => (answered.status < 400 ? answered : { ...answered, status: 400 }) }),
    fails: ['every.problem-status'],
  },
  {
    name: 'invents error codes',
    accounts: 0,
    spoil: () => ({
      answer: (_asked, answered) =>
        codeIn(answered) === 'unknown_user' ? edited(answered, () => ({ code: 'no_such_user' })) : answered,
    }),
    fails: ['paths.percent-encoding', 'users.unknown', 'every.problem-document'],
  },
  {
    name: 'tells what was asked in its errors',
    accounts: 0,
    spoil: () => ({
      answer: ({ path }, answered) =>
        answered.status < 400 ? answered : edited(answered, () => ({ detail: `nothing at ${path}` })),
    }),
    fails: ['every.no-echo'],
  },
  {
    name: 'sets a cookie',
    accounts: 0,
    spoil: () => ({ answer: withHeader('set-cookie', 'id=1') }),
    fails: ['every.no-cookie'],
  },
  {
    name: 'opens itself to every web site',
    accounts: 0,
    spoil: () => ({ answer: withHeader('access-control-allow-origin', '*') }),
    fails: ['every.no-cors-wildcard'],
  },
  {
    name: 'lets its answers be cached',
    accounts: 0,
    spoil: () => ({ answer: withHeader('cache-control', 'max-age=60') }),
    fails: ['every.not-cached'],
  },
  {
    name: 'redirects from paths that it does not know',
    accounts: 0,
    spoil: () => ({
      answer: (_asked, answered) =>
        codeIn(answered) === 'not_found'
          ? { status: 302, headers: { location: 'https://smimp.corp.test/version' }, body: Buffer.alloc(0) }
          : answered,
    }),
    fails: ['paths.unknown', 'every.no-redirect'],
  },
  {
    name: 'compresses answers',
    accounts: 0,
    spoil: () => ({
      answer: (asked, answered) =>
        (asked.headers['accept-encoding'] ?? '').includes('gzip')
          ? { ...withHeader('content-encoding', 'gzip')(asked, answered), body: gzipSync(answered.body) }
          : answered,
    }),
    fails: ['tls.no-compression'],
  },
  {
    name: 'names a call that it does not answer',
    accounts: 0,
    spoil: () => ({
      answer: (asked, answered) =>
        isInformation(asked, answered)
          ? edited(answered, ({ apis }) => ({ apis: [...(apis as string[]), 'telepathy'] }))
          : answered,
    }),
    fails: ['info.apis'],
  },
  {
    name: 'tells no limits',
    accounts: 0,
    spoil: () => ({
      answer: (asked, answered) =>
        isInformation(asked, answered) ? edited(answered, () => ({ limits: undefined })) : answered,
    }),
    fails: ['info.limits', 'every.answer-form'],
  },
  {
    name: 'gives tokens to its own users only',
    accounts: 0,
    spoil: () => ({ request: (asked) => (isCall(asked, 'GET', 'create_session/') ? no('unknown_user') : undefined) }),
    fails: ['login.token-for-anybody', 'login.refusal-alike'],
  },
  {
    name: 'says at a login that there is no such user',
    accounts: 0,
    spoil: () => ({
      answer: (asked, answered) =>
        isLogin(asked) && isSignedFor(asked) ? edited(answered, () => ({ detail: 'no such user' })) : answered,
    }),
    fails: ['login.refusal-alike'],
  },
  {
    name: 'asks for no session before it looks at who has a mailbox',
    accounts: 0,
    spoil: () => ({
      answer: (asked, answered) => (isCall(asked, 'GET', 'folder/email') ? no('forbidden') : answered),
    }),
    fails: ['session.required'],
  },
  {
    name: 'says of nobody that he is not allowed',
    accounts: 0,
    spoil: () => ({
      answer: (asked, answered) =>
        isCall(asked, 'GET', 'get_user/') && asked.path.endsWith('/history') ? no('forbidden') : answered,
    }),
    fails: ['users.unknown'],
  },
];
