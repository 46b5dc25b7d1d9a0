/** Requests that stand on no account: a login and an account that nobody has, as text that a check may spoil. */

import type { Answer } from '../answer.ts';
import { initializeRequest, newMember, publicKeyOf } from '../member.ts';
import { callPath } from '../probe.ts';
import type { World } from '../world.ts';

export const HEX32 = '0'.repeat(64);
const HEX96 = '0'.repeat(192);
export const JSON_TYPE = { 'content-type': 'application/json' };

/** A login of the right form that no server lets in: what is in order so far is answered 401. */
export const LOGIN = `{"token":"${HEX32}","signed_token":"${HEX96}","public_key":"${HEX32}"}`;

export async function partsOfNobody(world: World): Promise<{ user: string; domain: string }> {
  const [user = '', domain = ''] = (await world.nobody()).split('#');
  return { user, domain };
}

export function userPath({ probe, baseUrl }: World, segment: string): Promise<Answer> {
  return probe.raw({ path: callPath('get_public_key', baseUrl).replace('get_user//', `get_user/${segment}/`) });
}

export async function loginWith(
  world: World,
  body: Buffer,
  headers: Record<string, string> = JSON_TYPE,
): Promise<Answer> {
  const path = callPath('post_create_session', world.baseUrl, { params: { a: await world.nobody() } });
  return world.probe.raw({ method: 'POST', path, body, headers });
}

/** `initialize_account` for an address that nobody has: 401 as long as form and record are in order. */
export async function claim(world: World) {
  const member = newMember(await world.nobody(), world.now());
  return initializeRequest(member, publicKeyOf(member), []);
}

export async function recordWith(world: World, change: (data: string) => string): Promise<Answer> {
  const request = await claim(world);
  const record = { ...request.record, data: change(request.record.data) };
  return world.probe.call('initialize_account', { request: { ...request, record } });
}

/** A record whose name is these bytes, in place of text. */
export async function recordNamed(world: World, name: Buffer): Promise<Answer> {
  const [before = '', after = ''] = JSON.stringify(await claim(world)).split('\\"name\\":null');
  const request = Buffer.concat([Buffer.from(`${before}\\"name\\":\\"`), name, Buffer.from(`\\"${after}`)]);
  return world.probe.call('initialize_account', { request });
}
