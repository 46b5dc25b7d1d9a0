/**
 * How mail of the bridge itself is told from the owner's own, both of which come from herself: by a keyed hash over uid, kind
 * and body in the sealed header. Its key comes from the account key, which never leaves the keystore: neither another client
 * of the owner, which has her master key, nor her server, nor anybody who writes to her can make one.
 */
import { z } from 'zod';
import { NOTICE_KINDS, type NoticeKind } from '../mime/bridge-mail.ts';
import { equal } from '../smimp/crypto.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import type { MessageHeader } from '../smimp/header.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { MailAccount } from './mail-account.ts';

/** `header.original` of such a message. */
const noticeSchema = z.object({
  format: z.literal('smimp-bridge/notice/1'),
  kind: z.enum(NOTICE_KINDS),
  mark: z.string().regex(/^[0-9a-f]{64}$/),
});

const PURPOSE = 'bridge-mail';

type Marked = { uid: Hex32; kind: NoticeKind; body: Uint8Array };

function markOf({ keys }: Pick<MailAccount, 'keys'>, { uid, kind, body }: Marked): Buffer {
  return keys.blind(PURPOSE, pae([text(uid), text(kind), body]));
}

/** `header.original` of a notice. `body`: the bytes that are sealed. */
export function noticeOriginal(account: Pick<MailAccount, 'keys'>, notice: Marked): z.infer<typeof noticeSchema> {
  return { format: 'smimp-bridge/notice/1', kind: notice.kind, mark: toHex(markOf(account, notice)) };
}

/** What kind of notice a message is; null when it is not the bridge's. */
export function readNotice(
  { keys, address }: Pick<MailAccount, 'keys' | 'address'>,
  { header, body }: { header: MessageHeader; body: Uint8Array },
): NoticeKind | null {
  if (header.from !== address || header.to !== address) return null;
  const parsed = noticeSchema.safeParse(header.original);
  if (!parsed.success) return null;
  const { kind, mark } = parsed.data;
  return equal(Buffer.from(mark, 'hex'), markOf({ keys }, { uid: header.uid, kind, body })) ? kind : null;
}
