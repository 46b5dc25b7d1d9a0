/**
 * fixtures/spec/requirements.tsv: every rule of docs/protocol.md with the source that keeps it and the test that shows it. A
 * test is cited by its file and title, a vector by its file and case, a check of the conformance kit by its id.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CHECKS } from '../src/conformance/all.ts';
import {
  API_ERROR_CODES,
  API_ERRORS,
  type ApiErrorCode,
  CALLS,
  type CallDefinition,
  DEFAULT_FOLDER_PAGE,
  LOGIN_TOKEN_SECONDS,
  MAX_AVATAR_BYTES,
  MAX_EPHEMERAL_KEYS,
  MAX_EXTENSIONS_BYTES,
  MAX_FOLDER_DEPTH,
  MAX_FOLDER_PAGE,
  MAX_INITIALIZE_TRIES,
  MAX_KEYS_PER_SENDER_DAY,
  MAX_LIST_ENTRIES,
  MAX_MESSAGE_BYTES,
  MAX_POW_NONCES,
  MAX_PROFILE_UPDATES_PER_DAY,
  MAX_REMOTE_FETCHES_AT_ONCE,
  MAX_REMOTE_FETCHES_PER_MINUTE,
  MAX_REQUEST_BYTES,
  MAX_WAIT_SECONDS,
} from '../src/smimp/api.ts';
import { MAX_HISTORY_RECORDS, MAX_RECORD_DATA_BYTES } from '../src/smimp/record.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HEADER = ['rule', 'section', 'clause', 'source', 'test', 'title', 'status'];
/** `partly`: what the test shows is less than the rule. `not-built`: there is nothing yet that could keep it. */
const STATUSES = ['tested', 'partly', 'untested', 'not-built'];
const NONE = '-';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const protocol = read('docs/protocol.md');
const [header = [], ...lines] = read('fixtures/spec/requirements.tsv')
  .trimEnd()
  .split('\n')
  .map((line) => line.split('\t'));
const rows = lines.map(([rule = '', section = '', clause = '', source = '', test = '', title = '', status = '']) => ({
  ...{ rule, section, clause, source, test, title, status },
}));
/** Rules where they are written: at the beginning of an item. */
const written = [...protocol.matchAll(/^- `(R-[\d.]+-\d+)`/gm)].map(([, rule = '']) => rule);

/** Whether a test has this title, in any quotes. Quotes within it may be escaped in the source. */
function hasTitle(file: string, title: string): boolean {
  const text = read(file).replaceAll("\\'", "'");
  return ["'", '"', '`'].some(
    (quote) => text.includes(`(${quote}${title}`) || text.includes(`(\n    ${quote}${title}`),
  );
}

function isThere({ test, title }: { test: string; title: string }): boolean {
  if (test === 'src/conformance/all.ts') return CHECKS.some(({ id }) => id === title);
  if (!existsSync(join(ROOT, test))) return false;
  if (!test.startsWith('fixtures/vectors/')) return hasTitle(test, title);
  const { cases } = JSON.parse(read(test)) as { cases: { id: string }[] };
  return cases.some(({ id }) => id === title);
}

