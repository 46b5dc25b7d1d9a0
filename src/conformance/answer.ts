/** What a server answered, and whether that was a yes or the right no. */
import type { z } from 'zod';
import { API_ERRORS, type ApiErrorCode, CALLS, type CallName } from '../smimp/api.ts';
import { demand } from './errors.ts';

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** Undefined when the body is not strict JSON. */
  readonly json: unknown;
  /** What `code` of a problem document says. */
  readonly code: string | null;
};

/** How an answer is named in a report. */
export function named({ status, code }: Answer): string {
  return code === null ? `status ${status}` : `${status} ${code}`;
}

type Response<Name extends CallName> = z.output<(typeof CALLS)[Name]['response']>;

/**
 * The body of an answer that went well. Only its status is judged here; its form is judged for all answers of the run
 * together, so that one missing member is reported once and not by every check that needs the call.
 */
export function accepted<Name extends CallName>(name: Name, answer: Answer): Response<Name> {
  demand(answer.status === CALLS[name].status, `${CALLS[name].status} from ${name}`, named(answer));
  return answer.json as Response<Name>;
}

/** Throws unless the answer names one of these errors. A wrong status beside the right code is judged for the whole run. */
export function refused(answer: Answer, ...codes: ApiErrorCode[]): void {
  const { code, status } = answer;
  const isOne = code === null ? codes.some((one) => API_ERRORS[one] === status) : codes.some((one) => one === code);
  demand(isOne, codes.map((one) => `${API_ERRORS[one]} ${one}`).join(' or '), named(answer));
}
