/** What an operation on a vector gives. */

/** `error` of an operation that does not throw: a caution, or the reason of a bad pin state. */
export type Outcome = { outputs?: Record<string, unknown>; error?: string | undefined };
