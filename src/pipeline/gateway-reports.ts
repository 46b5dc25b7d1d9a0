/**
 * Reports at a gateway (SMIMP 0.1 §6): to the SMIMP sender of mail that could not be handed to the old internet, as SMIMP mail
 * from the legacy identity it was meant for; and to the legacy sender of mail that could not be delivered by SMIMP, by SMTP
 * under the null reverse path. Each is a submission made in the transaction that makes it true, and marked: nothing reports
 * on it.
 */
import { type AccountKeys, type Keystore, KeystoreError } from '../keystore/keystore.ts';
import { renderMessage } from '../mime/from-email.ts';
import { readLegacyData } from '../mime/legacy-data.ts';
import type { NoticeInput } from '../mime/notice.ts';
import { withoutInside } from '../mime/outgoing.ts';
import { type Address, addressParts, type Domain, toMailbox } from '../smimp/address.ts';
import { randomBytes } from '../smimp/crypto.ts';
import type { EmailBody } from '../smimp/email.ts';
import { emailBytes } from '../smimp/email-bytes.ts';
import { formatTimestamp, type Hex32, parseTimestamp, toHex } from '../smimp/encoding.ts';
import { decodeLegacy } from '../smimp/gateway.ts';
import { paddedLength } from '../smimp/payload.ts';
import { notify, type Tx } from '../store/database.ts';
import type { Delivery } from '../store/outbound.ts';
import { insertSubmission, type NewSubmission, submissionContent } from '../store/submissions.ts';
import { BUILD, type GatewayTell, original, paragraphs } from './bounce.ts';
import { type Explanation, explain, explainFinal, type NoticeKind } from './reasons.ts';
import { openRelayContent, type RelayFacts, sealRelayContent } from './relay-content.ts';
import { returnPathOf } from './return-path.ts';
import type { Notice } from './settle.ts';
import { sealContent } from './submission-content.ts';

const ID_BYTES = 32;

type About = { tx: Tx; keys: AccountKeys; delivery: Delivery; notice: Notice; now: Date };

export function createGatewayTell(options: { keystore: Keystore; domain: Domain; giveUpAfterMs: number }): GatewayTell {
  const { keystore, domain, giveUpAfterMs } = options;

  const send = async (
    { tx, delivery, now }: About,
    report: Pick<NewSubmission, 'uid' | 'sealed'> & Partial<NewSubmission>,
  ) => {
    const { deliveryIds } = await insertSubmission(tx, {
      accountId: delivery.account_id,
      digest: randomBytes(ID_BYTES),
      retiredDigest: randomBytes(ID_BYTES),
      messageType: 'email',
      sizeBytes: paddedLength(report.sealed.length),
      recipients: [delivery.recipient],
      now,
      deadline: new Date(now.getTime() + giveUpAfterMs),
      repeatsSince: now,
      isReport: true,
      ...report,
    });
    for (const id of deliveryIds) await notify(tx, 'delivery_ready', id);
  };

  /** Alice wrote to Bob, and Bob's server does not take it. */
  const tellSender = async (about: About, sender: Address): Promise<void> => {
    const { keys, delivery } = about;
    const facts = await factsOf(about);
    const recipient = delivery.recipient as Address;
    const mailbox = facts?.to ?? decodeLegacy(recipient, domain);
    const uid = toHex<Hex32>(delivery.uid);
    const told = {
      sender,
      recipient,
      mailbox,
      reporter: domain,
      original: originalOf(facts, recipient, uid, delivery),
    };
    const body = reportBody(about, told);
    const newUid = randomBytes(ID_BYTES);
    const sealed = sealContent(keys, newUid, emailBytes(asAnswer(body)));
    await send(about, { uid: newUid, sealed, recipients: [sender] });
  };

  /** Bob wrote to Alice, and Alice's server does not take it. */
  const tellLegacy = async (about: About, path: string): Promise<void> => {
    const { tx, keys, delivery, now } = about;
    const recipient = delivery.recipient as Address;
    const told = { sender: keys.address, recipient, reporter: domain, original: await original(tx, keys, delivery) };
    const body = reportBody(about, told);
    const uid = randomBytes(ID_BYTES);
    const header = { from: keys.address, to: keys.address, uid: toHex<Hex32>(uid), sent: body.date_sent };
    const content = { type: 'email', value: body } as const;
    const rendered = renderMessage({ header, content, notice: about.notice.kind, gatewayDomain: domain });
    const facts: RelayFacts = {
      ...{ v: 1, own: true, from: null, to: path, refused: null, subject: body.subject, message_id: null },
      ...{ thread_id: body.thread_id, date_sent: formatTimestamp(seconds(now)) },
    };
    const sealed = sealRelayContent(keys, uid, { facts, message: withoutInside(rendered) });
    await send(about, { uid, sealed, recipients: [keys.address], stage: 'relay', relayedFor: recipient });
  };

  return async (tx, delivery, notice, now) => {
    const keys = await keystore.open(delivery.account_id, tx);
    if (addressParts(keys.address).domain !== domain) return false;
    const about = { tx, keys, delivery, notice, now };
    if (delivery.relayed_for !== null) await tellSender(about, delivery.relayed_for as Address);
    else if (TOLD_TO_LEGACY.has(notice.kind)) {
      const path = await returnPathOf(tx, keys, delivery.submission_id);
      if (path !== null) await tellLegacy(about, path);
    }
    return true;
  };
}

