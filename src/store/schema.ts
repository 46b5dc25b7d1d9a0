/**
 * The tables, as Kysely sees them. Protocol values keep their protocol form: addresses as text, keys, hashes, nonces and
 * ids as raw bytes, signed dates as the signed text; everything else that is a time is a timestamp of our own.
 *
 * Two owners share the database in the `home` deployment. The *server* half is what any SMIMP server knows (protocol
 * §5). The *client* half is what a user's client knows: secrets (sealed), pins, what was seen, what is queued. Nothing of
 * the server half is trusted by the client half. In the `proxy` deployment the server half is elsewhere; *mirror* tables hold
 * what both sides last agreed on.
 */
import type {
  AlarmTable,
  ContentTable,
  DeliveryEventTable,
  DeliveryTable,
  DomainTable,
  LoginFailureTable,
  MailUserTable,
  MessageReferenceTable,
  OwnRecordTable,
  PinArchiveTable,
  PinTable,
  RemoteSessionTable,
  SecretTable,
  SeenTable,
  SettingTable,
  SubmissionTable,
  ThreadReferenceTable,
} from './schema/client.ts';
import type { DataDirectoryTable, EpochTable } from './schema/epochs.ts';
import type { LegacyIdentityTable, ReturnPathTable } from './schema/gateway.ts';
import type { MirrorFolderTable, MirrorLocalTable, MirrorMessageTable, MirrorTable } from './schema/mirror.ts';
import type { OutboxMessageTable, OutboxTable } from './schema/outbox.ts';
import type { PowContactTable, PowDomainTable, PowRecipientTable, PowSenderTable } from './schema/proof-of-work.ts';
import type { StsPolicyTable } from './schema/relay.ts';
import type { SentCopyTable } from './schema/sent-copies.ts';
import type {
  AccountTable,
  AvatarTable,
  ExpungedTable,
  FlagChangeTable,
  FolderTable,
  KeyIssueTable,
  ListEntryTable,
  LoginTokenTable,
  LostSubscriptionTable,
  MessageKeyTable,
  MessageTable,
  PowNonceTable,
  RecordTable,
  SentEnvelopeTable,
  SessionTable,
} from './schema/server.ts';

export type * from './schema/client.ts';
export type * from './schema/epochs.ts';
export type * from './schema/gateway.ts';
export type * from './schema/mirror.ts';
export type * from './schema/outbox.ts';
export type * from './schema/proof-of-work.ts';
export type * from './schema/relay.ts';
export type * from './schema/sent-copies.ts';
export type * from './schema/server.ts';

export interface Database {
  account: AccountTable;
  record: RecordTable;
  message_key: MessageKeyTable;
  key_issue: KeyIssueTable;
  login_token: LoginTokenTable;
  session: SessionTable;
  pow_nonce: PowNonceTable;
  pow_sender: PowSenderTable;
  pow_domain: PowDomainTable;
  pow_contact: PowContactTable;
  pow_recipient: PowRecipientTable;
  folder: FolderTable;
  lost_subscription: LostSubscriptionTable;
  message: MessageTable;
  sent_envelope: SentEnvelopeTable;
  expunged: ExpungedTable;
  flag_change: FlagChangeTable;
  list_entry: ListEntryTable;
  avatar: AvatarTable;
  mail_user: MailUserTable;
  secret: SecretTable;
  own_record: OwnRecordTable;
  pin: PinTable;
  pin_archive: PinArchiveTable;
  alarm: AlarmTable;
  domain: DomainTable;
  seen: SeenTable;
  message_reference: MessageReferenceTable;
  thread_reference: ThreadReferenceTable;
  content: ContentTable;
  submission: SubmissionTable;
  delivery: DeliveryTable;
  delivery_event: DeliveryEventTable;
  login_failure: LoginFailureTable;
  remote_session: RemoteSessionTable;
  setting: SettingTable;
  epoch: EpochTable;
  data_directory: DataDirectoryTable;
  outbox: OutboxTable;
  sent_copy: SentCopyTable;
  outbox_message: OutboxMessageTable;
  mirror: MirrorTable;
  mirror_folder: MirrorFolderTable;
  mirror_message: MirrorMessageTable;
  mirror_local: MirrorLocalTable;
  legacy_identity: LegacyIdentityTable;
  return_path: ReturnPathTable;
  sts_policy: StsPolicyTable;
}
