/** The digest of every purpose (SMIMP 0.1 §1.3), from the fields as the vectors name them. */
import { Buffer } from 'node:buffer';
import { parseHex } from '../../smimp/encoding.ts';
import { powDigest } from '../../smimp/pow.ts';
import * as transcript from '../../smimp/transcript.ts';

export type Field = { name: string; type: 'text' | 'hex' | 'int'; value: string | number };
type Fields = Record<string, never>;

/** The typed digest function of every purpose, with the names that the vectors give to its fields. */
const DIGESTS: Record<transcript.Purpose, (f: Fields) => Uint8Array> = {
  record: (f) => transcript.recordDigest(f.data as never),
  'record-new-key': (f) => transcript.recordNewKeyDigest(f.data as never),
  head: (f) => transcript.headDigest(f.seq as never, f.signed_hash as never),
  'message-key': (f) =>
    transcript.messageKeyDigest({
      address: f.address as never,
      kind: f.kind as never,
      masterKey: f.master_pk as never,
      publicKey: f.key_pk as never,
      created: f.created as never,
      expires: f.expires as never,
    }),
  login: (f) =>
    transcript.loginDigest({
      baseUrl: f.base_url as never,
      address: f.address as never,
      masterKey: f.master_pk as never,
      token: f.token as never,
    }),
  'login-token': (f) => transcript.loginTokenDigest(f.token as never),
  pow: (f) =>
    powDigest(
      {
        loginTokenHash: f.login_token_hash as never,
        ciphertextHash: parseHex(f.ciphertext_hash as never, 32),
        recipient: f.recipient as never,
        messageType: f.message_type as never,
        nonce: f.nonce as never,
      },
      parseHex(f.value as never, 32),
    ),
  message: (f) =>
    transcript.messageDigest({
      ciphertext: Buffer.from(f.ciphertext as never, 'hex'),
      messageType: f.message_type as never,
      algorithm: f.algorithm as never,
      messagePublicKey: f.message_pk as never,
      proofOfWork: f.pow as never,
      nonce: f.nonce as never,
      loginTokenHash: f.login_token_hash as never,
      sender: f.sender as never,
      recipient: f.recipient as never,
      senderPublicKey: f.sender_pk as never,
    }),
  avatar: (f) =>
    transcript.avatarDigest({
      address: f.address as never,
      contentType: f.content_type as never,
      date: f.date as never,
      image: Buffer.from(f.image as never, 'hex'),
    }),
  list: (f) => transcript.listDigest({ owner: f.owner as never, kind: f.kind as never, value: f.value as never }),
  initialize: (f) => transcript.initializeDigest(f.address as never, f.code as never),
  storage: (f) =>
    transcript.storageDigest({
      owner: f.owner as never,
      purpose: f.purpose as never,
      objectId: f.object_id as never,
      version: f.version as never,
    }),
  fingerprint: (f) => transcript.fingerprintDigest(f.address as never, f.signed_hash as never),
  'site-auth': (f) =>
    transcript.siteAuthDigest({
      origin: f.origin as never,
      address: f.address as never,
      masterKey: f.master_pk as never,
      token: f.token as never,
    }),
};

/** How a field enters the transcript. */
export function fieldBytes(field: Field): Uint8Array {
  if (field.type === 'int') return transcript.le64(Number(field.value));
  return Buffer.from(String(field.value), field.type === 'hex' ? 'hex' : 'utf8');
}

export type Transcribed = { purpose: transcript.Purpose; fields: Field[] };

export function typedDigest({ purpose, fields }: Transcribed): Uint8Array {
  return DIGESTS[purpose](Object.fromEntries(fields.map(({ name, value }) => [name, value])) as Fields);
}
