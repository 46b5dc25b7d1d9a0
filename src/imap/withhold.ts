/** Capabilities that are not announced: to nobody, or to clients that handle them badly (by what they say of themselves). */

/** What a client says of itself by ID (RFC 2971); null for what it does not say. */
export interface ClientName {
  readonly name: string | null;
  readonly version: string | null;
}

/** Patterns hold `*` for anything and compare without case; null fits every client. */
export interface Withholding {
  readonly name: string | null;
  readonly version: string | null;
  readonly capabilities: readonly string[];
}

/** Those of `capabilities` that this client is told of. A rule for `APPENDLIMIT` also means `APPENDLIMIT=…`. */
export function announced(
  capabilities: readonly string[],
  rules: readonly Withholding[],
  client: ClientName,
): string[] {
  const applying = rules.filter(({ name, version }) => fits(name, client.name) && fits(version, client.version));
  const withheld = new Set(applying.flatMap((rule) => rule.capabilities.map((one) => one.toUpperCase())));
  const isWithheld = (capability: string): boolean =>
    withheld.has(capability.toUpperCase()) || withheld.has(capability.replace(/=.*/, '').toUpperCase());
  return capabilities.filter((capability) => !isWithheld(capability));
}

/** Who does not say who it is fits no pattern. */
function fits(pattern: string | null, text: string | null): boolean {
  return pattern === null || (text !== null && matches(pattern.toLowerCase(), text.toLowerCase()));
}

/** Linear in the text for each piece of the pattern: what a client says of itself may be long. */
function matches(pattern: string, text: string): boolean {
  const [first = '', ...pieces] = pattern.split('*');
  const last = pieces.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let from = first.length;
  for (const piece of pieces) {
    const at = text.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return text.length - last.length >= from && text.endsWith(last);
}
