/**
 * The last stage of mail that leaves a gateway for the old internet (SMIMP 0.1 §6): signed by DKIM, handed to a server of the
 * recipient's domain by SMTP. Who may send is looked at again here, because the configuration may have changed since.
 *
 * Killed between the other server's reply and the commit, it sends once more: the old internet has nothing that would tell it.
 * Both copies have the same Message-ID.
 */
import type { Events } from '../events.ts';
import { type DkimKeys, signed } from '../legacy/dkim.ts';
import type { Mailer } from '../legacy/mailer.ts';
import { isNamed, type SenderRule } from '../legacy/senders.ts';
import { type Address, addressParts, type Domain } from '../smimp/address.ts';
import { mailboxDomain } from '../smimp/gateway.ts';
import type { Db } from '../store/database.ts';
import { spokenDomains } from '../store/domains.ts';
import { submissionContent } from '../store/submissions.ts';
import { openRelayContent, type RelayFacts } from './relay-content.ts';
import type { Stage, StageOutcome } from './stage.ts';

/** A gateway, as the stages see it. */
export interface Gateway {
  readonly domain: Domain;
  /** SMIMP domains and addresses that mail is relayed for, exactly. */
  readonly senders: readonly SenderRule[];
  /** Domains that are the gateway's own business: mail to them never leaves. */
  readonly ownDomains: readonly string[];
  readonly dkim: DkimKeys;
  readonly mailer: Mailer;
}

const refuse = (reason: Extract<StageOutcome, { kind: 'fail' }>['reason']): StageOutcome => ({ kind: 'fail', reason });

/** `gateway` null: this process is none, whatever it was when the message came. */
export function createRelay(options: { db: Db; gateway: Gateway | null; events: Events; clock: () => Date }): Stage {
  const { db, gateway, events, clock } = options;

  const refusal = async (at: Gateway, facts: RelayFacts, sender: Address): Promise<StageOutcome | null> => {
    if (facts.refused !== null) return refuse(facts.refused);
    if (facts.own) return null;
    if (!isNamed(at.senders, sender)) return refuse('relay-denied');
    const domain = mailboxDomain(facts.to);
    const speaks = at.ownDomains.includes(domain) || (await spokenDomains(db, [domain])).length > 0;
    return speaks ? refuse('speaks-smimp') : null;
  };

  return async (work) => {
    const { delivery, sender, signal } = work;
    if (gateway === null) return refuse('relay-denied');
    const sealed = await submissionContent(db, delivery.submission_id);
    if (sealed === null) return refuse('content-lost');
    const { facts, message } = openRelayContent(await work.keys(), delivery.uid, sealed);
    const refused = await refusal(gateway, facts, sender);
    if (refused !== null) return refused;
    const { domain } = facts.own ? gateway : addressParts(sender);
    const ready = await signed(gateway.dkim, message, { domain, now: clock() });
    const { encrypted, verified } = await gateway.mailer.send(
      { from: facts.from, to: facts.to, message: ready },
      signal,
    );
    events.relayed({ deliveryId: delivery.id, encrypted, verified });
    return { kind: 'done', messageId: null, detail: { encrypted, verified, size_bytes: ready.length } };
  };
}
