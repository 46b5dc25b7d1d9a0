/** What a second client sees: every folder with its messages, said in short so that it can be compared. */
import { imapClient, type Person } from '../../src/admin/demo/mail-clients.ts';

/** By folder, in the order of UIDs: the subject, and behind it the flags in their order, without trust and \Recent. */
export type Contents = Readonly<Record<string, readonly string[]>>;

const NOT_SHOWN = /^(?:\\Recent|\$Smimp.*|\$ViaLegacy|\$MDNSent|Old|NonJunk)$/;

/** Folders of which nothing is said are left out, unless they are among `empty`. */
export async function contentsOf(person: Person, folders: readonly string[]): Promise<Contents> {
  const client = imapClient(person);
  await client.connect();
  try {
    const found: Record<string, string[]> = {};
    for (const path of folders) {
      const isThere = (await client.list()).some((one) => one.path === path);
      if (!isThere) continue;
      const messages: string[] = [];
      found[path] = messages;
      const { exists } = await client.mailboxOpen(path, { readOnly: true });
      if (exists === 0) continue;
      for await (const { envelope, flags } of client.fetch('1:*', { envelope: true, flags: true })) {
        const shown = [...(flags ?? [])].filter((flag) => !NOT_SHOWN.test(flag)).sort();
        messages.push([envelope?.subject ?? '', ...shown].join(' '));
      }
    }
    return found;
  } finally {
    await client.logout();
  }
}

export async function pathsOf(person: Person, subscribedOnly = false): Promise<string[]> {
  const client = imapClient(person);
  await client.connect();
  try {
    return (await client.list())
      .filter(({ subscribed }) => subscribed || !subscribedOnly)
      .map(({ path }) => path)
      .sort();
  } finally {
    await client.logout();
  }
}

const LOOK_MS = 250;
const MOST_MS = 30_000;

/** Looks until it is as expected or has not become so; resolves to what was last seen. */
export async function eventually<T>(look: () => Promise<T>, expected: T): Promise<T> {
  const end = performance.now() + MOST_MS;
  for (;;) {
    const found = await look();
    if (JSON.stringify(found) === JSON.stringify(expected) || performance.now() > end) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
