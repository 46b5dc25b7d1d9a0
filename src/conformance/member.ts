/** A user of the kit: keys, history and message secrets of its own, and what such a user signs (SMIMP 0.1 §1.4, §3, §5.4). */
import type { Address } from '../smimp/address.ts';
import type { InitializeRequest } from '../smimp/api.ts';
import { type MasterKeyPair, masterKeyPair } from '../smimp/crypto.ts';
import { type Hex32, isHex, type SignedHash, toHex } from '../smimp/encoding.ts';
import { createMessageKey, type MessageKey } from '../smimp/message-key.ts';
import { createRecord, type IdentityRecord, type Profile, rotateRecord } from '../smimp/record.ts';
import { initializeDigest, loginDigest, loginTokenDigest, signDigest } from '../smimp/transcript.ts';
import { type Answer, accepted, named } from './answer.ts';
import { demand, unmet } from './errors.ts';
import type { Probe } from './probe.ts';

export type Member = {
  readonly address: Address;
  master: MasterKeyPair;
  records: IdentityRecord[];
  nonEphemeral: MessageKey;
  /** Secrets of all message keys, by public key. */
  readonly secrets: Map<Hex32, Uint8Array>;
};

/** A login that went well. `loginTokenHash` is what envelopes are bound to. */
export type KitSession = { readonly token: Hex32; readonly loginTokenHash: Hex32; readonly scope: string };

/** Long enough for a run, within the bounds of both kinds. */
const KEY_DAYS = 30;
const TOKEN_BYTES = 32;

export function newMember(address: Address, now: number): Member {
  const master = masterKeyPair();
  const secrets = new Map<Hex32, Uint8Array>();
  const member = { address, master, records: [createRecord({ address, master, now })], secrets };
  return { ...member, nonEphemeral: newKey(member, 'non-ephemeral', now) };
}

export function publicKeyOf({ master }: Pick<Member, 'master'>): Hex32 {
  return toHex(master.publicKey);
}

export function lastRecord({ records }: Pick<Member, 'records'>): IdentityRecord {
  return records.at(-1) as IdentityRecord;
}

/** A signed message key whose secret is kept. */
export function newKey(
  member: Pick<Member, 'address' | 'master' | 'secrets'>,
  kind: MessageKey['kind'],
  now: number,
): MessageKey {
  const { address, master } = member;
  const { key, secret } = createMessageKey({ address, master, kind, now, lifetimeDays: KEY_DAYS });
  member.secrets.set(key.public_key, secret);
  return key;
}

export function newPool(member: Member, count: number, now: number): MessageKey[] {
  return Array.from({ length: count }, () => newKey(member, 'ephemeral', now));
}

/** The record that would follow; it is in force only once the server took it. */
export function nextRecord(
  member: Member,
  change: { now: number; newKey?: MasterKeyPair; profile?: Partial<Profile> },
): IdentityRecord {
  return rotateRecord({ previous: lastRecord(member), signer: member.master, ...change });
}

/** What makes an account of an address for which `code` was issued. */
export function initializeRequest(member: Member, code: string, pool: readonly MessageKey[]): InitializeRequest {
  return {
    record: lastRecord(member),
    password_hash: toHex(initializeDigest(member.address, code)),
    nonephemeral_key: member.nonEphemeral,
    ephemeral_keys: [...pool],
  };
}

export type LoginBody = { token: Hex32; signed_token: SignedHash; public_key: Hex32 };

/** Signs a token of the server, or anything else that a check wants signed. */
export function signLogin(
  member: Pick<Member, 'address' | 'master'>,
  login: { token: Hex32; baseUrl: string; address?: Address },
): LoginBody {
  const { token, baseUrl, address = member.address } = login;
  const masterKey = publicKeyOf(member);
  const digest = loginDigest({ baseUrl, address, masterKey, token });
  return { token, signed_token: signDigest(member.master.secretKey, digest), public_key: masterKey };
}

export async function askToken(probe: Probe, address: Address): Promise<Hex32> {
  const { token } = accepted('get_create_session', await probe.call('get_create_session', { params: { a: address } }));
  demand(typeof token === 'string' && isHex(token, TOKEN_BYTES), 'a token of 32 bytes', 'another thing');
  return token;
}

export function postLogin(probe: Probe, address: Address, request: LoginBody): Promise<Answer> {
  return probe.call('post_create_session', { params: { a: address }, request });
}

export async function logIn(probe: Probe, member: Pick<Member, 'address' | 'master'>): Promise<KitSession> {
  const token = await askToken(probe, member.address);
  const answer = await postLogin(probe, member.address, signLogin(member, { token, baseUrl: probe.baseUrl }));
  const { authentication_token, scope } = accepted('post_create_session', answer);
  if (typeof authentication_token !== 'string') throw unmet('a session token', named(answer));
  return { token: authentication_token, loginTokenHash: toHex(loginTokenDigest(token)), scope };
}
