/** The SMIMP 0.1 protocol core as a library: pure functions, no I/O, no clock. */
export * from './address.ts';
export * from './api.ts';
export * from './boxes.ts';
export * from './chain.ts';
export {
  equal,
  hash,
  keyedHash,
  type MasterKeyPair,
  type MessageKeyPair,
  masterKeyPair,
  messageKeyPair,
  messagePublicKey,
  randomBytes,
  secretOpen,
  secretSeal,
  wipe,
} from './crypto.ts';
export * from './discovery.ts';
export * from './email.ts';
export * from './encoding.ts';
export * from './envelope.ts';
export * from './errors.ts';
export { parseFields } from './fields.ts';
export * from './fingerprint.ts';
export * from './gateway.ts';
export * from './header.ts';
export * from './json.ts';
export * from './json-value.ts';
export * from './lists.ts';
export { checkMasterKey, masterBoxKey } from './master-key.ts';
export * from './message-key.ts';
export * from './open.ts';
export * from './payload.ts';
export * from './pin.ts';
export * from './pow.ts';
export * from './record.ts';
export * from './storage.ts';
export * from './submit.ts';
export * from './transcript.ts';
