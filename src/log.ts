/** The logger, to standard error. Secrets and addresses never reach it by accident: what may be logged is listed in events.ts. */
import { type Logger, pino } from 'pino';

export type { Logger };

/** Keys under which something secret could stand; what stands there prints as `[redacted]` whatever it is. */
export const REDACTED_KEYS = [
  'password',
  'secret',
  'token',
  'authorization',
  'address',
  'recipient',
  'sender',
  'subject',
  'body',
  'key',
];

export function createLogger(options: { level: string; destination?: { write(line: string): void } }): Logger {
  const paths = REDACTED_KEYS.flatMap((key) => [key, `*.${key}`]);
  const settings = { level: options.level, base: null, redact: { paths, censor: '[redacted]' } };
  return pino(settings, options.destination ?? pino.destination({ fd: 2, sync: true }));
}

/** How an error is logged: its kind and code, and those of its causes. Never its message, which may quote input. */
export function errorFacts(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const where = error.stack
    ?.split('\n')
    .find((line) => line.includes('/src/'))
    ?.replace(/^.*\/src\//, 'src/')
    .replace(/\)$/, '');
  return {
    name: error.name,
    ...(code === undefined ? {} : { code }),
    ...(where === undefined ? {} : { where }),
    ...(error.cause === undefined ? {} : { cause: errorFacts(error.cause) }),
  };
}
