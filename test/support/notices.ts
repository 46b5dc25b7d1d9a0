/** What the bridge told somebody by mail, as her mail program sees it. */
import { simpleParser } from 'mailparser';
import type { ImapClient } from './imap-client.ts';

export type ReadNotice = { kind: string; from: string; subject: string; text: string };

/** The messages of the inbox that have the mark of the bridge, in order. */
export async function readNotices(client: ImapClient): Promise<ReadNotice[]> {
  await client.ok('examine inbox');
  const { status, lines } = await client.command('fetch 1:* body.peek[]');
  if (status !== 'OK') return [];
  const notices: ReadNotice[] = [];
  for (const line of lines) {
    const mail = await simpleParser(line.slice(line.indexOf('\r\n') + 2, -1));
    const kind = mail.headers.get('x-smimp-notice');
    if (typeof kind !== 'string') continue;
    notices.push({ kind, from: mail.from?.text ?? '', subject: mail.subject ?? '', text: mail.text ?? '' });
  }
  return notices;
}
