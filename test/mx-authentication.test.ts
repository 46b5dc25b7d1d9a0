/**
 * Whether mail from outside is from whom it says (SMIMP 0.1 §6): real signatures and real records in a zone of the test, and
 * what becomes of mail for which its author's domain does not stand.
 */
import { authenticate } from 'mailauth';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { verdictOn } from '../src/legacy/authentication.ts';
import { renderMessage } from '../src/mime/from-email.ts';
import {
  authenticationResults,
  type GatewayData,
  gatewayDataSchema,
  readGatewayData,
  removeForgedResults,
} from '../src/mime/gateway-data.ts';
import { reportPath } from '../src/pipeline/accept-legacy.ts';
import { parseAddress } from '../src/smimp/address.ts';
import type { Hex32, Timestamp } from '../src/smimp/encoding.ts';
import { dkimKey, GATEWAY, letter, MX_HOST, type MxSite, mxSite, signed, type Taken } from './support/mx-site.ts';

const HERE = 'v=spf1 ip4:127.0.0.1 -all';
const ELSEWHERE = 'v=spf1 ip4:192.0.2.1 -all';
const REJECT = 'v=DMARC1; p=reject';

let site: MxSite;
let enforcing: number;
let marking: number;
beforeAll(async () => {
  site = await mxSite();
  enforcing = await site.open();
  marking = await site.open({ dmarc: 'mark' });
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  site.zone.clear();
  site.log.length = 0;
  await site.taken();
});

/** Brings it and gives what was found out; null when it was refused. */
async function found(raw: string | Buffer, from = 'alice@old.test', port = enforcing): Promise<GatewayData | null> {
  const reply = await site.bring(port, { from, raw });
  const [taken] = await site.taken();
  if (taken === undefined) return null;
  expect(reply).toMatch(/^250 /);
  return gatewayDataSchema.parse(taken.data);
}
it.each([
  ['the domain of the path sends from here', HERE, 'list@old.test', 'list@old.test'],
  ['it says nothing of who sends for it', null, 'list@old.test', 'list@old.test'],
  ['it does not send from here', ELSEWHERE, 'list@old.test', ''],
])('a failure is reported where that harms nobody: %s', async (_why, record, returnPath, path) => {
  if (record !== null) site.zone.set('old.test', 'TXT', record);
  const checks = await found(letter(), returnPath);
  if (checks === null) throw new Error('refused');
  expect(reportPath({ returnPath, checks })).toBe(path);
  expect(reportPath({ returnPath, checks: { ...checks, authenticated: true } })).toBe(returnPath);
  expect(reportPath({ returnPath: 'x@other.test', checks: { ...checks, authenticated: true } })).toBe(
    path === '' ? '' : 'x@other.test',
  );
});

const refusal = (raw: string, from = 'alice@old.test') => site.bring(enforcing, { from, raw });

