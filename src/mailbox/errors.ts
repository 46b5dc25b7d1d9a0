/** Why the mailbox could not do what was asked. */
export type MailboxErrorCode =
  | 'no-folder'
  | 'folder-exists'
  /** Folders inside it must go first. */
  | 'has-children'
  /** The inbox cannot be made, removed or moved below another folder. */
  | 'inbox'
  | 'bad-folder-name'
  | 'too-deep'
  | 'too-many-folders'
  /** Another folder has that special use, or there is no such use here. */
  | 'special-use'
  | 'too-many-keywords'
  /** It says how far a sender is known; only the server sets it. */
  | 'trust-keyword'
  /** Messages left the folder meanwhile. */
  | 'expunged'
  /** The folder shows what is no mail of the mailbox; this cannot be done with it. */
  | 'virtual'
  /** A delivery may have been handed over already: it is not cancelled any more. */
  | 'handed-over'
  /** The database was restored from an old copy (docs/backups.md): nothing known of the folder is true any more. */
  | 'renewed'
  /** Stored content does not open. */
  | 'unreadable'
  | 'too-large'
  /** The mailbox may hold no more. */
  | 'over-quota';

export class MailboxError extends Error {
  override readonly name = 'MailboxError';
  readonly code: MailboxErrorCode;

  constructor(code: MailboxErrorCode, options: { cause?: unknown } = {}) {
    super(code, options);
    this.code = code;
  }
}
