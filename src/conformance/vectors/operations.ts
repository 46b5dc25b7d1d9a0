/** What each operation of the vector files means in this library: one table, by area and by name. */
import { Buffer } from 'node:buffer';
import {
  type Address,
  addressParts,
  type Domain,
  normalizeAddress,
  parseAddress,
  parsePathSegment,
} from '../../smimp/address.ts';
import { verifyHistory } from '../../smimp/chain.ts';
import * as crypto from '../../smimp/crypto.ts';
import { chooseVersion, parseDiscovery } from '../../smimp/discovery.ts';
import {
  type Hex32,
  parseBase64,
  parseHex,
  parseTimestamp,
  type SignedHash,
  type Timestamp,
  toHex,
} from '../../smimp/encoding.ts';
import {
  compareFingerprint,
  fingerprintOf,
  parseFingerprint,
  parseVerifyUri,
  verifyUri,
} from '../../smimp/fingerprint.ts';
import { decodeLegacy, encodeLegacy } from '../../smimp/gateway.ts';
import { parseStrictJson } from '../../smimp/json.ts';
import { decideLists, listHash } from '../../smimp/lists.ts';
import { masterBoxKey } from '../../smimp/master-key.ts';
import { checkMessagePublicKey, verifyMessageKey } from '../../smimp/message-key.ts';
import { framePayload, paddedLength, padme, unframePayload } from '../../smimp/payload.ts';
import { ciphertextHash, leadingZeroBits, type PowTarget, verifyProof } from '../../smimp/pow.ts';
import { parseRecordData, recordHead, signRecord } from '../../smimp/record.ts';
import { openStorage, type StoragePurpose, sealStorageWithNonce } from '../../smimp/storage.ts';
import * as transcript from '../../smimp/transcript.ts';
import { fieldBytes, type Transcribed, typedDigest } from './digests.ts';
import { build, compare, open, submit } from './messages.ts';
import type { Outcome } from './outcome.ts';

type Operation = (input: never) => Outcome | Promise<Outcome>;

function digestOperation(input: Transcribed): Outcome {
  const pae = transcript.transcript(input.purpose, ...input.fields.map(fieldBytes));
  return { outputs: { pae: toHex(pae), digest: toHex(typedDigest(input)) } };
}

function signOperation(input: Transcribed & { seed: string }): Outcome {
  const digest = typedDigest(input);
  const pair = crypto.masterKeyPair(parseHex(input.seed, 32));
  const signed_hash = transcript.signDigest(pair.secretKey, digest);
  return { outputs: { digest: toHex(digest), public_key: toHex(pair.publicKey), signed_hash } };
}

function verifyOperation(input: Transcribed & { public_key: string; signed_hash: string }): Outcome {
  const digest = typedDigest(input);
  transcript.verifySignedHash(input.signed_hash, digest, input.public_key);
  return { outputs: { digest: toHex(digest) } };
}

function masterSecret({ seed }: { seed: string }): Outcome {
  const pair = crypto.masterKeyPair(parseHex(seed, 32));
  const secret = crypto.masterToBoxSecretKey(pair.secretKey);
  const public_key = toHex(pair.publicKey);
  return { outputs: { public_key, x25519_secret: toHex(secret), x25519_public_key: masterBoxKey(public_key) } };
}

function record(input: { data: string; signer_seed: string; new_seed: string | null }): Outcome {
  const signer = crypto.masterKeyPair(parseHex(input.signer_seed, 32));
  const newKey = input.new_seed === null ? null : crypto.masterKeyPair(parseHex(input.new_seed, 32));
  const signed = signRecord(input.data, signer, newKey);
  return {
    outputs: {
      digest: toHex(transcript.recordDigest(input.data)),
      new_key_digest: newKey && toHex(transcript.recordNewKeyDigest(input.data)),
      record: signed,
      head: recordHead(parseRecordData(input.data).seq, signed),
    },
  };
}

type History = { address: Address; records: unknown; head: unknown };

function history(input: History): Outcome {
  const { digests, heads, masterKeys, currentKey } = verifyHistory(input);
  return { outputs: { digests, heads, master_keys: masterKeys, current_key: currentKey } };
}

function messageKey(input: { address: Address; key: unknown; master_keys: Hex32[]; now: string }): Outcome {
  const now = parseTimestamp(input.now);
  const { digest } = verifyMessageKey({ address: input.address, key: input.key, masterKeys: input.master_keys, now });
  return { outputs: { digest: toHex(digest) } };
}

type Pow = {
  proof_of_work: string | null;
  zero_bits: number;
  login_token_hash: Hex32;
  ciphertext: string;
  recipient: Address;
  message_type: string;
  nonce: Hex32;
};

function pow(input: Pow): Outcome {
  const target: PowTarget = {
    loginTokenHash: input.login_token_hash,
    ciphertextHash: ciphertextHash(Buffer.from(input.ciphertext, 'hex')),
    recipient: input.recipient,
    messageType: input.message_type,
    nonce: input.nonce,
  };
  const { digest, bits } = verifyProof({ proofOfWork: input.proof_of_work, target, zeroBits: input.zero_bits });
  return { outputs: { ciphertext_hash: toHex(target.ciphertextHash), digest: toHex(digest), bits } };
}

type Stored = { key: string; owner: Address; purpose: StoragePurpose; object_id: Hex32 };

function storageObject({ owner, purpose, object_id }: Stored): {
  owner: Address;
  purpose: StoragePurpose;
  objectId: Hex32;
} {
  return { owner, purpose, objectId: object_id };
}

function storageSeal(input: Stored & { nonce: string; version: number; json: string }): Outcome {
  const object = storageObject(input);
  const { version, json } = input;
  const nonce = parseHex(input.nonce, 24);
  const blob = sealStorageWithNonce({ key: parseHex(input.key, 32), object, version, json }, nonce);
  return { outputs: { digest: toHex(transcript.storageDigest({ ...object, version })), blob } };
}

