/**
 * Looking at somebody without pinning: what the server shows, verified, and what it would mean against a pin (SMIMP 0.1 §3).
 * Nothing is kept, and no message of anybody is opened or fetched: nobody learns more than that a history was asked for.
 */
import type { Address } from '../smimp/address.ts';
import type { VerifiedHistory } from '../smimp/chain.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Fingerprint, historyFingerprint, verifyUri } from '../smimp/fingerprint.ts';
import { comparePin, type PinState } from '../smimp/pin.ts';
import type { ContactReason } from './contact.ts';
import type { Histories } from './histories.ts';
import type { KeptPin } from './pins.ts';

export type Examined = {
  readonly address: Address;
  /** Where its server is, as far as known. */
  readonly baseUrl: BaseUrl | null;
  /** What this answer means against the pin; NEW when there is none. */
  readonly state: PinState;
  readonly reason: ContactReason | null;
  /** What the server shows now, if it verifies. */
  readonly shown: {
    readonly history: VerifiedHistory;
    readonly fingerprint: Fingerprint;
    /** For a QR code. */
    readonly uri: string;
  } | null;
  /** What was pinned before; it stays as it is. */
  readonly pinned: KeptPin | null;
};

export async function examine(
  histories: Histories,
  ask: { address: Address; pinned: KeptPin | null; now: Date },
): Promise<Examined> {
  const { address, pinned, now } = ask;
  const look = await histories.look({ address, from: 0, fresh: true });
  const { baseUrl } = look;
  if (look.kind === 'invalid') {
    return { address, baseUrl, state: 'INVALID', reason: look.reason, shown: null, pinned };
  }
  if (look.kind !== 'answer') {
    const reason = look.kind !== 'unavailable' && pinned === null ? look.kind : 'unavailable';
    return { address, baseUrl, state: 'UNAVAILABLE', reason, shown: null, pinned };
  }
  const pin = pinned?.pin ?? null;
  const { state, reason, history } = comparePin({ address, answer: look.reply, pin, now: now.getTime() / 1000 });
  const shown = history && { history, fingerprint: historyFingerprint(history), uri: verifyUri(history) };
  return { address, baseUrl, state, reason, shown, pinned };
}

/** One change of an identity, for people. */
export type TimelineEntry = {
  readonly seq: number;
  readonly date: string;
  /** `created`, or which members changed. */
  readonly changed: readonly ('created' | 'public_key' | 'name' | 'web_site_url' | 'profiles' | 'additional_data')[];
  readonly publicKey: string;
  readonly name: string | null;
};

const MEMBERS = ['public_key', 'name', 'web_site_url', 'profiles', 'additional_data'] as const;

/** What changed with each record. */
export function timeline({ data }: VerifiedHistory): TimelineEntry[] {
  return data.map((record, seq) => {
    const before = data[seq - 1];
    const differs = (member: (typeof MEMBERS)[number]): boolean =>
      JSON.stringify(record[member]) !== JSON.stringify(before?.[member]);
    const changed = before === undefined ? (['created'] as const) : MEMBERS.filter(differs);
    const { date_of_change: date, public_key: publicKey, name } = record;
    return { seq, date, changed, publicKey, name };
  });
}
