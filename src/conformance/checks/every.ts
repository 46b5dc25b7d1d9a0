/** What was seen in all answers of the run (SMIMP 0.1 §2.4, §2.7, §5.1, §5.2). They stand last. */
import { type Check, demand, notRun } from '../check.ts';
import type { EveryDemand } from '../observer.ts';

const EVERY: readonly [EveryDemand, string, readonly string[]][] = [
  ['no-redirect', 'No call of the API is answered by a redirect', ['R-2.4-1']],
  ['no-cookie', 'No answer sets a cookie', ['R-2.7-3']],
  ['no-cors-wildcard', 'No answer is opened to every web site', ['R-2.7-3']],
  ['problem-document', 'Every error is a problem document of the closed list', ['R-5.2-1']],
  ['problem-status', 'Every error has the status of its code', ['R-5.2-1']],
  ['retry-after', 'Every 429 says when to come again', ['R-5.2-2']],
  ['no-echo', 'No error repeats anything of the request', ['R-5.2-3']],
  ['json', 'Every answer is strict JSON as application/json', ['R-5.1-7', 'R-1.1-1', 'R-1.1-3']],
  ['answer-form', 'Every answer has all members of its call, each of its form', ['R-5.1-7', 'R-1.1-10', 'R-1.1-13']],
  ['not-cached', 'No answer may be cached', ['R-5.1-8']],
];

export const everyChecks: readonly Check[] = EVERY.map(([what, title, rules]) => ({
  id: `every.${what}`,
  title,
  rules,
  level: 'anonymous',
  async run({ probe }) {
    if (probe.observer.judged(what) === 0) throw notRun('no answer of the run could show it');
    const [first, ...others] = probe.observer.breaches(what);
    demand(first === undefined, 'it of every answer', `${first}${others.length > 0 ? `; ${others.join('; ')}` : ''}`);
  },
}));
