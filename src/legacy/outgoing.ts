/** What a gateway sends with: keys, servers, rules, made from its settings. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Https } from '../remote/https.ts';
import type { Target } from '../remote/network.ts';
import type { Db } from '../store/database.ts';
import { type DkimKeys, readDkimKeys } from './dkim.ts';
import { createMailer, type Mailer, type Smarthost, type TlsRule } from './mailer.ts';
import { createStsPolicies } from './mta-sts.ts';
import { createExchangers, lookupBy, type ResolveDns } from './mx.ts';
import { RelayError } from './relay-error.ts';

export interface OutgoingSettings {
  readonly tls: TlsRule;
  readonly smarthost: {
    readonly host: string;
    readonly port: number;
    readonly tls: Smarthost['tls'];
    readonly user: string | null;
  } | null;
  readonly routes: Readonly<Record<string, string>>;
  readonly dkim: Readonly<Record<string, { selector: string; key_file: string }>>;
}

/** Throws DkimKeyError. */
export async function createOutgoing(options: {
  settings: OutgoingSettings;
  /** How this server calls itself in EHLO. */
  name: string;
  password: string | null;
  network: { allow: readonly string[]; ca: readonly string[] };
  /** Name servers instead of those of the system (`address:port`). */
  resolve?: ResolveDns;
  https: Https;
  db: Db;
  clock: () => Date;
}): Promise<{ mailer: Mailer; dkim: DkimKeys }> {
  const { settings, name, password, network, https, db, clock, resolve } = options;
  const asked = resolve === undefined ? {} : { resolve };
  const { tls, routes } = settings;
  const mailer = createMailer({
    ...{ name, tls, ca: network.ca },
    exchangers: createExchangers({
      ...{ routes, allow: network.allow, ...asked },
      ...(resolve === undefined ? {} : { lookup: lookupBy(resolve) }),
    }),
    stsPolicy: createStsPolicies({ db, https, clock, ...asked }),
    smarthost: smarthostOf(settings.smarthost, password),
    isRouted: (domain) => Object.hasOwn(routes, domain),
  });
  return { mailer, dkim: await readDkimKeys(settings.dkim) };
}

/** Whoever names a relay of his own means it, wherever it lies. */
function smarthostOf(settings: OutgoingSettings['smarthost'], password: string | null): Smarthost | null {
  if (settings === null) return null;
  const { host, port, tls, user } = settings;
  const login = user === null || password === null ? null : { user, password };
  return { host, tls, login, targets: () => targetsOf(host, port) };
}

async function targetsOf(host: string, port: number): Promise<Target[]> {
  if (isIP(host) !== 0) return [{ address: host, port }];
  const found = await lookup(host, { all: true, order: 'verbatim' }).catch((cause: unknown) => {
    throw new RelayError('dns', { cause });
  });
  return found.map(({ address }) => ({ address, port }));
}
