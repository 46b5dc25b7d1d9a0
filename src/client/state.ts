/**
 * All that a client remembers, as plain data that whoever uses the library stores: the keystore, and what was learnt since.
 * It holds secrets. It is JSON, and comes back through `parseState`.
 */
import { z } from 'zod';
import type { Address } from '../smimp/address.ts';
import { masterKeyPair, randomBytes } from '../smimp/crypto.ts';
import { formatTimestamp, type Hex64, toHex } from '../smimp/encoding.ts';
import { address, count, hex32, parseFields, timestamp } from '../smimp/fields.ts';
import { messageKeySchema } from '../smimp/message-key.ts';
import { createRecord, EMPTY_PROFILE, type Profile, recordSchema } from '../smimp/record.ts';
import { keystoreSchema, parseKeystore } from './keystore-data.ts';

export const STATE_VERSION = 1;

const domainSchema = z.object({
  domain: z.string(),
  outcome: z.enum(['found', 'absent', 'failed']),
  base_url: z.string().nullable(),
  checked: timestamp,
  /** Once set it is never cleared (SMIMP 0.1 §2.6). */
  first_found: timestamp.nullable(),
});

const sessionSchema = z.object({
  base_url: z.string(),
  address,
  public_key: hex32,
  token: hex32,
  login_token_hash: hex32,
  expires: count,
  scope: z.enum(['home', 'remote']),
  last_used: timestamp,
});

/** A change of one's own record that was prepared and may have reached the server already; with a new master key, or not. */
export const pendingChangeSchema = z.object({
  record: recordSchema,
  rotation: z
    .object({
      master: keystoreSchema.shape.master,
      nonephemeral_key: messageKeySchema,
      ephemeral_keys: z.array(messageKeySchema),
    })
    .nullable(),
});
export type PendingChange = z.infer<typeof pendingChangeSchema>;

export const stateSchema = z.object({
  version: z.literal(STATE_VERSION),
  keystore: keystoreSchema,
  pending_change: pendingChangeSchema.nullable(),
  domains: z.array(domainSchema),
  sessions: z.array(sessionSchema),
  /** Messages that were opened: the digest in `message_hash`, the sender's uid, and which message it was. */
  seen: z.array(z.object({ digest: hex32, from: address, uid: hex32, message_id: hex32 })),
  /** When a message that is still in the mailbox was first seen by this client, and the key it is encrypted to. */
  arrivals: z.array(z.object({ message_id: hex32, first_seen: timestamp, message_public_key: hex32 })),
  /** Copies this client made by `message_copy`, and of what: they are no replays. */
  copies: z.array(z.object({ message_id: hex32, original: hex32 })),
  /** The greatest version seen of each storage blob: a lower one is refused (SMIMP 0.1 §5). */
  storage_versions: z.array(
    z.object({ purpose: z.enum(['whitelist', 'blacklist', 'extensions']), object_id: hex32, version: count }),
  ),
});
export type ClientState = z.infer<typeof stateSchema>;

/** What was stored, checked. Throws ProfileError. */
export function parseState(value: unknown): ClientState {
  const state = parseFields(stateSchema, value);
  parseKeystore(state.keystore);
  return state;
}

/** A new identity: master key, storage key and record 0. No server knows of it before `initialize`. */
export function newState(of: { address: Address; profile?: Partial<Profile>; now: Date }): ClientState {
  const { address, now } = of;
  const master = masterKeyPair();
  const profile = { ...EMPTY_PROFILE, ...of.profile };
  const record = createRecord({ address, master, now: now.getTime() / 1000, profile });
  return stateOf({
    address,
    master: toHex<Hex64>(master.secretKey),
    own_history: [{ ...record, added: formatTimestamp(now.getTime() / 1000) }],
    message_keys: [],
    storage_key: toHex(randomBytes(32)),
    pins: [],
    archived_pins: [],
  });
}

/** A keystore, as from a backup, with nothing learnt yet. */
export function stateOf(keystore: ClientState['keystore']): ClientState {
  const nothing = { domains: [], sessions: [], seen: [], arrivals: [], copies: [], storage_versions: [] };
  return { version: STATE_VERSION, keystore, pending_change: null, ...nothing };
}
