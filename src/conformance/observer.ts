/** What every answer of a run must keep to, and the first few that did not (SMIMP 0.1 §2.4, §2.7, §5.1, §5.2). */
import {
  API_ERRORS,
  CALLS,
  type CallDefinition,
  type CallName,
  PROBLEM_MEDIA_TYPE,
  problemSchema,
} from '../smimp/api.ts';
import type { Answer } from './answer.ts';

const DEMANDS = [
  'no-redirect',
  'no-cookie',
  'no-cors-wildcard',
  'problem-document',
  'problem-status',
  'retry-after',
  'no-echo',
  'json',
  'answer-form',
  'not-cached',
] as const;
export type EveryDemand = (typeof DEMANDS)[number];

export interface Observer {
  see(answer: Answer, name: CallName | null): void;
  /** How many answers were judged by this demand. */
  judged(demand: EveryDemand): number;
  /** What was wrong, the first few times. */
  breaches(demand: EveryDemand): readonly string[];
}

/** More examples tell nothing new. */
const MAX_EXAMPLES = 3;
const NOT_MODIFIED = 304;

type Judgement = { demand: EveryDemand; breach: string | null };

export function createObserver(marker: string): Observer {
  const judged = new Map<EveryDemand, number>();
  const found = new Map<EveryDemand, string[]>(DEMANDS.map((demand) => [demand, []]));
  return {
    see(answer, name) {
      const where = name ?? 'a request outside the table';
      for (const { demand, breach } of [...always(answer), ...byStatus(answer, name, marker)]) {
        judged.set(demand, (judged.get(demand) ?? 0) + 1);
        const list = found.get(demand) ?? [];
        if (breach !== null && list.length < MAX_EXAMPLES) list.push(`${where}: ${breach}`);
      }
    },
    judged: (demand) => judged.get(demand) ?? 0,
    breaches: (demand) => found.get(demand) ?? [],
  };
}

const judge = (demand: EveryDemand, holds: boolean, breach: string): Judgement => ({
  demand,
  breach: holds ? null : breach,
});

function always({ status, headers }: Answer): Judgement[] {
  const isRedirect = status >= 300 && status < 400 && status !== NOT_MODIFIED;
  return [
    judge('no-redirect', !isRedirect, `status ${status}`),
    judge('no-cookie', headers['set-cookie'] === undefined, 'a Set-Cookie header'),
    judge('no-cors-wildcard', headers['access-control-allow-origin'] !== '*', 'Access-Control-Allow-Origin: *'),
  ];
}

function byStatus(answer: Answer, name: CallName | null, marker: string): Judgement[] {
  if (answer.status >= 400) return ofProblem(answer, marker);
  return answer.status < 300 && name !== null ? ofSuccess(answer, name) : [];
}

function ofProblem({ status, headers, json, text }: Answer, marker: string): Judgement[] {
  const type = mediaType(headers);
  const document = problemSchema.safeParse(json);
  const isWhole = document.success && document.data.type === `urn:smimp:error:${document.data.code}`;
  const isRight = isWhole && type === PROBLEM_MEDIA_TYPE;
  const agrees = !document.success || (document.data.status === status && API_ERRORS[document.data.code] === status);
  const seconds = headers['retry-after'] ?? '';
  return [
    judge(
      'problem-document',
      isRight,
      `status ${status} as ${type || 'no type'}, ${isWhole ? 'whole' : 'not as it should be'}`,
    ),
    judge('problem-status', agrees, `status ${status} with ${document.data?.code ?? ''}`),
    judge('no-echo', !text.includes(marker), `status ${status} repeats the request`),
    ...(status === 429 ? [judge('retry-after', /^\d+$/.test(seconds), 'a 429 without seconds in Retry-After')] : []),
  ];
}

function ofSuccess({ status, headers, json, text }: Answer, name: CallName): Judgement[] {
  const { response, status: due }: CallDefinition = CALLS[name];
  const cached = judge('not-cached', /\bno-store\b/.test(headers['cache-control'] ?? ''), 'no Cache-Control: no-store');
  if (status !== due) return [cached];
  const isEmpty = response.safeParse(undefined).success;
  if (isEmpty) return [cached, judge('answer-form', text === '', `a body where ${name} has none`)];
  const isJson = mediaType(headers) === 'application/json' && json !== undefined;
  const form = response.safeParse(json);
  const where = form.error?.issues[0]?.path.map(String).join('.') ?? '';
  return [
    cached,
    judge('json', isJson, `not strict JSON as application/json`),
    judge('answer-form', form.success, `a member that is absent or of the wrong form${where && `: ${where}`}`),
  ];
}

function mediaType(headers: Readonly<Record<string, string>>): string {
  return (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}
