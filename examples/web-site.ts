/** "Log in with SMIMP" on a web site: the site's side, and the user's. */
import { createClient, type NetworkOptions, newSiteToken, SiteAuthError, type SmimpClient } from 'smimp-bridge/client';
import { loadState, saveTo } from './state-file.ts';

/** The site. It is a client too: it pins its users, and notices when the identity of one of them is replaced. */
export class Site {
  readonly #origin: string;
  readonly #client: SmimpClient;
  /** Tokens that were given out and not used; a real site keeps them with the browser's session, for two minutes. */
  readonly #tokens = new Set<string>();

  constructor(origin: string, client: SmimpClient) {
    this.#origin = origin;
    this.#client = client;
  }

  challenge(): string {
    const token = newSiteToken();
    this.#tokens.add(token);
    return token;
  }

  /** The user's address, or why she is not let in. */
  async logIn(token: string, answer: unknown): Promise<string> {
    // A token is taken once, whatever comes of it.
    if (!this.#tokens.delete(token)) return 'refused: no such token';
    try {
      const { address } = await this.#client.verifySiteAuth({ origin: this.#origin, token, answer });
      return address;
    } catch (error) {
      if (error instanceof SiteAuthError) return `refused: ${error.code}`;
      throw error;
    }
  }
}

/** The user. `origin` is what the address bar of her browser says, not what the site says about itself. */
export async function answerSite(given: {
  origin: string;
  token: string;
  stateFile: string;
  network?: NetworkOptions;
}): Promise<unknown> {
  const { origin, token, stateFile, network = {} } = given;
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  return client.signSiteAuth({ origin, token });
}
