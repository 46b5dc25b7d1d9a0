/** Enough for every check with its accounts; a server that is watched by its owner is not flooded. */
export const MAX_REQUESTS = 2_000;
export const MAX_SECONDS = 900;
