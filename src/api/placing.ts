/** Where a message lies and what its owner keeps with it (SMIMP 0.1 §5): `message_move`, `message_copy`, `message_extensions`. */
import { MAX_EXTENSIONS_BYTES } from '../smimp/api.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { type Hex32, parseBase64, toHex } from '../smimp/encoding.ts';
import type { Tx } from '../store/database.ts';
import { findPlace, folderId, hasFolderNamed, setExtensions } from '../store/envelopes.ts';
import { lockMailbox } from '../store/folders.ts';
import { FREE_NOTES_BYTES } from '../store/quota.ts';
import { copyMessages, moveMessages } from '../store/transfers.ts';
import { type ApiServices, type Call, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';
import { requireRoom } from './quota.ts';

const ID_BYTES = 32;
const REVISION_TAG = /^"(0|[1-9][0-9]{0,15})"$/;

/** The folder of that type and name, or the inbox. Throws `wrong_type` when it is of another type, `unknown_folder`. */
export async function targetFolder(
  tx: Tx,
  target: { accountId: number; messageType: string; name: string | null },
): Promise<number> {
  const id = await folderId(tx, target);
  if (id !== null) return id;
  const { accountId, name } = target;
  throw new ApiError(name !== null && (await hasFolderNamed(tx, accountId, name)) ? 'wrong_type' : 'unknown_folder');
}

type Placing = { accountId: number; messageId: Buffer; toFolder: number };

export function placingHandlers(services: ApiServices): Handlers {
  const { db } = services;
  /** Finds message and folder, holding the mailbox, and places. */
  const place = <Placed>(
    call: Pick<Call<'message_move' | 'message_copy'>, 'owner' | 'params' | 'request'>,
    work: (tx: Tx, placing: Placing) => Promise<Placed>,
  ): Promise<Placed> =>
    db.transaction().execute(async (tx) => {
      const { accountId } = ownerOf(call);
      const messageId = Buffer.from(call.params.id, 'hex');
      await lockMailbox(tx, accountId);
      const found = await findPlace(tx, accountId, messageId);
      if (found === undefined) throw new ApiError('unknown_message');
      const { message_type: messageType } = found;
      const toFolder = await targetFolder(tx, { accountId, messageType, name: call.request.folder_name });
      return work(tx, { accountId, messageId, toFolder });
    });

  return {
    message_move: async (call) => ({
      body: await place(call, async (tx, { accountId, messageId, toFolder }) => {
        const [moved] = await moveMessages(tx, accountId, { chosen: { messageId }, toFolder, now: call.now });
        if (moved === undefined) throw new ApiError('unknown_message');
        return { message_id: call.params.id, seq: moved.toSeq, revision: moved.revision };
      }),
    }),
    message_copy: async (call) => ({
      body: await place(call, async (tx, { accountId, messageId, toFolder }) => {
        const copyIds = [randomBytes(ID_BYTES)];
        const [copy] = await copyMessages(tx, accountId, { chosen: { messageId }, toFolder, copyIds, now: call.now });
        if (copy === undefined) throw new ApiError('unknown_message');
        // The copy is counted by now; what is refused is undone.
        await requireRoom(tx, services, { accountId, addBytes: 0 });
        return { message_id: toHex<Hex32>(copy.copyId), seq: copy.toSeq, revision: copy.revision };
      }),
    }),
    message_extensions: async (call) => {
      const { extensions_data: blob } = call.request;
      const data = blob === null ? null : parseBase64(blob);
      if (data !== null && data.length > MAX_EXTENSIONS_BYTES) throw new ApiError('too_large');
      const ifRevision = revisionOf(call.ifMatch);
      const { accountId } = ownerOf(call);
      const messageId = Buffer.from(call.params.id, 'hex');
      const set = await db.transaction().execute(async (tx) => {
        await lockMailbox(tx, accountId);
        const changed = await setExtensions(tx, { accountId, messageId, data, ifRevision });
        // It is counted by now; what is refused is undone.
        if ((data?.length ?? 0) > FREE_NOTES_BYTES) await requireRoom(tx, services, { accountId, addBytes: 0 });
        return changed;
      });
      if (set === 'unknown') throw new ApiError('unknown_message');
      if (set === 'changed') throw new ApiError('precondition_failed');
      return { body: { revision: set } };
    },
  };
}

/** The one revision that `If-Match` names; a tag of any other form names none (RFC 9110 §13.1.1). */
function revisionOf(ifMatch: string | null): number | null {
  if (ifMatch === null) throw new ApiError('precondition_required');
  const digits = REVISION_TAG.exec(ifMatch)?.[1];
  return digits === undefined ? null : Number(digits);
}
