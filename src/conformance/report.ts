/** How a run is told: lines for people, one document for programs. */
import type { Report } from './run.ts';
import type { Outcome, Result } from './runner.ts';

const MARKS: Readonly<Record<Outcome, string>> = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' };

export function resultLine({ id, title, outcome, said, rules }: Result): string {
  const line = `${MARKS[outcome]}  ${id}  ${title}`;
  if (said === null) return line;
  return `${line}\n      ${said}${outcome === 'failed' ? `\n      ${rules.join(', ')} in docs/protocol.md` : ''}`;
}

export function counts(results: readonly Result[]): Record<Outcome, number> {
  const of = (outcome: Outcome): number => results.filter((result) => result.outcome === outcome).length;
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped') };
}

export function reportText({ baseUrl, requests, results }: Report): string {
  const { passed, failed, skipped } = counts(results);
  const last = `${baseUrl}: ${passed} passed, ${failed} failed, ${skipped} skipped; ${requests} requests`;
  return [...results.map(resultLine), last].join('\n');
}

/** `ok` says that nothing failed and something passed: a run that could look at nothing shows nothing. */
export function reportDocument(report: Report): Record<string, unknown> {
  const summary = counts(report.results);
  return { protocol: '0.1', ok: isConforming(report), ...report, ...summary };
}

export function isConforming({ results }: Report): boolean {
  const { passed, failed } = counts(results);
  return failed === 0 && passed > 0;
}
