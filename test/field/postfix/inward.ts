/** From outside: Postfix brings mail to the gateway's MX, which is for people of corp.test. */
import { SmtpDialogue } from '../../support/smtp-dialogue.ts';
import { bring, endsAs, inboxWith, type Mail, mail, once, withFile } from './mail.ts';
import type { Relayed } from './relay.ts';

const BOB = 'bob@corp.test';
const ALICE = 'Alice <alice@old.test>';
/** Of them many are on their way when the gateway is killed. */
const MANY = 40;
const KILLS = 3;

export async function bringIn(relayed: Relayed): Promise<void> {
  await arriveWhole(relayed);
  await areRefused(relayed);
  await wait(relayed);
  await surviveKills(relayed);
  await isNotPromised(relayed);
}

const alice = (subject: string, to = [BOB], rest?: string): Mail => ({
  ...mail(ALICE, to, subject, rest),
  from: 'alice@old.test',
});

/** How often each is in the inbox of Bob, where it must be once. */
async function arrivals({ bob }: Relayed, all: readonly Mail[]): Promise<string[]> {
  const problems: string[] = [];
  for (const one of all) {
    const found = await inboxWith(bob, 1, endsAs(one));
    problems.push(...once(/^Subject: (.*)\r/m.exec(one.raw.toString())?.[1] ?? '', found));
  }
  return problems;
}

async function arriveWhole(relayed: Relayed): Promise<void> {
  const { field, postfix, bob, carol } = relayed;
  const joerg = { ...mail('Jörg <jörg@old.test>', [BOB], 'from an address beyond ASCII: ü'), from: 'jörg@old.test' };
  const all = [
    alice('8-bit'),
    joerg,
    alice('with a file', [BOB], withFile(1_000_000)),
    alice('to two', [BOB, 'carol@corp.test']),
  ];
  await bring(postfix.port, all);
  field.check('in: 8-bit, SMTPUTF8, a large one: each once, byte for byte', await arrivals(relayed, all));
  const second = await inboxWith(carol, 1, endsAs(all[3] as Mail));
  field.check('in: the second recipient has it too', once('to two', second));
  const [source] = await inboxWith(bob, 1, endsAs(all[0] as Mail));
  const results = /^Authentication-Results: gw\.test;(?:.|\r\n[ \t])*/m.exec(source?.toString() ?? '')?.[0] ?? '';
  field.check('in: SPF and DMARC of what Postfix brings', /spf=pass[\s\S]*dmarc=pass/.test(results) ? [] : [results]);
  const log = await postfix.log();
  field.check(
    'in: Postfix verified the certificate of the MX',
    /Verified TLS connection established to/.test(log) ? [] : [log.slice(-2_000)],
  );
}

async function areRefused(relayed: Relayed): Promise<void> {
  const { field, postfix } = relayed;
  const nobodies = Array.from({ length: 9 }, (_, n) => `nobody${n}@corp.test`);
  const some = alice('some are nobody', [...nobodies, BOB]);
  const forged = { ...mail('Boss <boss@strict.test>', [BOB], 'forged'), from: 'alice@old.test' };
  await bring(postfix.port, [some, forged]);
  field.check('in: refused recipients keep nobody else from it', await arrivals(relayed, [some]));
  await postfix.until(async () => (await postfix.queue()).length === 0);
  const reports = await postfix.mailsReach('alice', 2);
  const words = reports.map((one) => one.toString('utf8'));
  const nobody = words.find((text) => text.includes('nobody8@corp.test'))?.match(/^Status: 5\.1\.1/gm)?.length;
  field.same('in: Postfix reports all 9 refused recipients to the sender, 5.1.1', nobody, nobodies.length);
  const dmarc = words.filter((text) => /Diagnostic-Code: smtp; 550 5\.7\.1/.test(text) && text.includes('forged'));
  field.same('in: Postfix reports what failed DMARC, 5.7.1', dmarc.length, 1);
  const inbox = await inboxWith(relayed.bob, 0, endsAs(forged));
  field.same('in: and Bob does not have it', inbox.length, 0);
}

async function wait(relayed: Relayed): Promise<void> {
  const { field, postfix, gateway, home } = relayed;
  await gateway.stop();
  const late = [alice('while the gateway was away'), alice('and another')];
  await bring(postfix.port, late);
  await postfix.until(async () => (await postfix.queue()).every((reason) => reason !== null));
  const waiting = await postfix.queue();
  field.check(
    `in: ${waiting.length} wait at Postfix while the gateway is away`,
    waiting.length === late.length && waiting.every((reason) => reason?.includes('refused')) ? [] : [String(waiting)],
  );
  await gateway.start();
  await postfix.drain();
  field.check('in: when it is back they are tried again and arrive once', await arrivals(relayed, late));

  await home.stop();
  const homeless = [alice('while the home was away')];
  const unknown = alice('to somebody of whom the gateway never heard', [relayed.dave.mailbox]);
  await bring(postfix.port, [...homeless, unknown]);
  await postfix.until(async () => {
    const left = await postfix.queue();
    return left.length === 0 || left.every((reason) => reason !== null);
  });
  const reasons = await postfix.queue();
  const isTold = reasons.length === 1 && reasons[0]?.includes('said: 451') === true;
  field.check('in: without the home the gateway says 451 for whom it cannot know', isTold ? [] : [String(reasons)]);
  await home.start();
  await postfix.drain();
  field.check('in: what came while the home was away arrives once', [
    ...(await arrivals(relayed, homeless)),
    ...once('to somebody new', await inboxWith(relayed.dave, 1, endsAs(unknown))),
  ]);
}

async function surviveKills(relayed: Relayed): Promise<void> {
  const { field, postfix, gateway, bob } = relayed;
  const all = Array.from({ length: MANY }, (_, n) => alice(`through kills ${n}`));
  let brought = 0;
  for (let kills = 0; kills < KILLS; kills += 1) {
    const some = all.slice(brought, brought + Math.ceil(MANY / KILLS));
    brought += some.length;
    const before = (await postfix.log()).split('status=sent').length;
    await bring(postfix.port, some);
    await postfix.until(async () => (await postfix.log()).split('status=sent').length > before);
    await gateway.kill();
    await gateway.start();
    await postfix.flush();
  }
  await postfix.drain();
  const problems = await arrivals(relayed, all);
  const inbox = await inboxWith(bob, MANY, (source) => source.includes('Subject: through kills'));
  if (inbox.length !== MANY) problems.push(`there are ${inbox.length}`);
  field.check(`in: ${MANY} messages through ${KILLS} kills of the gateway: each once`, problems);
}

/** Postfix sends by DATA to who does not promise CHUNKING; who sends BDAT all the same is told, and may go on. */
async function isNotPromised({ field, gateway }: Relayed): Promise<void> {
  using client = await SmtpDialogue.open({ port: gateway.site.ports.mx, ca: gateway.site.ca, implicitTls: false });
  await client.reply();
  const promised = (await client.say('EHLO mx.old.test')).split('\n').map((line) => line.slice(4).split(' ')[0]);
  const wanted = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE', 'STARTTLS', 'ENHANCEDSTATUSCODES'];
  field.check(
    'in: what Postfix uses is promised',
    wanted.filter((one) => !promised.includes(one)),
  );
  const refused = await client.say('BDAT 0 LAST');
  const goesOn = await client.say('NOOP');
  const isRight = !promised.includes('CHUNKING') && refused.startsWith('5') && goesOn.startsWith('250');
  field.check('in: CHUNKING is not promised, and BDAT is refused without an end', isRight ? [] : [refused, goesOn]);
}
