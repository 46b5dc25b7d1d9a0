/** The SMIMP 0.1 client as a library: docs/client.md. The protocol core is `smimp-bridge/smimp`. */
export {
  type Contact,
  type ContactHistory,
  type ContactReason,
  IdentityError,
  type IdentityErrorCode,
} from '../identity/contact.ts';
export { type Examined, type TimelineEntry, timeline } from '../identity/examine.ts';
export type { KeptPin } from '../identity/pins.ts';
export { MintError, type MintErrorCode } from '../pipeline/mint-error.ts';
export { type Disposition, RemoteError, type RemoteErrorCode } from '../remote/errors.ts';
export type { DiscoveryOutcome } from '../remote/look-up.ts';
export {
  type BackupCost,
  BackupError,
  type BackupErrorCode,
  DEFAULT_BACKUP_COST,
  MAX_BACKUP_BYTES,
  openBackup,
  sealBackup,
} from './backup.ts';
export { type ClientOptions, createClient, type NetworkOptions, type SmimpClient } from './client.ts';
export { ClientError, type ClientErrorCode } from './errors.ts';
export type { FollowOptions } from './following.ts';
export type { Keys, Maintained } from './keys.ts';
export { type KeystoreData, parseKeystore } from './keystore-data.ts';
export type { SaveState } from './memory.ts';
export type { HeldReason, Opening } from './opening.ts';
export type { People } from './people.ts';
export type { Place, Reading, ReadMessage, ReadPage } from './reading.ts';
export {
  type DeliverOptions,
  type Delivery,
  type Draft,
  type Outgoing,
  outgoingSchema,
  type Refusal,
  type Sealing,
  type Sending,
} from './sending.ts';
export {
  newSiteToken,
  type Origin,
  parseOrigin,
  parseSiteToken,
  type SiteAuthAnswer,
  SiteAuthError,
  type SiteAuthErrorCode,
  signSiteAuth,
  verifySiteAuth,
} from './site-auth.ts';
export { type ClientState, newState, parseState, stateOf } from './state.ts';
export type { ListedEntry, ListSubject, Storage } from './storage.ts';
