/** What a server refuses of any request: paths, methods, bodies (SMIMP 0.1 §1.2, §5.1). */
import { type CallName, MAX_REQUEST_BYTES } from '../../smimp/api.ts';
import { type Check, demand, refused } from '../check.ts';
import { callPath } from '../probe.ts';
import { HEX32, JSON_TYPE, LOGIN, loginWith, partsOfNobody, userPath } from './asking.ts';

const anonymous = (check: Omit<Check, 'level'>): Check => ({ ...check, level: 'anonymous' });

export const requestChecks: readonly Check[] = [
  anonymous({
    id: 'paths.percent-encoding',
    title: 'An address in a path may be percent-encoded in any valid way',
    rules: ['R-1.2-7'],
    async run(world) {
      const { user, domain } = await partsOfNobody(world);
      const encoded = `%${user.charCodeAt(0).toString(16)}${user.slice(1)}%23${domain}`;
      refused(await userPath(world, encoded), 'unknown_user');
      refused(await userPath(world, `${user}%23${domain.replaceAll('.', '%2E')}`), 'unknown_user');
    },
  }),
  anonymous({
    id: 'paths.decoded-once',
    title: 'A path segment is decoded exactly once',
    rules: ['R-1.2-7'],
    async run(world) {
      const { user, domain } = await partsOfNobody(world);
      refused(await userPath(world, `${user}%2523${domain}`), 'bad_request');
    },
  }),
  anonymous({
    id: 'paths.malformed',
    title: 'An address that is cut short, has no #, two of them, or bytes that are not UTF-8 is refused',
    rules: ['R-1.2-1', 'R-1.2-7'],
    async run(world) {
      const { user, domain } = await partsOfNobody(world);
      for (const segment of [user, `${user}%23%23${domain}`, `${user}%23`, `%23${domain}`, `%ff${user}%23${domain}`])
        refused(await userPath(world, segment), 'bad_request');
    },
  }),
  anonymous({
    id: 'paths.normal-form',
    title: 'An address that is not in its normal form is refused, not repaired',
    rules: ['R-1.2-2', 'R-1.2-4', 'R-1.2-5', 'R-1.2-6'],
    async run(world) {
      const { user, domain } = await partsOfNobody(world);
      const upper = `${user.toUpperCase()}%23${domain}`;
      const others = [`${user}%23${domain.toUpperCase()}`, `${user}.x%23${domain}`, `%E2%84%AA${user}%23${domain}`];
      const hosts = [`${user}%23localhost`, `${user}%23${domain}.`, `${user}%23192.0.2.1`, `${user}%23${domain}%3A443`];
      for (const segment of [upper, ...others, ...hosts]) refused(await userPath(world, segment), 'bad_request');
    },
  }),
  anonymous({
    id: 'paths.unknown',
    title: 'An unknown path is 404 not_found',
    rules: ['R-5.1-5'],
    async run({ probe, baseUrl }) {
      refused(
        await probe.raw({ path: callPath('server_information', baseUrl).replace(/\w+$/, 'nothing') }),
        'not_found',
      );
    },
  }),
  anonymous({
    id: 'requests.methods',
    title: 'A known path under another method is 405 with Allow',
    rules: ['R-5.1-5'],
    async run({ probe, baseUrl }) {
      for (const name of ['server_information', 'get_message_key'] as const) {
        const answer = await probe.raw({ method: 'DELETE', path: callPath(name, baseUrl) });
        refused(answer, 'method_not_allowed');
        demand(answer.headers.allow !== undefined, 'an Allow header', 'none');
      }
    },
  }),
  anonymous({
    id: 'requests.query',
    title: 'A query that a call does not define is refused',
    rules: ['R-5.1-4'],
    async run(world) {
      refused(await world.probe.call('server_information', { query: '?kit=1' }), 'bad_request');
      const params = { a: await world.nobody() };
      for (const query of ['?from=-1', '?from=x', '?from=0&from=1', '?from=01'])
        refused(await world.probe.call('get_history', { params, query }), 'bad_request');
    },
  }),
  anonymous({
    id: 'requests.no-body',
    title: 'A body where the call has none is refused',
    rules: ['R-5.1-4'],
    async run(world) {
      refused(await world.probe.call('server_information', { request: {} }), 'bad_request');
    },
  }),
  anonymous({
    id: 'requests.content-type',
    title: 'A body of another content type is 415',
    rules: ['R-5.1-3'],
    async run(world) {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx'])
        refused(await loginWith(world, Buffer.from(LOGIN), { 'content-type': type }), 'unsupported_media_type');
    },
  }),
  anonymous({
    id: 'requests.content-coding',
    title: 'A compressed body is 415',
    rules: ['R-5.1-3'],
    async run(world) {
      const headers = { ...JSON_TYPE, 'content-encoding': 'gzip' };
      refused(await loginWith(world, Buffer.from(LOGIN), headers), 'unsupported_media_type');
    },
  }),
  anonymous({
    id: 'requests.oversize',
    title: 'A request may have 256 KiB and not a byte more',
    rules: ['R-5.1-6'],
    async run(world) {
      const padded = (size: number): Buffer => Buffer.from(LOGIN.padEnd(size, ' '));
      refused(await loginWith(world, padded(MAX_REQUEST_BYTES)), 'unauthorized');
      refused(await loginWith(world, padded(MAX_REQUEST_BYTES + 1)), 'too_large');
    },
  }),
  anonymous({
    id: 'requests.form',
    title: 'Hex is lower case and of its exact length; every member is there',
    rules: ['R-1.1-10', 'R-1.1-13', 'R-5.1-3'],
    async run(world) {
      const upper = LOGIN.replace(HEX32, 'A'.repeat(64));
      const short = LOGIN.replace(HEX32, '0'.repeat(62));
      const absent = LOGIN.replace(/,"public_key":"0+"/, '');
      const empty = LOGIN.replace(/"public_key":"0+"/, '"public_key":null');
      for (const body of [upper, short, absent, empty])
        refused(await loginWith(world, Buffer.from(body)), 'bad_request');
    },
  }),
  anonymous({
    id: 'session.required',
    title: 'Every call that needs a session is 401 without one, and with one that is none',
    rules: ['R-5.1-1', 'R-2.7-2'],
    async run(world) {
      const calls: CallName[] = [
        'destroy_session',
        'get_message_key',
        'get_nonephemeral_key',
        'get_changes',
        'get_inbox',
      ];
      const params = { type: 'email' };
      for (const name of calls) {
        refused(await world.probe.call(name, { params }), 'unauthorized');
        for (const token of [HEX32, 'none', 'F'.repeat(64)])
          refused(await world.probe.call(name, { params, headers: { 'smimp-authentication': token } }), 'unauthorized');
      }
    },
  }),
];
