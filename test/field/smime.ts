/** Letters made by openssl: S/MIME by its commands `smime` and `cms`, signed beside the text, around it, and encrypted. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asLines, head, type Letter } from './letters.ts';
import type { People } from './openpgp.ts';
import { runProgram, succeed } from './programs.ts';

const INNER = asLines(
  'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße,  \r\n.\r\nAlice\r\n',
);

interface Way {
  readonly name: string;
  /** What makes it out of the text; the certificate, where it goes last, comes by itself. */
  readonly make: readonly string[];
  readonly undo: readonly string[];
}

export async function smimeLetters({ from, to }: People, directory: string): Promise<Letter[]> {
  await mkdir(directory);
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  const how = { home: directory };
  await succeed(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate, '-days', '3650']
      .concat(['-subj', '/CN=Alice/emailAddress=alice@acme.test'])
      .concat(['-addext', 'extendedKeyUsage=emailProtection']),
    how,
  );
  const signer = ['-signer', certificate, '-inkey', key];
  const trust = ['-verify', '-CAfile', certificate];
  const opener = ['-decrypt', '-recip', certificate, '-inkey', key];
  const ways: Way[] = [
    { name: 'smime, signed beside', make: ['smime', '-sign', ...signer], undo: ['smime', ...trust] },
    { name: 'smime, signed around', make: ['smime', '-sign', '-nodetach', ...signer], undo: ['smime', ...trust] },
    { name: 'smime, encrypted', make: ['smime', '-encrypt', '-aes256', certificate], undo: ['smime', ...opener] },
    { name: 'cms, signed beside', make: ['cms', '-sign', ...signer], undo: ['cms', ...trust] },
    { name: 'cms, signed around', make: ['cms', '-sign', '-nodetach', ...signer], undo: ['cms', ...trust] },
    { name: 'cms, encrypted', make: ['cms', '-encrypt', '-aes256', certificate], undo: ['cms', ...opener] },
    { name: 'cms, AES-GCM', make: ['cms', '-encrypt', '-aes-256-gcm', certificate], undo: ['cms', ...opener] },
  ];
  const input = join(directory, 'text');
  await writeFile(input, INNER);
  return Promise.all(
    ways.map(async ({ name, make: [command = '', ...make], undo }): Promise<Letter> => {
      const made = await succeed('openssl', [command, '-in', input, ...make], how);
      // It writes its own MIME-Version.
      const fields = head(from, to, name).replace('MIME-Version: 1.0\r\n', '');
      return {
        name,
        raw: Buffer.concat([Buffer.from(fields), asLines(made.stdout)]),
        async verify(arrived) {
          const { code, stdout, stderr } = await runProgram('openssl', undo, { ...how, input: arrived });
          if (code !== 0) return [stderr];
          return stdout.equals(INNER) ? [] : [`it came out as ${JSON.stringify(stdout.toString())}`];
        },
      };
    }),
  );
}
