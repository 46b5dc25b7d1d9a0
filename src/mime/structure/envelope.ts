/** ENVELOPE of a header (RFC 3501 §7.4.2). RFC 2047 words stay encoded. */
import { parseAddressList } from './address-list.ts';
import type { ByteString, Envelope, EnvelopeAddress, StructureLimits } from './types.ts';

export const ENVELOPE_FIELDS = [
  'date',
  'subject',
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'in-reply-to',
  'message-id',
] as const;

/** `fields`: unfolded values by lower-case name. Address fields that occur more than once are joined. */
export function buildEnvelope(fields: ReadonlyMap<string, readonly ByteString[]>, limits: StructureLimits): Envelope {
  const first = (name: string): ByteString | null => fields.get(name)?.[0] ?? null;
  const addresses = (name: string): EnvelopeAddress[] => {
    const value = (fields.get(name) ?? []).join(',').slice(0, limits.fieldBytes);
    return parseAddressList(value, limits.addresses);
  };
  const from = addresses('from');
  const orFrom = (list: EnvelopeAddress[]): EnvelopeAddress[] => (list.length === 0 ? from : list);
  return {
    date: first('date'),
    subject: first('subject'),
    from,
    sender: orFrom(addresses('sender')),
    replyTo: orFrom(addresses('reply-to')),
    to: addresses('to'),
    cc: addresses('cc'),
    bcc: addresses('bcc'),
    inReplyTo: first('in-reply-to'),
    messageId: first('message-id'),
  };
}
