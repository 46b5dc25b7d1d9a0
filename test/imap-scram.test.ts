/** AUTHENTICATE SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, said line by line to the real server. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, PASSWORD } from './support/mail-site.ts';
import { scramProof, serverSignature } from './support/scram.ts';

let site: MailSite;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  await site.opened.db.deleteFrom('login_failure').execute();
});

const base64 = (text: string | Buffer): string => Buffer.from(text).toString('base64');
const ofChallenge = (line: string): string => Buffer.from(line.replace(/^\+ /, ''), 'base64').toString();

type Saying = {
  user?: string;
  password?: string;
  gs2?: string;
  channel?: Buffer;
  plus?: boolean;
  /** The first message comes after a `+`. */
  late?: boolean;
  nonce?: (nonce: string) => string;
  last?: string;
};

/** The whole dialogue; the tagged answer. */
async function login(client: ImapClient, saying: Saying = {}): Promise<string> {
  const { user = 'bob@corp.test', password = PASSWORD, gs2 = 'n,,', channel = Buffer.alloc(0), plus = false } = saying;
  const bare = `n=${user},r=fyko+d2lbbFgONRv9qkxdawL`;
  const mechanism = `SCRAM-SHA-256${plus ? '-PLUS' : ''}`;
  const first = base64(`${gs2}${bare}`);
  client.send(`a1 authenticate ${mechanism}${saying.late ? '' : ` ${first}`}\r\n`);
  if (saying.late) {
    expect(await client.line()).toBe('+ ');
    client.send(`${first}\r\n`);
  }
  const answer = await client.line();
  if (!answer.startsWith('+ ')) return answer;
  const challenge = ofChallenge(answer);
  const [, nonce = '', salt = '', iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge) ?? [];
  expect(nonce).toMatch(/^fyko\+d2lbbFgONRv9qkxdawL.{20,}$/);
  const keys = { salt: Buffer.from(salt, 'base64'), iterations: Number(iterations) };
  const binding = base64(Buffer.concat([Buffer.from(gs2), channel]));
  const withoutProof = `c=${binding},r=${saying.nonce?.(nonce) ?? nonce}`;
  const authMessage = `${bare},${challenge},${withoutProof}`;
  const proof = await scramProof(password, keys, authMessage);
  client.send(`${base64(`${withoutProof},p=${base64(proof)}`)}\r\n`);
  const verified = await client.line();
  if (!verified.startsWith('+ ')) return verified;
  expect(ofChallenge(verified)).toBe(`v=${base64(serverSignature(password, keys, authMessage))}`);
  client.send(`${saying.last ?? ''}\r\n`);
  return client.line();
}

const open = (options: { implicitTls?: boolean } = {}) =>
  ImapClient.open({
    port: options.implicitTls === false ? site.ports.imap : site.ports.imaps,
    ca: site.ca,
    ...options,
  });