function storageOpen(input: Stored & { blob: string; least_version: number }): Outcome {
  const { blob, least_version: leastVersion } = input;
  return { outputs: openStorage({ key: parseHex(input.key, 32), object: storageObject(input), blob, leastVersion }) };
}

function unframe({ plain }: { plain: string }): Outcome {
  const { header, body } = unframePayload(Buffer.from(plain, 'hex'));
  return { outputs: { header: toHex(header), body: toHex(body) } };
}

function checkBoxKey(input: { public_key: string; master_keys: string[] }): Outcome {
  checkMessagePublicKey(input.public_key, input.master_keys);
  return {};
}

function verifyRaw(input: { public_key: string; digest: string; signed_hash: string }): Outcome {
  transcript.verifySignedHash(input.signed_hash, parseHex(input.digest, 32), input.public_key);
  return {};
}

function decide(input: { owner: Address; sender: Address; whitelist: string[]; blacklist: string[] }): Outcome {
  const { owner, sender } = input;
  return {
    outputs: decideLists({
      owner,
      sender,
      whitelist: new Set(input.whitelist),
      blacklist: new Set(input.blacklist),
    }),
  };
}

type Coded = { legacy: string; address: string; gateway_domain: Domain };
type Printed = { address: Address; signed_hash: SignedHash };

function fingerprint({ address, signed_hash }: Printed): Outcome {
  const digest = toHex(transcript.fingerprintDigest(address, signed_hash));
  return { outputs: { digest, fingerprint: fingerprintOf(address, signed_hash) } };
}

function compareTyped(input: History & { text: string }): Outcome {
  compareFingerprint(verifyHistory(input), input.text);
  return {};
}

function pae({ parts }: { parts: string[] }): Outcome {
  const bytes = transcript.pae(parts.map((part) => Buffer.from(part, 'hex')));
  return { outputs: { pae: toHex(bytes), hash: toHex(crypto.hash(bytes)) } };
}

function frame({ header, body }: { header: string; body: string }): Outcome {
  return { outputs: { plain: toHex(framePayload(Buffer.from(header, 'hex'), Buffer.from(body, 'hex'))) } };
}

/** Every area is a file of the directory; every operation of it is named here. */
export const OPERATIONS: Record<string, Record<string, Operation>> = {
  pae: { pae },
  'strict-json': {
    parse: ({ json }: { json: string }) => ({ outputs: { value: parseStrictJson(Buffer.from(json, 'hex')) } }),
  },
  encodings: {
    hex: ({ text, size }: { text: string; size: number }) => ({ outputs: { bytes: toHex(parseHex(text, size)) } }),
    base64: ({ text }: { text: string }) => ({ outputs: { bytes: toHex(parseBase64(text)) } }),
    timestamp: ({ text }: { text: Timestamp }) => ({ outputs: { unix: parseTimestamp(text) } }),
  },
  addresses: {
    parse: ({ text }: { text: string }) => ({ outputs: addressParts(parseAddress(text)) }),
    normalize: ({ text }: { text: string }) => ({ outputs: { address: normalizeAddress(text) } }),
    path: ({ segment }: { segment: string }) => ({ outputs: { address: parsePathSegment(segment) } }),
  },
  discovery: {
    'base-url': ({ body }: { body: string }) => ({ outputs: { base_url: parseDiscovery(Buffer.from(body, 'hex')) } }),
    version: ({ server, client }: { server: string[]; client: string[] }) => ({
      outputs: { version: chooseVersion(server, client) },
    }),
  },
  transcripts: { digest: digestOperation, sign: signOperation, verify: verifyOperation },
  'cross-context': { verify: verifyOperation },
  ed25519: {
    verify: verifyRaw,
    'master-key': ({ public_key }: { public_key: string }) => ({
      outputs: { x25519_public_key: masterBoxKey(public_key) },
    }),
    'master-secret': masterSecret,
  },
  x25519: {
    'message-public-key': checkBoxKey,
    'message-secret': ({ secret }: { secret: string }) => ({
      outputs: { public_key: toHex(crypto.messagePublicKey(parseHex(secret, 32))) },
    }),
  },
  histories: { verify: history, record },
  pins: { compare },
  'message-keys': { verify: messageKey },
  pow: {
    'zero-bits': ({ digest }: { digest: string }) => ({ outputs: { bits: leadingZeroBits(parseHex(digest, 32)) } }),
    verify: pow,
  },
  padme: {
    padme: ({ length }: { length: number }) => ({ outputs: { padme: padme(length), total: paddedLength(length) } }),
    frame,
    unframe,
  },
  messages: { build, open, submit },
  storage: { seal: storageSeal, open: storageOpen },
  lists: {
    hash: (entry: { owner: Address; kind: 'address' | 'domain'; value: string }) => ({
      outputs: { hash: listHash(entry) },
    }),
    decide,
  },
  gateway: {
    encode: ({ legacy, gateway_domain }: Coded) => ({ outputs: { address: encodeLegacy(legacy, gateway_domain) } }),
    decode: ({ address, gateway_domain }: Coded) => ({ outputs: { legacy: decodeLegacy(address, gateway_domain) } }),
  },
  fingerprints: {
    fingerprint,
    read: ({ text }: { text: string }) => ({ outputs: { fingerprint: parseFingerprint(text) } }),
    compare: compareTyped,
    uri: (input: History) => ({ outputs: { uri: verifyUri(verifyHistory(input)) } }),
    'parse-uri': ({ uri }: { uri: string }) => ({ outputs: parseVerifyUri(uri) }),
  },
};
