/** Who somebody is (SMIMP 0.1 §2, §3): finding servers, looking at histories, pinning, checking fingerprints. */
import type { Contact, ContactHistory } from '../identity/contact.ts';
import { type Examined, examine } from '../identity/examine.ts';
import { checkFingerprint } from '../identity/fingerprint-check.ts';
import { createHistories } from '../identity/histories.ts';
import { confirmHead, lookAt } from '../identity/look.ts';
import { lookAtOwn } from '../identity/own-look.ts';
import { type KeptPin, keepFork } from '../identity/pins.ts';
import type { HomeClient } from '../remote/home.ts';
import type { Discovery, DiscoveryOutcome } from '../remote/look-up.ts';
import type { Address, Domain } from '../smimp/address.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { historyIdentity, type PinState } from '../smimp/pin.ts';
import { ownHistoryOf } from './keystore-data.ts';
import type { Memory } from './memory.ts';

export interface People {
  /** The server of a domain. A domain once seen speaking SMIMP never counts as one that does not. */
  findServer(domain: Domain): Promise<DiscoveryOutcome>;
  /**
   * Somebody as verified and compared with the pin; pins whoever is new. `history` is there exactly when sending is allowed;
   * else `reason` says why it is not. `fresh`: not from an answer that was given within the last minute.
   */
  resolve(address: Address, options?: { fresh?: boolean }): Promise<Contact>;
  /** The same, if `head` (of `get_message_key`) is that of the verified history, fetched again if need be. */
  confirmHead(address: Address, head: Hex32): Promise<Contact>;
  /** Everything the server shows, verified and compared with the pin, without pinning or changing anything. */
  examine(address: Address): Promise<Examined>;
  /**
   * Checks a fingerprint (as read out over the phone, typed in any case) or a scanned `smimp-verify:` URI, and pins what the
   * server shows as verified. The only release from FORKED and REPLACED. Throws IdentityError.
   */
  verify(address: Address, fingerprintOrUri: string): Promise<void>;
  /** What is pinned of somebody, with the state as last seen; null when nothing is. */
  pinned(address: Address): Promise<KeptPin | null>;
  /** Everybody pinned. */
  contacts(): Address[];
  /**
   * What one's own server shows of oneself, against one's own copy. OK: the same. UNAVAILABLE: nobody can say. Anything else
   * is an alarm: the server lies to others, or somebody else has the master key.
   */
  checkSelf(): Promise<{ state: PinState; evidence: object | null }>;
  /** A message signed by somebody shows a head that its server hides: FORKED until a fingerprint releases it. */
  reportFork(address: Address, evidence: object): Promise<void>;
}

export function createPeople(options: {
  memory: Memory;
  discovery: Discovery;
  home: HomeClient;
  clock: () => Date;
  /** Where one's own account lives. */
  ownBaseUrl: () => Promise<BaseUrl>;
}): People {
  const { memory, discovery, clock, ownBaseUrl } = options;
  const histories = createHistories(options);
  const at = { book: memory.pins, histories, clock };

  const resolve: People['resolve'] = async (address, { fresh = false } = {}) => {
    if (address === memory.address) return self(await ownBaseUrl());
    return (await lookAt(at, { contact: address, fresh })).contact;
  };

  /** One's own history is one's own copy, never the server's. */
  const self = (baseUrl: BaseUrl): Contact => {
    const { address } = memory;
    const state = { state: 'OK', sending: 'allowed', keyChanged: false, reason: null } as const;
    return { address, ...state, history: ownIdentity(memory), baseUrl };
  };

  return {
    findServer: (domain) => discovery.discover(domain),
    resolve,
    confirmHead: (contact, head) => confirmHead((fresh) => resolve(contact, { fresh }), { contact, head }),
    examine: async (address) => examine(histories, { address, pinned: await memory.pins.find(address), now: clock() }),
    async verify(contact, typed) {
      await checkFingerprint(at, { contact, typed });
    },
    pinned: (address) => memory.pins.find(address),
    contacts: () => memory.contacts(),
    async checkSelf() {
      const { history } = ownHistoryOf({ address: memory.address, own_history: memory.identity.own_history });
      const { state, evidence } = await lookAtOwn(histories, history, clock().getTime() / 1000);
      return { state, evidence };
    },
    async reportFork(address, evidence) {
      await keepFork(memory.pins, { address, evidence, now: clock() });
    },
  };
}

/** Oneself, as a sender or recipient is known. */
export function ownIdentity(memory: Memory): ContactHistory {
  const { address, identity } = memory;
  const { history, addedAt } = ownHistoryOf({ address, own_history: identity.own_history });
  const { currentKey, head, seq } = history;
  return { ...historyIdentity(history, addedAt), currentKey, head, seq };
}
