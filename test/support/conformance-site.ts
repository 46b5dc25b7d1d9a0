/** Our home server as the conformance kit meets it: real, with accounts that wait for their keys, and a counterpart. */
import { startCounterpart } from '../../src/conformance/counterpart.ts';
import { MAX_REQUESTS, MAX_SECONDS } from '../../src/conformance/limits.ts';
import { type Report, runConformance } from '../../src/conformance/run.ts';
import { createDiscovery } from '../../src/remote/discovery.ts';
import { createHomeClient } from '../../src/remote/home.ts';
import { createHttps } from '../../src/remote/https.ts';
import { createFetchPublicKey, type FetchPublicKey } from '../../src/remote/public-keys.ts';
import { type Address, type Domain, parseAddress } from '../../src/smimp/address.ts';
import { initializeDigest } from '../../src/smimp/transcript.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { type ApiSite, startApi } from './api-site.ts';
import { testAuthority, testCertificate } from './tls-server.ts';

const DOMAIN = 'corp.test';
const SERVER = 'smimp.corp.test';
const COUNTERPART = 'kit.test' as Domain;

export interface ConformanceSite extends AsyncDisposable {
  readonly api: ApiSite;
  readonly counterpartPort: number;
  /** Runs the kit. `port`: of something in front of the server. */
  run(options: { accounts: number; counterpart?: boolean; only?: string[]; port?: number }): Promise<Report>;
}

export async function startConformanceSite(): Promise<ConformanceSite> {
  const owned = new AsyncDisposableStack();
  const authority = await testAuthority();
  const { certificate: cert, key } = await testCertificate(COUNTERPART);
  const listen = { host: '127.0.0.1', port: 0 };
  const counterpart = owned.use(await startCounterpart({ domain: COUNTERPART, listen, tls: { cert, key } }));
  const hosts = { [COUNTERPART]: `127.0.0.1:${counterpart.port}` };
  const https = owned.use(createHttps({ hosts, allow: [], ca: [authority.certificate] }));
  const fetching: { fetch: FetchPublicKey | null } = { fetch: null };
  const api = owned.use(
    await startApi({
      fetchPublicKey: (address) => {
        if (fetching.fetch === null) throw new TypeError('asked before it was there');
        return fetching.fetch(address);
      },
    }),
  );
  api.now = new Date(Math.floor(Date.now() / 1000) * 1000);
  const clock = (): Date => api.now;
  const discovery = createDiscovery({ https, db: api.opened.db, clock });
  fetching.fetch = createFetchPublicKey({ discovery, home: createHomeClient({ https }), clock });
  let made = 0;
  return {
    api,
    counterpartPort: counterpart.port,
    async run(options) {
      const target = `127.0.0.1:${options.port ?? api.port}`;
      const names = Array.from({ length: options.accounts }, () => parseAddress(`kit${made++}#${DOMAIN}`));
      return runConformance({
        target: DOMAIN,
        network: { hosts: { [DOMAIN]: target, [SERVER]: target }, allow: [], ca: [authority.certificate] },
        accounts: await Promise.all(names.map((address) => accountFor(api, address))),
        user: null,
        counterpart: options.counterpart === true ? counterpart : null,
        only: options.only ?? [],
        maxRequests: MAX_REQUESTS,
        maxSeconds: MAX_SECONDS,
        clock,
        sleep: async (seconds) => api.later(seconds),
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function accountFor(api: ApiSite, address: Address): Promise<{ address: Address; code: string }> {
  const code = `code for ${address}`;
  const initializeHash = initializeDigest(address, code);
  await api.opened.db.transaction().execute((tx) => createAccount(tx, { address, initializeHash, now: api.now }));
  return { address, code };
}
