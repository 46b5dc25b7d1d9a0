/** Errors of the API: thrown with a code of the closed list, turned into a problem document in one place. */
import type { FastifyReply } from 'fastify';
import type { Events } from '../events.ts';
import { API_ERRORS, type ApiErrorCode, PROBLEM_MEDIA_TYPE, problem } from '../smimp/api.ts';
import { ProfileError } from '../smimp/errors.ts';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ApiErrorCode;
  readonly retryAfterSeconds: number | null;

  constructor(code: ApiErrorCode, options: { cause?: unknown; retryAfterSeconds?: number } = {}) {
    super(code, options);
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }
}

const DEFAULT_RETRY_SECONDS = 60;

/** What Fastify itself found wrong, by the code it gives. */
const FASTIFY_ERRORS: Readonly<Record<string, ApiErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'bad_request',
  FST_ERR_BAD_URL: 'bad_request',
  FST_ERR_MAX_LIMIT: 'bad_request',
};

/** The error of the closed list that `error` is; null when nobody foresaw it. */
export function apiErrorOf(error: unknown): ApiError | null {
  if (error instanceof ApiError) return error;
  if (error instanceof ProfileError) return new ApiError('bad_request', { cause: error });
  const code = error instanceof Error && 'code' in error ? FASTIFY_ERRORS[String(error.code)] : undefined;
  return code === undefined ? null : new ApiError(code, { cause: error });
}

/** The caller went away, or was cut off, before the request was there: no fault of this server, whatever error came of it. */
function wasBrokenOff({ request: { raw } }: FastifyReply): boolean {
  return raw.destroyed && !raw.complete;
}

/** Answers with the problem document. Nothing of the request is in it. */
export async function sendProblem(
  reply: FastifyReply,
  error: unknown,
  about: { call: string; events: Events },
): Promise<void> {
  const known = wasBrokenOff(reply) ? new ApiError('bad_request', { cause: error }) : apiErrorOf(error);
  if (known === null) about.events.unexpected(`api ${about.call}`, error);
  const { code, retryAfterSeconds } = known ?? new ApiError('internal');
  const status = API_ERRORS[code];
  about.events.requestFailed({ call: about.call, status, code });
  if (status === 429 || retryAfterSeconds !== null)
    reply.header('retry-after', String(retryAfterSeconds ?? DEFAULT_RETRY_SECONDS));
  await reply.code(status).type(PROBLEM_MEDIA_TYPE).send(problem(code));
}
