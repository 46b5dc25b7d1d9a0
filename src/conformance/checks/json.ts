/** Strict JSON (SMIMP 0.1 §1.1): each defect once in a request, and once in `data` of a record, which is JSON in a string. */
import { type Check, refused } from '../check.ts';
import { claim, HEX32, LOGIN, loginWith, recordNamed, recordWith } from './asking.ts';

const anonymous = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'anonymous' });

type Change = (data: string) => string;

type Defect = {
  what: string;
  title: string;
  rule: string;
  /** Bodies of a login, each with the defect. */
  bodies?: readonly (string | Buffer)[];
  /** What puts the defect into `data`. */
  changes?: readonly Change[];
  /** Bytes that stand as name in `data`. */
  names?: readonly Buffer[];
};

const before = (text: string): string => LOGIN.replace('{', `{${text},`);
const replacing =
  (whole: string, part: string): Change =>
  (data) =>
    data.replace(whole, part);
const named = (value: string): Change => replacing('"name":null', `"name":${value}`);
const numbered = (value: string): Change => replacing('"seq":0', `"seq":${value}`);
const additional = (value: string): Change => replacing('"additional_data":null', `"additional_data":${value}`);
/** `levels` of arrays in an object in `data`, which is one itself. */
const nested = (levels: number): Change => additional(`{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`);
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
/** NUL in two bytes, half a character, half a surrogate pair. */
const NOT_UTF8 = [[0xc0, 0x80], [0xc3], [0xed, 0xa0, 0x80]].map((bytes) => Buffer.from(bytes));

const DEFECTS: readonly Defect[] = [
  {
    what: 'encoding',
    title: 'JSON is UTF-8 without byte order mark',
    rule: 'R-1.1-1',
    bodies: [Buffer.concat([BOM, Buffer.from(LOGIN)])],
    names: NOT_UTF8,
  },
  {
    what: 'syntax',
    title: 'JSON keeps to its grammar',
    rule: 'R-1.1-2',
    bodies: [`${LOGIN}{}`, LOGIN.replace('}', ',}'), `/**/${LOGIN}`, LOGIN.slice(0, -1), ''],
    changes: [(data) => `${data} x`, (data) => data.replace(/}$/, ',}')],
  },
  {
    what: 'duplicate-name',
    title: 'No member name comes twice, also not in another spelling',
    rule: 'R-1.1-3',
    bodies: [before(`"token":"${HEX32}"`), before(`"t\\u006fken":"${HEX32}"`)],
    changes: [replacing('"name":', '"name":null,"name":')],
  },
  {
    what: 'surrogate',
    title: 'No text holds a lone surrogate',
    rule: 'R-1.1-4',
    changes: [named('"\\ud800"'), named('"\\udc00\\ud800"')],
  },
  {
    what: 'noncharacter',
    title: 'No text holds a noncharacter',
    rule: 'R-1.1-4',
    changes: [named('"\\uffff"'), named('"\\ufdd0"')],
  },
  { what: 'depth', title: 'Nothing lies deeper than 16', rule: 'R-1.1-5', changes: [nested(15)] },
  {
    what: 'number',
    title: 'Numbers are whole, safe and written plainly',
    rule: 'R-1.1-6',
    changes: ['0.0', '0e0', '-0', '9007199254740992'].map(numbered),
  },
  {
    what: 'forbidden-name',
    title: 'No name that means something to objects',
    rule: 'R-1.1-7',
    changes: ['__proto__', 'constructor', 'prototype'].map((name) => additional(`{"${name}":1}`)),
  },
];

export const jsonChecks: readonly Check[] = [
  /** What the defects are measured against: here form and JSON are in order, and something else is said. */
  anonymous({
    id: 'json.plain',
    title: 'Strict JSON is taken, with white space, escapes, depth 16, and unknown members of data',
    rules: ['R-1.1-2', 'R-1.1-5', 'R-1.1-9', 'R-3-1', 'R-5.7-2'],
    async run(world) {
      const spaced = ` ${LOGIN.replace('"token"', '\n"t\\u006fken"')}\t`;
      refused(await loginWith(world, Buffer.from(spaced)), 'unauthorized');
      const changes: Change[] = [(data) => data, nested(14), replacing('{', '{ "later":1,')];
      for (const change of changes) refused(await recordWith(world, change), 'unauthorized');
    },
  }),
  ...DEFECTS.map(({ what, title, rule, bodies = [], changes = [], names = [] }) =>
    anonymous({
      id: `json.${what}`,
      title,
      rules: [rule],
      async run(world) {
        for (const body of bodies) refused(await loginWith(world, Buffer.from(body)), 'bad_request');
        for (const change of changes) refused(await recordWith(world, change), 'bad_record');
        for (const name of names) refused(await recordNamed(world, name), 'bad_request');
      },
    }),
  ),
  anonymous({
    id: 'json.unknown-member',
    title: 'A member that a request does not define is refused, in nested objects too',
    rules: ['R-1.1-8'],
    async run(world) {
      refused(await loginWith(world, Buffer.from(before('"kit":1'))), 'bad_request');
      const request = await claim(world);
      const wrong = { ...request, record: { ...request.record, kit: 1 } };
      refused(await world.probe.call('initialize_account', { request: wrong }), 'bad_request');
    },
  }),
];