/** No program answers it (RFC 3834 §2). */
function asAnswer(body: EmailBody): EmailBody {
  const legacy = readLegacyData(body.extensions_data);
  const fields = [{ name: 'auto-submitted' as const, value: 'auto-replied' }];
  return { ...body, extensions_data: { smimp_bridge: { ...legacy, fields } } };
}

/** That somebody's identity is looked at again is no business of people outside. */
const TOLD_TO_LEGACY: ReadonlySet<NoticeKind> = new Set<NoticeKind>(['failed', 'delayed']);

type Told = Pick<NoticeInput, 'sender' | 'recipient' | 'mailbox' | 'reporter' | 'original'>;

function reportBody({ delivery, notice, now }: About, told: Told): EmailBody {
  const { kind, reason, said } = notice;
  const mailbox = told.mailbox ?? toMailbox(told.recipient);
  const explanation = kind === 'failed' ? explainFinal(reason, mailbox) : explain(reason, mailbox);
  return BUILD[kind]({
    ...told,
    ...saying(explanation, notice),
    explanation: paragraphs(kind, mailbox, withWords(explanation, said?.text ?? null), { delivery, now }),
    arrived: seconds(delivery.submitted_at),
    now: seconds(now),
    until: kind === 'failed' ? null : seconds(delivery.deadline_at),
  });
}

/** The other server's own words and code, where it gave any. */
function saying(
  explanation: Explanation,
  { kind, said }: Notice,
): Pick<NoticeInput, 'status' | 'diagnostic' | 'diagnosticType'> {
  if (said == null) return { status: explanation.status, diagnostic: explanation.what };
  const status = kind === 'failed' ? said.status.replace(/^4/, '5') : said.status;
  return { status, diagnostic: said.text, diagnosticType: 'smtp' };
}

function withWords(explanation: Explanation, words: string | null): Explanation {
  return words === null ? explanation : { ...explanation, what: `${explanation.what} It said: ${words}` };
}

async function factsOf({ tx, keys, delivery }: About): Promise<RelayFacts | null> {
  const sealed = await submissionContent(tx, delivery.submission_id);
  if (sealed === null) return null;
  try {
    return openRelayContent(keys, delivery.uid, sealed).facts;
  } catch (error) {
    if (error instanceof KeystoreError && error.code === 'damaged') return null;
    throw error;
  }
}

function originalOf(
  facts: RelayFacts | null,
  recipient: Address,
  uid: Hex32,
  delivery: Delivery,
): NoticeInput['original'] {
  const date_sent = facts?.date_sent ?? formatTimestamp(seconds(delivery.submitted_at));
  const body = { subject: facts?.subject ?? '', date_sent, to: [recipient], thread_id: facts?.thread_id ?? uid };
  return { uid, body, messageId: facts?.message_id ?? null, date: parseTimestamp(date_sent) };
}

const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);
