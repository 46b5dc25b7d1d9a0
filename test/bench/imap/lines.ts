/** What was measured, for people. */
import { type ImapResult, type ImapRow, isImapHeld } from './imap.ts';
import { type ImapMemoryResult, isMemoryHeld } from './imap-memory.ts';

export function imapLines(result: ImapResult | null): string[] {
  if (result === null) return [];
  const { dovecot, messages, rows } = result;
  const peer = dovecot === null ? 'no Dovecot on the PATH, so nothing to hold it against' : `Dovecot ${dovecot} = 1`;
  const head = `IMAP, ${messages} messages of 5 KB, medians (${peer})`;
  const columns = line(['', 'ours', 'theirs', 'ratio', 'at most', 'aim', '']);
  return [[head, columns, ...rows.map(rowLine)].join('\n')];
}

const ms = (value: number | null): string => (value === null ? '–' : `${value.toFixed(value < 10 ? 2 : 0)} ms`);
const times = (value: number | null): string => (value === null ? '–' : `${value.toFixed(2)} ×`);

function rowLine(row: ImapRow): string {
  const { name, oursMs, theirsMs, ratio, atMost, aim } = row;
  return line([name, ms(oursMs), ms(theirsMs), times(ratio), `${atMost} ×`, `${aim} ×`, isImapHeld(row) ? '' : 'OVER']);
}

function line([name = '', ...values]: readonly string[]): string {
  return `  ${name.padEnd(40)}${values.map((value) => value.padStart(10)).join('')}`.trimEnd();
}

export function imapMemoryLines(result: ImapMemoryResult | null): string[] {
  if (result === null) return [];
  const { messages, connections, residentMB, peakMB, limitMB, opening } = result;
  const verdict = isMemoryHeld(result) ? 'held' : 'OVER';
  return [
    [
      `A folder of ${messages} messages`,
      ...opening.map(({ name, ms: took }) => line([name, ms(took)])),
      `  imap role, ${connections} connections idle in it: ${residentMB.toFixed(0)} MB, peak ${peakMB.toFixed(0)} MB, limit ${limitMB} MB: ${verdict}`,
    ].join('\n'),
  ];
}
