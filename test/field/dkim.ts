/** Letters signed by OpenDKIM, in the way that forgives least and in its usual one; its verifier judges them. */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asLines, head, type Letter } from './letters.ts';
import type { People } from './openpgp.ts';
import { type HowToRun, runProgram, succeed } from './programs.ts';

export async function dkimLetters({ from, to }: People, directory: string): Promise<Letter[]> {
  await mkdir(directory);
  const how: HowToRun = { home: directory };
  const key = join(directory, 'key.pem');
  await succeed('openssl', ['genrsa', '-out', key, '2048'], how);
  const half = await succeed('openssl', ['rsa', '-in', key, '-pubout', '-outform', 'der'], how);
  const names = join(directory, 'names');
  await writeFile(names, `s._domainkey.acme.test v=DKIM1; k=rsa; p=${half.stdout.toString('base64')}\n`);
  const verifier = join(directory, 'verifier.conf');
  await writeFile(verifier, `Mode v\nSyslog no\nTestDNSData ${names}\n`);

  const text = `${head(from, to, 'DKIM, simple/simple')}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße  \r\n.\r\n..dots\t\r\n\r\n`;
  const file = randomBytes(200_000).toString('base64').replace(/.{76}/g, '$&\r\n');
  const large = `${head(from, to, 'DKIM, relaxed/simple, with a file')}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>See <b>there</b>\r\n--b\r\nContent-Type: application/zip; name=f.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n${file}\r\n--b--\r\n`;
  const verify: Letter['verify'] = async (arrived) => {
    const path = join(directory, 'arrived.eml');
    await writeFile(path, arrived);
    const { said } = await runProgram('opendkim', ['-x', verifier, '-t', path], how);
    return said.includes('succeeded') ? [] : [said];
  };
  const relaxed = ['-C', '-d', 'acme.test', '-s', 's', '-k', key];
  return [
    { name: 'DKIM, simple/simple', raw: await signedSimply(asLines(text), key, how), verify },
    {
      name: 'DKIM, relaxed/simple, with a file',
      raw: (await succeed('opendkim-testmsg', relaxed, { ...how, input: asLines(large) })).stdout,
      verify,
    },
  ];
}

/** By the filter itself, which says in its test mode what it would put on top. */
async function signedSimply(letter: Buffer, key: string, how: HowToRun): Promise<Buffer> {
  const [config, path] = [join(how.home, 'signer.conf'), join(how.home, 'letter.eml')];
  const settings = ['Mode s', 'Syslog no', 'RequireSafeKeys no', 'Domain acme.test', 'Selector s', `KeyFile ${key}`];
  const strict = ['Canonicalization simple/simple', 'SignatureAlgorithm rsa-sha256'];
  await writeFile(config, [...settings, ...strict, ''].join('\n'));
  await writeFile(path, letter);
  const { said } = await succeed('opendkim', ['-x', config, '-t', path, '-v'], how);
  const field = /^DKIM-Signature: .*(?:\n[ \t].*)*/m.exec(said.replace(/\r/g, ''))?.[0];
  if (field === undefined) throw new Error(`opendkim did not sign: ${said}`);
  return Buffer.concat([asLines(field), letter]);
}
