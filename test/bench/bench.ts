/** `npm run bench`: every measurement, as a table for people or with `--json` for programs. */
import { benchFlow, type FlowResult } from './flow.ts';
import { benchMinting } from './minting.ts';

const minting = await benchMinting();
const flow = await benchFlow();
process.stdout.write(
  process.argv.includes('--json') ? `${JSON.stringify({ minting, flow }, null, 2)}\n` : `${table(minting, flow)}\n`,
);

function table(rows: Awaited<ReturnType<typeof benchMinting>>, { latency, rate, memory }: FlowResult): string {
  const line = (name: string, value: string, against: string): string =>
    `${name.padEnd(52)} ${value.padStart(16)}  ${against}`;
  return [
    'Minting (BLAKE2b-256 proofs)',
    ...rows.map(({ name, hashesPerSecond, ratio }) =>
      line(`  ${name}`, `${(hashesPerSecond / 1e6).toFixed(2)} Mh/s`, `${ratio.toFixed(2)} ×`),
    ),
    '',
    `Submission to visible in IMAP, 0 bits, two bridges (${latency.messages} messages, one at a time)`,
    line('  p50', `${latency.p50Ms.toFixed(1)} ms`, ''),
    line('  p99', `${latency.p99Ms.toFixed(1)} ms`, ''),
    '',
    `Through both bridges (${rate.messages} messages of 4 KB, ${rate.senders} senders)`,
    line('  smimp-bridge, visible in IMAP', `${rate.perSecond.toFixed(0)} /s`, `${rate.ratio.toFixed(3)} ×`),
    line('  bare smtp-server that discards', `${rate.peerPerSecond.toFixed(0)} /s`, '1 ×'),
    '',
    'Peak memory while a 25 MB attachment passes',
    ...memory.map(({ process, peakMiB, limitMiB }) =>
      line(
        `  ${process}`,
        `${peakMiB.toFixed(0)} MiB`,
        `limit ${limitMiB} MiB: ${peakMiB <= limitMiB ? 'held' : 'PASSED'}`,
      ),
    ),
  ].join('\n');
}
