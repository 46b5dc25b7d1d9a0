/** Message flags (RFC 3501 §2.3.2). System flags compare without case; keywords keep the case they were sent in. */

export const SYSTEM_FLAGS = ['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'] as const;
/** Keywords that programs know by these names (RFC 9051 §2.3.2): told of before any message has them. */
export const KNOWN_KEYWORDS = ['$Forwarded', '$MDNSent', '$Junk', '$NotJunk', '$Phishing'] as const;
export const RECENT = '\\Recent';

const CANONICAL = new Map([...SYSTEM_FLAGS, RECENT].map((flag) => [flag.toLowerCase(), flag]));

/** A system flag in its usual case, anything else unchanged. */
export function canonicalFlag(flag: string): string {
  return CANONICAL.get(flag.toLowerCase()) ?? flag;
}

/**
 * The flags a client sets, each once and canonical. \Recent is left out: only the server gives it, and clients that
 * copy a message's flags send it back.
 */
export function settableFlags(flags: readonly string[]): string[] {
  const seen = new Map<string, string>();
  for (const flag of flags.map(canonicalFlag)) {
    const key = flag.toLowerCase();
    if (flag !== RECENT && !seen.has(key)) seen.set(key, flag);
  }
  return [...seen.values()];
}