describe('what is found out', () => {
  it('is SPF for the reverse path, and for the client where there is none', async () => {
    site.zone.set('old.test', 'TXT', HERE);
    expect((await found(letter()))?.spf).toEqual({ result: 'pass', domain: 'old.test', identity: 'mailfrom' });
    site.zone.set('old.test', 'TXT', ELSEWHERE);
    expect((await found(letter()))?.spf.result).toBe('fail');
    site.zone.set('old.test', 'TXT', 'v=spf1 ~all');
    expect((await found(letter()))?.spf.result).toBe('softfail');
    site.zone.set('old.test', 'TXT', 'v=spf1 nonsense');
    expect((await found(letter()))?.spf.result).toBe('permerror');
    site.zone.set('out.old.test', 'TXT', HERE);
    expect((await found(letter(), ''))?.spf).toEqual({ result: 'pass', domain: 'out.old.test', identity: 'helo' });
  });

  it('is every DKIM signature with its domain and selector', async () => {
    const [own, list] = [dkimKey(site.zone, 'old.test', 'jan'), dkimKey(site.zone, 'list.test')];
    const twice = await signed(await signed(letter(), own), list);
    const data = await found(twice);
    expect(data?.dkim).toEqual([
      { result: 'pass', domain: 'list.test', selector: 'mail' },
      { result: 'pass', domain: 'old.test', selector: 'jan' },
    ]);
    expect(data?.authenticated).toBe(true);
    const [first = ''] = twice.split('\r\n\r\n');
    const changed = await found(`${first}\r\n\r\nAnother text.\r\n`);
    expect(changed?.dkim.map(({ result }) => result)).not.toContain('pass');
    expect(changed?.authenticated).toBe(false);
  });

  it('counts no signature for an author of another domain, none that leaves text unsigned, and no short key', async () => {
    const other = dkimKey(site.zone, 'evil.test');
    expect(await found(await signed(letter(), other))).toMatchObject({
      authenticated: false,
      dkim: [{ result: 'pass', domain: 'evil.test' }],
    });
    const own = dkimKey(site.zone, 'old.test');
    const covered = await signed(letter({}, 'short'), { ...own, maxBodyLength: 5 });
    expect(await found(covered)).toMatchObject({
      authenticated: false,
      dkim: [{ result: 'pass', domain: 'old.test' }],
    });
    const weak = dkimKey(site.zone, 'old.test', 'weak', 512);
    expect(await found(await signed(letter(), weak))).toMatchObject({
      authenticated: false,
      dkim: [{ result: 'policy' }],
    });
  });

  it('is DMARC with the policy of the domain, by a signature or by the way it came', async () => {
    site.zone.set('_dmarc.old.test', 'TXT', 'v=DMARC1; p=quarantine');
    expect((await found(letter()))?.dmarc).toEqual({ result: 'fail', domain: 'old.test', policy: 'quarantine' });
    site.zone.set('old.test', 'TXT', HERE);
    expect(await found(letter())).toMatchObject({ authenticated: true, dmarc: { result: 'pass' } });
    expect(await found(letter(), 'bounces@else.test')).toMatchObject({
      authenticated: false,
      dmarc: { result: 'fail' },
    });
    const own = dkimKey(site.zone, 'old.test');
    expect(await found(await signed(letter(), own), 'bounces@else.test')).toMatchObject({
      authenticated: true,
      dmarc: { result: 'pass' },
    });
  });

  it('takes SPF for exactly the domain of the author as its word where there is no DMARC', async () => {
    site.zone.set('old.test', 'TXT', HERE);
    site.zone.set('sub.old.test', 'TXT', HERE);
    expect((await found(letter()))?.authenticated).toBe(true);
    expect((await found(letter(), 'bounces@sub.old.test'))?.authenticated).toBe(false);
  });

  it('is ARC, which changes nothing', async () => {
    const key = dkimKey(site.zone, 'relay.test');
    const seal = { signingDomain: key.domain, selector: key.selector, privateKey: key.privateKey };
    const raw = letter();
    const resolver = async () => [];
    const { headers } = await authenticate(raw, {
      ip: '192.0.2.9',
      helo: 'x',
      mta: 'relay.test',
      sender: '',
      seal,
      resolver,
      disableBimi: true,
    });
    const data = await found(`${headers}${raw}`);
    expect(data?.arc).toEqual({ result: 'pass', domain: 'relay.test' });
    expect(data?.authenticated).toBe(false);
  });

  it('is about the mailbox in From, however it is written', async () => {
    site.zone.set('xn--bcher-kva.test', 'TXT', HERE);
    const raw = Buffer.from(letter({ From: `"O'Hara, Zoe" <Zoe.O'Hara@B\u00dcCHER.test>` }), 'utf8');
    const data = await found(raw, 'x@xn--bcher-kva.test');
    expect(data).toMatchObject({ from: "zoe.o'hara@xn--bcher-kva.test", authenticated: true });
  });
});

