/** Letters made by GnuPG: signed (PGP/MIME and as text), encrypted, and both. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asLines, head, type Letter } from './letters.ts';
import { type HowToRun, runProgram, succeed } from './programs.ts';

export interface People {
  readonly from: string;
  readonly to: string;
}

/** What easily breaks: spaces at ends of lines, dots, "From " and letters beyond ASCII. */
const TEXT =
  'Grüße an alle,  \r\n\r\n.\r\n..two dots\r\nFrom here on\t\r\n- -- \r\n=3D stays\r\n-- \r\nAlice, naïve and 日本語\r\n';
const INNER = asLines(`Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${TEXT}`);

export async function openPgpLetters(
  { from, to }: People,
  directory: string,
): Promise<{ letters: Letter[]; end(): Promise<void> }> {
  await mkdir(directory, { mode: 0o700 });
  const how: HowToRun = { home: directory, variables: { GNUPGHOME: directory } };
  const gpg = (args: readonly string[], input: Buffer) =>
    succeed('gpg', ['--batch', '--quiet', '--trust-model', 'always', ...args], { ...how, input });
  await gpg(['--passphrase', '', '--quick-gen-key', from, 'future-default', 'default', 'never'], Buffer.alloc(0));

  const signature = await gpg(['--armor', '--detach-sign'], INNER);
  const sealed = await gpg(['--armor', '--sign', '--encrypt', '--recipient', from], INNER);
  const clear = await gpg(['--clearsign'], Buffer.from(TEXT));
  const said = async (args: readonly string[], input: Buffer): Promise<string[]> => {
    const { code, said: text } = await runProgram('gpg', ['--batch', ...args], { ...how, input });
    return code === 0 && /Good signature/.test(text) ? [] : [text];
  };

  const letters: Letter[] = [
    {
      name: 'PGP/MIME, signed',
      raw: Buffer.concat([
        Buffer.from(
          `${head(from, to, 'PGP/MIME, signed')}Content-Type: multipart/signed; micalg=pgp-sha512;\r\n protocol="application/pgp-signature"; boundary="pgp"\r\n\r\n--pgp\r\n`,
        ),
        INNER,
        Buffer.from('\r\n--pgp\r\nContent-Type: application/pgp-signature; name=s.asc\r\n\r\n'),
        asLines(signature.stdout),
        Buffer.from('\r\n--pgp--\r\n'),
      ]),
      async verify(arrived) {
        const [, signed = '', armored = ''] = arrived.toString('latin1').split(/\r\n--pgp(?:--)?\r\n/);
        const path = join(directory, 'arrived.asc');
        await writeFile(path, armored.slice(armored.indexOf('\r\n\r\n') + 4), 'latin1');
        return said(['--verify', path, '-'], Buffer.from(signed, 'latin1'));
      },
    },
    {
      name: 'PGP/MIME, encrypted and signed',
      raw: Buffer.concat([
        Buffer.from(
          `${head(from, to, 'PGP/MIME, encrypted and signed')}Content-Type: multipart/encrypted;\r\n protocol="application/pgp-encrypted"; boundary="pgp"\r\n\r\n--pgp\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--pgp\r\nContent-Type: application/octet-stream; name=e.asc\r\n\r\n`,
        ),
        asLines(sealed.stdout),
        Buffer.from('\r\n--pgp--\r\n'),
      ]),
      verify: (arrived) => opened(arrived, INNER, directory, how),
    },
    {
      name: 'PGP, signed as text',
      raw: Buffer.concat([
        Buffer.from(
          `${head(from, to, 'PGP, signed as text')}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n`,
        ),
        asLines(clear.stdout),
      ]),
      verify: (arrived) => said(['--verify'], arrived.subarray(arrived.indexOf('\r\n\r\n') + 4)),
    },
  ];
  return { letters, end: async () => void (await runProgram('gpgconf', ['--kill', 'all'], how)) };
}

async function opened(arrived: Buffer, inner: Buffer, home: string, how: HowToRun): Promise<string[]> {
  const text = arrived.toString('latin1');
  const armored = /-----BEGIN PGP MESSAGE-----[\s\S]*-----END PGP MESSAGE-----\r\n/.exec(text)?.[0] ?? '';
  const input = Buffer.from(armored, 'latin1');
  const { code, stdout, stderr } = await runProgram('gpg', ['--batch', '--decrypt'], { ...how, home, input });
  if (code !== 0 || !stderr.includes('Good signature')) return [stderr];
  return stdout.equals(inner) ? [] : ['it decrypts to something else'];
}
