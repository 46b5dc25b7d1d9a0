/**
 * `npm run bench`: every measurement, as a table for people or with `--json` for programs; names of parts choose some of
 * them. Ends with 1 when a stated limit was passed.
 */
import { parseArgs } from 'node:util';
import { benchFlow, FLOW_PARTS, type FlowResult } from './flow.ts';
import { benchImap, isImapHeld } from './imap/imap.ts';
import { benchImapMemory, isMemoryHeld } from './imap/imap-memory.ts';
import { imapLines, imapMemoryLines } from './imap/lines.ts';
import type { MemoryRow } from './memory.ts';
import { benchMinting, type MintingRow } from './minting.ts';

const PARTS = ['minting', ...FLOW_PARTS, 'imap', 'imap-memory'] as const;

const { values, positionals } = parseArgs({ options: { json: { type: 'boolean' } }, allowPositionals: true });
const unknown = positionals.filter((name) => !PARTS.some((part) => part === name));
if (unknown.length > 0) {
  process.stderr.write(`no such part: ${unknown.join(', ')} (there are ${PARTS.join(', ')})\n`);
  process.exit(64);
}
const isChosen = (part: string): boolean => positionals.length === 0 || positionals.includes(part);
const flowParts = FLOW_PARTS.filter(isChosen);

const minting = isChosen('minting') ? await benchMinting() : [];
const flow = flowParts.length > 0 ? await benchFlow(flowParts) : {};
const imap = isChosen('imap') ? await benchImap() : null;
const imapMemory = isChosen('imap-memory') ? await benchImapMemory() : null;
const text = [table(minting, flow), ...imapLines(imap), ...imapMemoryLines(imapMemory)].filter((part) => part !== '');
process.stdout.write(
  `${values.json ? JSON.stringify({ minting, flow, imap, imapMemory }, null, 2) : text.join('\n\n')}\n`,
);
const allHeld =
  (flow.memory ?? []).every(isHeld) &&
  (imap?.rows ?? []).every(isImapHeld) &&
  (imapMemory === null || isMemoryHeld(imapMemory));
process.exitCode = allHeld ? 0 : 1;

function isHeld({ peakMB, limitMB }: MemoryRow): boolean {
  return peakMB <= limitMB;
}

function line(name: string, value: string, against = ''): string {
  return `${name.padEnd(52)} ${value.padStart(16)}  ${against}`.trimEnd();
}

function table(rows: readonly MintingRow[], { latency, rate, memory }: FlowResult): string {
  return [rows.length > 0 ? mintingLines(rows) : [], latencyLines(latency), rateLines(rate), memoryLines(memory)]
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

function mintingLines(rows: readonly MintingRow[]): string[] {
  return [
    'Minting (BLAKE2b-256 proofs)',
    ...rows.map(({ name, hashesPerSecond, ratio }) =>
      line(`  ${name}`, `${(hashesPerSecond / 1e6).toFixed(2)} Mh/s`, `${ratio.toFixed(2)} ×`),
    ),
  ];
}

function latencyLines(latency: FlowResult['latency']): string[] {
  if (latency === undefined) return [];
  return [
    `Submission to visible in IMAP, 0 bits, two bridges (${latency.messages} messages, one at a time)`,
    line('  p50', `${latency.p50Ms.toFixed(1)} ms`),
    line('  p99', `${latency.p99Ms.toFixed(1)} ms`),
  ];
}

function rateLines(rate: FlowResult['rate']): string[] {
  if (rate === undefined) return [];
  return [
    `Through both bridges (${rate.messages} messages of 4 KB, ${rate.senders} senders)`,
    line('  smimp-bridge, visible in IMAP', `${rate.perSecond.toFixed(0)} /s`, `${rate.ratio.toFixed(3)} ×`),
    line('  bare smtp-server that discards', `${rate.peerPerSecond.toFixed(0)} /s`, '1 ×'),
  ];
}

function memoryLines(memory: FlowResult['memory']): string[] {
  if (memory === undefined) return [];
  return [
    'Peak memory while attachments of 25 MB pass',
    ...memory.map((row) => {
      const verdict = `limit ${row.limitMB} MB: ${isHeld(row) ? 'held' : 'OVER'}`;
      return line(`  ${row.process}, ${row.messages} at once`, `${row.peakMB.toFixed(0)} MB`, verdict);
    }),
  ];
}
