/** `conformance`: tests a running SMIMP server from outside, or this library against the vectors (docs/conformance.md). */
import type { Command } from 'commander';
import { MAX_REQUESTS, MAX_SECONDS } from '../conformance/limits.ts';
import type { Add } from './command-line.ts';
import type { Options } from './conformance-run.ts';

const collect = (value: string, list: string[]): string[] => [...list, value];

export function addConformanceCommand(program: Command, add: Add): void {
  add<[string?]>(
    program,
    'conformance [server]',
    'Test an SMIMP server from outside: a URL, or a domain whose smimp.txt names it. See docs/conformance.md.',
    async (output, options, target) => {
      const { conformance } = await import('./conformance-run.ts');
      await conformance(output, options as unknown as Options, target);
    },
  )
    .option(
      '--account <address>',
      'an account that waits for its keys (up to three); codes by standard input',
      collect,
      [],
    )
    .option('--user <address>', 'somebody who has an account there')
    .option('--only <check>', 'this check, or all that begin so (json, send.order)', collect, [])
    .option('--counterpart <domain>', 'a domain that leads to this kit, for users of another server')
    .option('--listen <address:port>', 'where the counterpart listens')
    .option('--tls-cert <file>', 'its certificate')
    .option('--tls-key <file>', 'the key of that')
    .option('--resolve <name=address>', 'where a name leads, instead of DNS', collect, [])
    .option('--allow <network>', 'a private network that may be connected to', collect, [])
    .option('--ca <file>', 'an authority to trust besides the usual ones', collect, [])
    .option('--slow', 'also what takes minutes')
    .option('--max-requests <number>', 'stop asking after so many', String(MAX_REQUESTS))
    .option('--max-seconds <number>', 'begin no check after so long', String(MAX_SECONDS))
    .option('--list', 'list the checks and do nothing')
    .option('--vectors', 'test this library against the vectors instead');
}