describe('mail that fails DMARC', () => {
  it('is refused where its domain asks for that, also for domains below, and nothing is kept', async () => {
    site.zone.set('_dmarc.old.test', 'TXT', REJECT);
    site.zone.set('old.test', 'TXT', ELSEWHERE);
    expect(await refusal(letter())).toMatch(/^550 5\.7\.1 The message fails DMARC/);
    expect(await refusal(letter({ From: 'x@sub.old.test' }))).toMatch(/^550 5\.7\.1 The message fails DMARC/);
    expect(await site.taken()).toEqual([]);
    expect(site.log.join()).toContain('"code":"dmarc"');
    site.zone.set('old.test', 'TXT', HERE);
    expect(await refusal(letter())).toMatch(/^250 /);
  });

  it('is marked where the configuration says so', async () => {
    site.zone.set('_dmarc.old.test', 'TXT', REJECT);
    expect(await found(letter(), 'alice@old.test', marking)).toMatchObject({
      authenticated: false,
      dmarc: { result: 'fail', policy: 'reject' },
    });
  });

  it.each(['none', 'quarantine'])('is taken in and marked where its domain asks for %s', async (policy) => {
    site.zone.set('_dmarc.old.test', 'TXT', `v=DMARC1; p=${policy}`);
    expect(await found(letter())).toMatchObject({ authenticated: false, dmarc: { result: 'fail', policy } });
  });
});

describe('an author at a domain that speaks SMIMP', () => {
  it('is refused unless the domain stands for the message', async () => {
    const raw = letter({ From: 'bob@corp.test' });
    expect(await refusal(raw, 'list@list.test')).toMatch(/^550 5\.7\.1 .*speaks SMIMP and does not vouch/);
    const key = dkimKey(site.zone, 'corp.test');
    const data = await found(await signed(raw, key), 'list@list.test');
    expect(data).toMatchObject({ from: 'bob@corp.test', authenticated: true });
  });
});

describe('a server of DNS that does not answer', () => {
  const LATER = /^451 4\.4\.3 The policy of the sending domain cannot be looked up/;

  it('makes the message come again, whichever record it is that nobody knows', async () => {
    const own = dkimKey(site.zone, 'old.test');
    for (const name of ['old.test', '_dmarc.old.test', 'mail._domainkey.old.test']) {
      site.zone.trouble(name, 'servfail');
      expect(await refusal(await signed(letter(), own)), name).toMatch(LATER);
      site.zone.trouble(name, null);
    }
    expect(await site.taken()).toEqual([]);
    expect(await refusal(await signed(letter(), own))).toMatch(/^250 /);
  });

  it('matters no more once DMARC passes', async () => {
    const own = dkimKey(site.zone, 'old.test');
    site.zone.set('_dmarc.old.test', 'TXT', REJECT);
    site.zone.trouble('bounces.test', 'servfail');
    expect(await found(await signed(letter(), own), 'x@bounces.test')).toMatchObject({
      authenticated: true,
      spf: { result: 'temperror' },
    });
  });

  it('is waited for no longer than the whole check may take', async () => {
    const hasty = await site.open({ dnsTimeoutMs: 100 });
    site.zone.trouble('_dmarc.old.test', 'silent');
    expect(await site.bring(hasty, { raw: letter() })).toMatch(LATER);
  });
});

const DATA: GatewayData = {
  v: 1,
  from: 'alice@old.test',
  authenticated: true,
  spf: { result: 'softfail', domain: 'list.test', identity: 'mailfrom' },
  dkim: [
    { result: 'pass', domain: 'old.test', selector: 'jan' },
    { result: 'neutral', domain: null, selector: null },
  ],
  dmarc: { result: 'pass', domain: 'old.test', policy: 'reject' },
  arc: { result: 'pass', domain: 'list.test' },
};
const ALICE = parseAddress('alicez40oldz2etest#gw.test');

describe('the verdict', () => {
  const dmarc = (result: GatewayData['dmarc']['result'], policy: GatewayData['dmarc']['policy']): GatewayData => ({
    ...DATA,
    dmarc: { result, policy, domain: 'old.test' },
  });
  it.each([
    [dmarc('pass', 'reject'), 'take', 'take'],
    [dmarc('fail', 'reject'), 'refuse', 'take'],
    [dmarc('fail', 'quarantine'), 'take', 'take'],
    [dmarc('none', null), 'take', 'take'],
    [dmarc('permerror', 'reject'), 'take', 'take'],
    [dmarc('temperror', null), 'later', 'later'],
    [{ ...dmarc('fail', 'reject'), spf: { ...DATA.spf, result: 'temperror' as const } }, 'later', 'later'],
  ])('on $dmarc.result with $dmarc.policy and SPF $spf.result is %s, or %s', (data, enforced, marked) => {
    expect(verdictOn(data, 'enforce')).toBe(enforced);
    expect(verdictOn(data, 'mark')).toBe(marked);
  });
});

