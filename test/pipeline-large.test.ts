/** Large messages: the same bytes as the simple way makes, read back whole, and memory given back when it is used up. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freeMemory } from '../src/memory/free-memory.ts';
import { envelopeJson } from '../src/pipeline/large-json.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import { type EmailBody, serializeBody } from '../src/smimp/email.ts';
import { emailBytes } from '../src/smimp/email-bytes.ts';
import {
  type Hex24,
  type Hex32,
  isBase64,
  parseBase64InPlace,
  type SignedHash,
  toBase64,
} from '../src/smimp/encoding.ts';
import { sentEnvelope } from '../src/smimp/envelope.ts';
import { findDelivery, sealedEnvelope } from '../src/store/outbound.ts';
import { submissionContent } from '../src/store/submissions.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './support/hostile-server.ts';
import { BODY, type OutboundSite, outboundSite, TestClock, unseal } from './support/outbound-site.ts';

const attachment = (sizeBytes: number, file_name = 'file.bin'): EmailBody['attachments'][0] => ({
  file_name,
  content: toBase64(randomBytes(sizeBytes)),
  content_type: 'application/octet-stream',
  content_id: null,
});

describe('the JSON of a body', () => {
  it.each([[[]], [[0]], [[1, 2, 3]], [[786_431, 786_432, 786_433]], [[5_000_000]]])(
    'with attachments of %j bytes',
    (sizes) => {
      const attachments = sizes.map((size, i) => attachment(size, `Ürgs ${i} $& 漢字.bin`));
      const body: EmailBody = { ...BODY, subject: 'Grüße, "quoted" \\ and 漢字', body: 'large-0 $1 $&', attachments };
      expect(emailBytes(body).equals(serializeBody('email', body))).toBe(true);
    },
  );

  it('is refused like the other', () => {
    const broken = { ...BODY, attachments: [{ ...attachment(3), content: 'QQ=' }] } as unknown as EmailBody;
    expect(() => emailBytes(broken)).toThrow(expect.objectContaining({ code: 'bad-base64' }));
  });
});

describe('the JSON of an envelope', () => {
  it.each([0, 1, 2, 3, 196_607, 196_608, 196_609, 393_217, 5_000_000])('around %i bytes', (sizeBytes) => {
    const ciphertext = randomBytes(sizeBytes);
    const nonce = '03'.repeat(24) as Hex24;
    const sealed = { ciphertext, messageType: 'email', messagePublicKey: '02'.repeat(32) as Hex32, nonce };
    const whole = sentEnvelope(sealed, { proofOfWork: null, messageHash: '04'.repeat(96) as SignedHash });
    const { message: _message, ...rest } = whole;
    const json = envelopeJson(rest, ciphertext);
    const bytes = Buffer.concat([...json.pieces()]);
    expect(bytes.toString('utf8')).toBe(JSON.stringify(whole));
    expect(json.sizeBytes).toBe(bytes.length);
  });
});

describe('canonical base64', () => {
  const PIECE = 4 * 16 * 1024;
  const letters = 'A'.repeat(PIECE);
  const expectBoth = (text: string, isGood: boolean): void => {
    expect(isBase64(text)).toBe(isGood);
    const decode = (): string => parseBase64InPlace(Buffer.from(text)).toString('hex');
    if (isGood) expect(decode()).toBe(Buffer.from(text, 'base64').toString('hex'));
    else expect(decode).toThrow(expect.objectContaining({ code: 'bad-base64' }));
  };

  it('is told from the rest also beyond the first piece', () => {
    for (const good of ['', 'QQ==', letters, `${letters}QQ==`, `${letters}${letters}QUI=`]) expectBoth(good, true);
    for (const bad of [
      'QQ',
      'QR==',
      'QQ==QQ==',
      `${letters.slice(4)}QQ==QQ==`,
      `${letters}QR==`,
      `${letters}Q`,
      `${letters}-_-_`,
    ]) {
      expectBoth(bad, false);
    }
  });
});

describe('memory that is used up', () => {
  it('is given back when it is large and nobody shares it', () => {
    const large = Buffer.alloc(2_000_000);
    freeMemory(large);
    expect(large).toHaveLength(0);
    const small = Buffer.alloc(1000, 1);
    freeMemory(small);
    expect(small).toHaveLength(1000);
    const shared = Buffer.alloc(4_000_000);
    freeMemory(shared.subarray(0, 2_000_000));
    expect(shared).toHaveLength(4_000_000);
  });
});

describe('a large delivery', () => {
  const clock = new TestClock();
  const owned = new AsyncDisposableStack();
  let corp: HostileServer;
  let site: OutboundSite;
  let bob: ServedUser;

  beforeAll(async () => {
    corp = owned.use(await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds }));
    bob = corp.addUser('bob', clock.seconds());
    site = owned.use(await outboundSite([corp], clock));
  });
  afterAll(() => owned.disposeAsync());

  it('survives a restart before each stage, and arrives byte for byte', async () => {
    const body: EmailBody = { ...BODY, attachments: [attachment(5_000_001)] };
    const [id] = (await site.submitBody(body, bob.address)) as [number];
    const stored = await submissionContent(site.opened.db, 1);
    expect(stored?.length).toBeGreaterThan(6_000_000);
    for (const stage of ['route', 'seal', 'mint', 'deliver'] as const) {
      const only = new AbortController();
      const { [stage]: real } = site.stages;
      const runner = site.runner({
        stages: {
          [stage]: async (work: Parameters<typeof real>[0]) => {
            const outcome = await real(work);
            only.abort();
            return outcome;
          },
        },
      });
      expect(await findDelivery(site.opened.db, id)).toMatchObject({ stage });
      await runner.run(id, only.signal);
    }
    expect(await findDelivery(site.opened.db, id)).toMatchObject({ stage: 'done' });
    expect(await sealedEnvelope(site.opened.db, id)).toBeNull();
    const [message] = corp.messages as [(typeof corp.messages)[0]];
    expect(unseal(bob, message).body).toEqual(body);
  });
});