describe('the requirements', () => {
  it('have seven columns and known statuses', () => {
    expect(header).toEqual(HEADER);
    expect(lines.filter((line) => line.length !== HEADER.length || line.includes(''))).toEqual([]);
    expect(rows.filter(({ status }) => !STATUSES.includes(status))).toEqual([]);
  });

  it('are the rules of the protocol, each once, in their order', () => {
    expect(rows.map(({ rule }) => rule)).toEqual(written);
    expect(new Set(written).size).toBe(written.length);
  });

  it('name the section in which the rule stands', () => {
    const sections = [...protocol.matchAll(/^#{2,3} (\d(?:\.\d)?)|^- `(R-[\d.]+-\d+)`/gm)];
    let section = '';
    const standing = sections.flatMap(([, heading, rule]) => {
      if (heading !== undefined) section = heading;
      return rule === undefined ? [] : [{ rule, section: `§${section}` }];
    });
    expect(rows.map(({ rule, section: where }) => ({ rule, section: where }))).toEqual(standing);
    expect(rows.filter(({ rule, section: where }) => !rule.startsWith(`R-${where.slice(1)}-`))).toEqual([]);
  });

  it('cite sources and tests that are there', () => {
    const isMissing = ({ source }: { source: string }): boolean => source !== NONE && !existsSync(join(ROOT, source));
    expect(rows.filter(isMissing).map(({ rule, source }) => `${rule}: ${source}`)).toEqual([]);
    const cited = rows.filter(({ test }) => test !== NONE);
    expect(cited.filter((row) => !isThere(row)).map(({ rule, test, title }) => `${rule}: ${test} ${title}`)).toEqual(
      [],
    );
  });

  it('have a test where they say so, and a source unless nothing is built', () => {
    const wrong = rows.filter(({ test, source, status }) => {
      if (status === 'tested' || status === 'partly') return test === NONE || source === NONE;
      return status === 'not-built' ? source !== NONE : test !== NONE;
    });
    expect(wrong).toEqual([]);
    expect(rows.filter(({ status }) => status === 'untested').map(({ rule }) => rule)).toEqual([]);
  });
});

it('the example of the protocol is that of the vectors', () => {
  const example = /^```\nPAE {4}([\s\S]*?)^```/m.exec(protocol)?.[1] ?? '';
  const hex = example.replace(/"[^"]*"|five parts|D\(login\)|SIGN/g, '').replace(/\s+/g, '');
  const { cases } = JSON.parse(read('fixtures/vectors/transcripts.json')) as {
    cases: { id: string; outputs: Record<string, string> }[];
  };
  const outputs = (id: string) => cases.find((one) => one.id === id)?.outputs ?? {};
  expect(hex).toBe(
    `${outputs('login-digest').pae}${outputs('login-digest').digest}${outputs('login-sign').signed_hash}`,
  );
});

describe('the protocol', () => {
  it('lists every error code beside its status, and no other', () => {
    const table = /\| status \| codes \|\n\|---\|---\|\n([\s\S]*?)\n\n/.exec(protocol)?.[1] ?? '';
    const told = table.split('\n').flatMap((line) => {
      const [, statuses = '', codes = ''] = line.split('|');
      const named = [...codes.matchAll(/`([a-z_]+)`/g)].map(([, code = '']) => code);
      return named.map((code) => ({
        code,
        isRight: statuses.split('·').some((status) => Number(status) === API_ERRORS[code as ApiErrorCode]),
      }));
    });
    expect(told.filter(({ isRight }) => !isRight)).toEqual([]);
    expect(told.map(({ code }) => code).sort()).toEqual([...API_ERROR_CODES].sort());
  });

  it('names every call with its method', () => {
    const calls = Object.values(CALLS) as CallDefinition[];
    const rowsOfCalls = protocol.split('\n').filter((line) => /^\| (GET|POST|DELETE)/.test(line));
    const bare = (path: string): string => path.replace(/\{\w+\}.*/, '').replace(/\/$/, '');
    const isTold = ({ method, path }: CallDefinition): boolean =>
      rowsOfCalls.some(
        (line) => line.includes(method) && (line.includes(`\`${bare(path)}`) || line.includes(`${bare(path)}/`)),
      );
    // The two lists share a row.
    const missing = calls.filter((call) => !isTold(call)).map(({ path }) => path);
    expect(missing.filter((path) => !path.startsWith('blacklist'))).toEqual([]);
  });

  it('has a row for every purpose', () => {
    const { cases } = JSON.parse(read('fixtures/vectors/transcripts.json')) as {
      cases: { inputs: { purpose?: string } }[];
    };
    const purposes = new Set(cases.flatMap(({ inputs: { purpose } }) => (purpose === undefined ? [] : [purpose])));
    expect(purposes.size).toBe(14);
    expect([...purposes].filter((purpose) => !protocol.includes(`| \`${purpose}\``))).toEqual([]);
  });

  it('tells the limits as they are held', () => {
    const table = protocol.slice(protocol.indexOf('### 5.9'), protocol.indexOf('## 6.'));
    const held = [
      [`${MAX_MESSAGE_BYTES / 1024 / 1024} MiB`, `${MAX_REQUEST_BYTES / 1024} KiB`, `| ${MAX_EPHEMERAL_KEYS} |`],
      [`${MAX_PROFILE_UPDATES_PER_DAY} a day`, `${MAX_RECORD_DATA_BYTES / 1024} KiB`, `${MAX_HISTORY_RECORDS} records`],
      [
        `${MAX_AVATAR_BYTES / 1024} KiB · ${MAX_EXTENSIONS_BYTES / 1024} KiB`,
        `${MAX_WAIT_SECONDS} s`,
        `| ${MAX_FOLDER_DEPTH} |`,
      ],
      [`${MAX_LIST_ENTRIES.toLocaleString('en')} entries`, `${MAX_FOLDER_PAGE} (${DEFAULT_FOLDER_PAGE} by default)`],
      [`| ${MAX_INITIALIZE_TRIES} |`, `| ${MAX_POW_NONCES} |`, `${LOGIN_TOKEN_SECONDS} s · 24 h · 1 h`],
      [
        `${MAX_KEYS_PER_SENDER_DAY} a day`,
        `${MAX_REMOTE_FETCHES_AT_ONCE} at once, ${MAX_REMOTE_FETCHES_PER_MINUTE} a minute`,
      ],
    ].flat();
    expect(held.filter((text) => !table.includes(text))).toEqual([]);
  });
});

it('every check of the conformance kit names rules of the protocol', () => {
  const known = new Set(written);
  const strange = CHECKS.flatMap(({ id, rules }) =>
    rules.filter((rule) => !known.has(rule)).map((rule) => `${id}: ${rule}`),
  );
  expect(strange).toEqual([]);
});

it('every section with rules that a server can be seen to keep has a check', () => {
  const checked = new Set(CHECKS.flatMap(({ rules }) => rules));
  const ofServers = written.filter((rule) => /^R-5\.[1-79]-/.test(rule) && !checked.has(rule));
  expect(ofServers).toEqual(NOT_SEEN);
});

/** Rules of the API that nobody sees from outside within a run: time-outs, what is stored, a day's count, what is kept for years. */
const NOT_SEEN = ['R-5.1-9', 'R-5.4-11', 'R-5.6-12'];