describe('a reader', () => {
  const via = 'smtp_bridge' as const;
  const body = (data: unknown): Taken['body'] => ({
    to: [parseAddress('bob#corp.test')],
    cc: [],
    subject: 'Lunch',
    thread_id: 'cd'.repeat(32) as Hex32,
    reply_to_message_id: null,
    date_sent: '2026-01-15 12:00:00' as Timestamp,
    body: 'Hello Bob.',
    signature_text: null,
    attachments: [],
    extensions_data: { smimp_gateway: data as object },
    reply_to: null,
    auto_reply_address: null,
  });
  const shown = (data: unknown, header: { from?: typeof ALICE; via?: typeof via | null } = {}): string => {
    const people = { from: ALICE, to: parseAddress('bob#corp.test') };
    const rest = { uid: 'ab'.repeat(32) as Hex32, sent: '2026-01-15 12:00:00' as Timestamp, via };
    const content = { type: 'email' as const, value: body(data) };
    return renderMessage({ header: { ...people, ...rest, ...header }, content, notice: null }).toString('latin1');
  };

  it('is shown what was found out, in the name of the gateway, on top', () => {
    const field = shown(DATA)
      .split(/\r\n(?! )/)[0]
      ?.replace(/\r\n /g, ' ');
    expect(field).toBe(
      'Authentication-Results: gw.test; dkim=pass header.d=old.test header.s=jan; dkim=neutral; ' +
        'spf=softfail smtp.mailfrom=list.test; dmarc=pass policy.dmarc=reject header.from=old.test; arc=pass header.d=list.test',
    );
    const unsigned = { ...DATA, dkim: [], arc: { result: 'none' as const, domain: null } };
    expect(authenticationResults('gw.test', unsigned).join(' ')).toBe(
      'gw.test; dkim=none; spf=softfail smtp.mailfrom=list.test; dmarc=pass policy.dmarc=reject header.from=old.test',
    );
  });

  it('is shown nothing that a sender only claims', () => {
    const claims = [
      shown(DATA, { via: null }),
      shown(DATA, { from: parseAddress('mallory#evil.test') }),
      shown({ ...DATA, from: 'ceo@bank.test' }),
      shown({ ...DATA, v: 2 }),
      shown({ ...DATA, spf: { ...DATA.spf, domain: 'a; dmarc=pass' } }),
      shown({ ...DATA, dkim: [{ result: 'pass\r\nX: y', domain: null, selector: null }] }),
      shown('all is well'),
    ];
    for (const claim of claims) expect(claim).not.toMatch(/^Authentication-Results/m);
    expect(readGatewayData({ smimp_gateway: DATA }, { from: ALICE, via })).toEqual(DATA);
    // Whoever runs a gateway speaks in its own name only.
    expect(shown(DATA, { from: parseAddress('alicez40oldz2etest#evil.test') })).toMatch(
      /^Authentication-Results: evil\.test;/,
    );
  });
});

describe('results that came with the message', () => {
  it('go when they claim to be of the gateway, and stay as they are when they do not', async () => {
    const forged = [
      'Authentication-Results: gw.test; dmarc=pass header.from=bank.test',
      'authentication-results:\r\n  (hello) MX.GW.Test 1; dkim=pass',
      'AUTHENTICATION-RESULTS: "gw.test"; spf=pass',
      'Authentication-Results: (a (b)) gw.test; dmarc=pass header.from=bank.test',
    ];
    const honest = 'Authentication-Results: list.test; dkim=pass header.d=old.test';
    const also = 'X-Authentication-Results: gw.test; none';
    const rest = letter();
    const raw = Buffer.from([...forged, honest, also, rest].join('\r\n'));
    const left = removeForgedResults(Buffer.from(raw), [GATEWAY, MX_HOST]);
    expect(left.toString()).toBe([honest, also, rest].join('\r\n'));
    // A signature over the message as it came is judged before.
    const own = dkimKey(site.zone, 'old.test');
    expect((await found(await signed(raw.toString(), own)))?.dkim[0]?.result).toBe('pass');
  });
});
