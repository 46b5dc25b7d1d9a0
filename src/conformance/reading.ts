/** Opening what arrived, with every check that a client makes (SMIMP 0.1 §4.4). */
import { verifyHistory } from '../smimp/chain.ts';
import { parseStoredEnvelope } from '../smimp/envelope.ts';
import { ProfileError } from '../smimp/errors.ts';
import { openMessage } from '../smimp/open.ts';
import { recordHead } from '../smimp/record.ts';
import { unmet } from './errors.ts';
import { lastRecord, type Member } from './member.ts';

function historyOf({ address, records }: Member) {
  return verifyHistory({ address, records, head: recordHead(records.length - 1, lastRecord({ records })) });
}

/** The text of a short message to `me`. Throws `unmet` with the code of the first check that fails. */
export async function decodeStored(input: {
  stored: unknown;
  me: Member;
  sender: Member;
  now: number;
}): Promise<string | null> {
  const { me, sender, now } = input;
  const known = historyOf(sender);
  try {
    const opened = await openMessage({
      me: me.address,
      envelope: parseStoredEnvelope(input.stored),
      messageSecret: (publicKey) => me.secrets.get(publicKey),
      sender: { ...known, firstSeen: known.records.map(() => now) },
      myHistory: historyOf(me),
      firstSeen: now,
      seen: { digest: () => false, uid: () => false },
    });
    return opened.content.type === 'short-message' ? opened.content.value.message : null;
  } catch (error) {
    if (error instanceof ProfileError) throw unmet('a message that verifies and opens', error.code);
    throw error;
  }
}