describe('SCRAM-SHA-256', () => {
  it('is offered over TLS only', async () => {
    using client = await open({ implicitTls: false });
    expect((await client.ok('capability'))[0]).not.toContain('SCRAM');
    expect(await login(client)).toMatch(/^a1 NO \[PRIVACYREQUIRED\]/);
    await client.ok('starttls');
    await client.upgrade();
    expect((await client.ok('capability'))[0]).toMatch(/ AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN/);
    expect(await login(client)).toMatch(/^a1 OK \[CAPABILITY IMAP4rev1 /);
    expect((await client.ok('list "" inbox'))[0]).toContain('INBOX');
  });

  it.each<[string, Saying]>([
    ['at once', {}],
    ['after being asked', { late: true }],
    ['for herself, by name', { gs2: 'n,a=bob@corp.test,' }],
    ['in SMIMP spelling', { user: 'bob#corp.test' }],
  ])('lets in: %s', async (_name, saying) => {
    using client = await open();
    expect(await login(client, saying)).toMatch(/^a1 OK /);
    await client.ok('select inbox');
    await client.bad('authenticate scram-sha-256');
    await client.ok('unauthenticate');
    expect(await login(client, saying)).toMatch(/^a1 OK /);
  });

  it.each<[string, Saying, RegExp]>([
    ['with a wrong password', { password: 'wrong' }, /^a1 NO \[AUTHENTICATIONFAILED\] User name or password is wrong$/],
    ['nobody', { user: 'nobody@corp.test' }, /^a1 NO \[AUTHENTICATIONFAILED\] User name or password is wrong$/],
    ['no address', { user: 'x' }, /^a1 NO \[AUTHENTICATIONFAILED\] User name or password is wrong$/],
    ['in the nonce of another dialogue', { nonce: (nonce) => `${nonce}x` }, /^a1 NO \[AUTHENTICATIONFAILED\]/],
    ['with other bytes than there are to bind', { channel: Buffer.from('x') }, /^a1 NO \[AUTHENTICATIONFAILED\]/],
    ['for another one', { gs2: 'n,a=alice@corp.test,' }, /^a1 NO \[AUTHORIZATIONFAILED\]/],
    ['with a channel bound, without PLUS', { gs2: 'p=tls-exporter,,' }, /^a1 BAD /],
    ['with extensions that must be understood', { user: 'bob@corp.test', gs2: 'n,,m=x,' }, /^a1 BAD /],
    ['saying more at the end', { last: 'YQ==' }, /^a1 BAD /],
    ['giving up at the end', { last: '*' }, /^a1 BAD /],
    ['as if the channel could not be bound', { gs2: 'y,,' }, /^a1 NO \[AUTHENTICATIONFAILED\] Somebody between/],
  ])('does not let in: %s', async (_name, saying, answer) => {
    using client = await open();
    expect(await login(client, saying)).toMatch(answer);
    await client.bad('select inbox');
    expect(await login(client)).toMatch(/^a1 OK /);
  });

  it('takes what is no SCRAM for what it is', async () => {
    using client = await open();
    await client.bad('authenticate SCRAM-SHA-256 =');
    await client.bad(`authenticate SCRAM-SHA-256 ${base64('n,,n=bob')}`);
    await client.bad('authenticate SCRAM-SHA-256 %%%');
    client.send('a1 authenticate SCRAM-SHA-256\r\n');
    await client.line();
    client.send('*\r\n');
    expect(await client.line()).toBe('a1 BAD AUTHENTICATE cancelled');
    client.send(`a2 authenticate SCRAM-SHA-256 ${base64('n,,n=bob@corp.test,r=x')}\r\n`);
    await client.line();
    client.send(`${base64('c=biws,r=x')}\r\n`);
    expect(await client.line()).toMatch(/^a2 BAD /);
    expect(await client.no('authenticate SCRAM-SHA-1 =')).toContain('not offered');
  });

  it('says nothing of PLUS to who is not told of it, and lets them say so', async () => {
    const withhold = [{ name: null, version: null, capabilities: ['AUTH=SCRAM-SHA-256-PLUS'] }];
    await using server = await site.serve({ withhold });
    using client = await ImapClient.open({ port: server.port, ca: site.ca });
    expect((await client.ok('capability'))[0]).toMatch(/ AUTH=SCRAM-SHA-256 AUTH=PLAIN/);
    expect(await login(client, { gs2: 'y,,' })).toMatch(/^a1 OK /);
  });
});

describe('SCRAM-SHA-256-PLUS', () => {
  const exporter = (client: ImapClient): Buffer =>
    client.tls.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
  const endPoint = (client: ImapClient): Buffer =>
    createHash('sha256').update(client.tls.getPeerCertificate().raw).digest();

  it.each([
    ['tls-exporter', exporter],
    ['tls-server-end-point', endPoint],
  ] as const)('binds by %s', async (name, of) => {
    using client = await open();
    expect(await login(client, { plus: true, gs2: `p=${name},,`, channel: of(client) })).toMatch(/^a1 OK /);
    using other = await open();
    // What another connection shows is of no use, but the certificate is the same for all.
    const foreign = {
      plus: true,
      gs2: `p=${name},,`,
      channel: name === 'tls-exporter' ? of(client) : Buffer.alloc(32),
    };
    expect(await login(other, foreign)).toMatch(/^a1 NO \[AUTHENTICATIONFAILED\]/);
  });

  it.each([
    ['n,,', /^a1 BAD /],
    ['y,,', /^a1 BAD /],
    ['p=tls-unique,,', /^a1 NO \[CANNOT\]/],
    ['p=nonsense,,', /^a1 NO \[CANNOT\]/],
  ])('with %s is refused', async (gs2, answer) => {
    using client = await open();
    expect(await login(client, { plus: true, gs2, channel: Buffer.alloc(32) })).toMatch(answer);
  });

  it('has no exporter before TLS 1.3', async () => {
    using client = await ImapClient.open({ port: site.ports.imaps, ca: site.ca, maxVersion: 'TLSv1.2' });
    const channel = exporter(client);
    expect(await login(client, { plus: true, gs2: 'p=tls-exporter,,', channel })).toMatch(/^a1 NO \[CANNOT\]/);
    const bound = { plus: true, gs2: 'p=tls-server-end-point,,', channel: endPoint(client) };
    expect(await login(client, bound)).toMatch(/^a1 OK /);
  });
});
