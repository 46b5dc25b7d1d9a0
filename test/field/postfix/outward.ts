/** To outside: people of corp.test write to the old internet, and the gateway hands it to Postfix, straight and as smarthost. */
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { runJson } from '../../../src/admin/demo/sites.ts';
import { dnsResolver } from '../../../src/legacy/authentication.ts';
import { endsAs, inboxWith, isReport, type Mail, mail, once, submit, TEXT_8BIT, withFile } from './mail.ts';
import type { Relayed } from './relay.ts';

const ALICE = 'alice@old.test';

export async function sendOut(relayed: Relayed): Promise<void> {
  await arriveWhole(relayed);
  await areRefused(relayed);
  await wait(relayed);
}

const bobs = (subject: string, to: readonly string[], rest?: string): Mail =>
  mail('Bob <bob@corp.test>', to, subject, rest);

async function delivered({ postfix }: Relayed, name: string, one: Mail, what: string): Promise<string[]> {
  await postfix.until(async () => (await postfix.mails(name)).some(endsAs(one)));
  return once(what, (await postfix.mails(name)).filter(endsAs(one)));
}

async function arriveWhole(relayed: Relayed): Promise<void> {
  const { field, postfix, bob, zone } = relayed;
  const plain = bobs('8-bit, out', [ALICE]);
  const large = bobs('with a file, out', [ALICE], withFile(1_000_000));
  const joerg = bobs('to an address beyond ASCII', ['jörg@old.test']);
  const both = bobs('to two ways', [ALICE, 'dora@other.test']);
  await submit(bob, [plain, large, joerg, both]);
  field.check('out: 8-bit and a large one, by the route: once, byte for byte', [
    ...(await delivered(relayed, 'alice', plain, '8-bit')),
    ...(await delivered(relayed, 'alice', large, 'with a file')),
  ]);
  field.check('out: SMTPUTF8', await delivered(relayed, 'joerg', joerg, 'to jörg'));
  field.check('out: one message by the route and by the smarthost', [
    ...(await delivered(relayed, 'alice', both, 'route')),
    ...(await delivered(relayed, 'dora', both, 'smarthost')),
  ]);
  const all = [...(await postfix.mails('alice')), ...(await postfix.mails('dora'))].filter(
    (one) => endsAs(plain)(one) || endsAs(both)(one),
  );
  const clear = all.filter((one) => !/^\s*\(using TLSv1\.[23] with cipher/m.test(one.toString()));
  field.check(
    'out: Postfix received them by STARTTLS',
    clear.map((one) => one.toString().slice(0, 800)),
  );
  const resolver = dnsResolver([zone.server]);
  const results = await Promise.all(all.map((one) => dkimVerify(one, { resolver })));
  const found = results.flatMap((one) => one.results.map(({ status }) => status.result));
  field.same('out: the DKIM signature of corp.test holds behind Postfix', found, Array(all.length).fill('pass'));
}

async function areRefused(relayed: Relayed): Promise<void> {
  const { field, bob } = relayed;
  await submit(bob, [bobs('to nobody', ['nobody@old.test', ALICE]), bobs('too large', [ALICE], withFile(2_500_000))]);
  const nobody = isReport(/Diagnostic-Code: smtp; 550 5\.1\.1 [\s\S]*User unknown/);
  field.check(
    'out: a refused recipient is reported, in the words of Postfix',
    once('report', await inboxWith(bob, 1, nobody)),
  );
  const large = isReport(/Status: 5\.3\.4/);
  field.check('out: what is too large for Postfix is reported, 5.3.4', once('report', await inboxWith(bob, 1, large)));
}

async function wait(relayed: Relayed): Promise<void> {
  const { field, postfix, bob, gateway } = relayed;
  const states = async (): Promise<string[]> =>
    ((await runJson(gateway.site, ['queue', 'list'])) as { stage: string }[]).map(({ stage }) => stage);
  await postfix.stop();
  const late = bobs('while Postfix was away', [ALICE], TEXT_8BIT);
  await submit(bob, [late]);
  await postfix.until(async () => (await states()).length > 0);
  field.same('out: it waits at the gateway while Postfix is away', await states(), ['relay']);
  await postfix.start();
  field.check('out: it is tried again by itself and arrives once', await delivered(relayed, 'alice', late, 'late'));

  await postfix.refuse(['grey@old.test 450 4.2.0 come again']);
  const grey = bobs('greylisted', ['grey@old.test']);
  await submit(bob, [grey]);
  await postfix.until(async () => (await postfix.log()).includes('450 4.2.0 <grey@old.test>'));
  await postfix.refuse([]);
  field.check('out: 450 is tried again, and it arrives once', await delivered(relayed, 'grey', grey, 'grey'));
  await postfix.until(async () => (await states()).length === 0);
  field.same('out: nothing is left in the queue of the gateway', await states(), []);
}
