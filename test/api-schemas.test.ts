/** The table of API calls: requests refuse what they do not know, answers ignore it, and a code has one status. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  API_ERRORS,
  CALLS,
  type CallDefinition,
  type CallName,
  callErrors,
  MAX_EPHEMERAL_KEYS,
  problem,
  problemSchema,
} from '../src/smimp/api.ts';
import type { Hex32 } from '../src/smimp/encoding.ts';
import { ProfileError } from '../src/smimp/errors.ts';
import { parseFields } from '../src/smimp/fields.ts';
import { createMessageKey } from '../src/smimp/message-key.ts';
import { ADAM, buildRecords, NEW_YEAR, seededKey } from './support/identities.ts';

const calls = Object.entries(CALLS) as [CallName, CallDefinition][];
const key = createMessageKey({
  address: ADAM,
  kind: 'ephemeral',
  master: seededKey(1),
  now: NEW_YEAR,
  lifetimeDays: 1,
}).key;
const [record] = buildRecords(ADAM, []);
const initialize = {
  record,
  password_hash: '00'.repeat(32) as Hex32,
  nonephemeral_key: key,
  ephemeral_keys: [key],
};

function codeOf(name: CallName, part: 'request' | 'query' | 'params' | 'response', value: unknown): string {
  const schema = (CALLS[name] as CallDefinition)[part];
  if (!schema) throw new Error(`${name} has no ${part}`);
  try {
    parseFields(schema, value);
    return 'accepted';
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
}

describe('every call', () => {
  test.each(calls)('%s describes its path, and can be written as JSON Schema', (name, call) => {
    const named = [...call.path.matchAll(/\{([a-z]+)\}/g)].map(([, param]) => param);
    const shape = call.params instanceof z.ZodObject ? Object.keys(call.params.shape) : [];
    expect(shape).toEqual(named);
    for (const schema of [call.params, call.query, call.request, call.response]) {
      if (schema) expect(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })).toBeTypeOf('object');
    }
    for (const code of callErrors(name)) expect(API_ERRORS[code]).toBeGreaterThanOrEqual(400);
    expect(callErrors(name)).toContain('bad_request');
    expect(callErrors(name).includes('forbidden')).toBe(call.auth === 'home');
  });

  test('has a method and path of its own', () => {
    expect(new Set(calls.map(([, { method, path }]) => `${method} ${path}`)).size).toBe(calls.length);
  });

  test.each(calls.filter(([, { request }]) => request))('%s refuses an unknown member', (_, { request }) => {
    expect(request instanceof z.ZodObject && request.def.catchall instanceof z.ZodNever).toBe(true);
  });
});

describe('requests and answers', () => {
  test('a request refuses unknown members, nested objects included', () => {
    expect(codeOf('initialize_account', 'request', initialize)).toBe('accepted');
    expect(codeOf('initialize_account', 'request', { ...initialize, x: 1 })).toBe('unknown-member');
    const nested = { ...initialize, record: { ...record, x: 1 } };
    expect(codeOf('initialize_account', 'request', nested)).toBe('unknown-member');
    const inKey = { ...initialize, ephemeral_keys: [{ ...key, x: 1 }] };
    expect(codeOf('initialize_account', 'request', inKey)).toBe('unknown-member');
  });

  test('an answer ignores them', () => {
    expect(codeOf('get_nonephemeral_key', 'response', { ...key, x: 1 })).toBe('accepted');
    expect(codeOf('get_most_recent', 'response', { ...record, x: 1 })).toBe('accepted');
  });

  test('optional members of a request may be absent, null is another thing', () => {
    expect(codeOf('update_profile', 'request', { record })).toBe('accepted');
    expect(codeOf('initialize_account', 'request', { ...initialize, ephemeral_keys: null })).toBe('accepted');
    const { ephemeral_keys: _, ...without } = initialize;
    expect(codeOf('initialize_account', 'request', without)).toBe('bad-field');
  });

  test(`a pool takes ${MAX_EPHEMERAL_KEYS} keys and no more`, () => {
    const keys = Array.from({ length: MAX_EPHEMERAL_KEYS }, () => key);
    expect(codeOf('post_ephemeral_keys', 'request', { keys, mode: 'append' })).toBe('accepted');
    expect(codeOf('post_ephemeral_keys', 'request', { keys: [...keys, key], mode: 'append' })).toBe('bad-field');
  });

  test.each([
    ['get_folder', { limit: '500' }, 'accepted'],
    ['get_folder', { limit: '501' }, 'bad-field'],
    ['get_folder', { after: '007' }, 'bad-field'],
    ['get_folder', { after: '-1' }, 'bad-field'],
    ['get_folder', { after: '9007199254740992' }, 'bad-field'],
    ['get_folder', { page: '1' }, 'unknown-member'],
    ['get_changes', { wait: '30' }, 'accepted'],
    ['get_changes', { wait: '31' }, 'bad-field'],
    ['get_history', { from: '0' }, 'accepted'],
  ] as const)('query of %s: %o is %s', (name, query, code) => {
    expect(codeOf(name, 'query', query)).toBe(code);
  });
});

test('a problem carries its code, its status and nothing of the request', () => {
  const body = problem('key_consumed');
  expect(problemSchema.parse(body)).toEqual({
    type: 'urn:smimp:error:key_consumed',
    title: 'key consumed',
    status: 409,
    code: 'key_consumed',
  });
});
