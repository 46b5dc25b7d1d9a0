/** What mail programs and operators write: IMAP commands and the configuration file. */

import { readFileSync } from 'node:fs';
import { ConfigError, parseConfig } from '../../../src/config.ts';
import { CommandDecoder, type DecoderEvent } from '../../../src/imap/wire/decoder.ts';
import { DEFAULT_LIMITS } from '../../../src/imap/wire/limits.ts';
import { decodeMailboxName } from '../../../src/imap/wire/mailbox-name.ts';
import { WireError } from '../../../src/imap/wire/wire-error.ts';
import { bytes } from '../corpus.ts';
import { DEFAULTS, must, refusalOf, type Target } from '../target.ts';

const COMMANDS = [
  'a login bob@corp.test "pass \\"word\\""\r\n',
  'b select inbox\r\n',
  'c uid fetch 1:*,5 (flags body.peek[header.fields (subject from)]<0.100> bodystructure envelope internaldate)\r\n',
  'd search charset utf-8 or (not seen since 1-Jan-2026) header subject "x" uid 1:5 larger 100\r\n',
  'e append "Sent" (\\Seen $x) "15-Jan-2026 12:00:00 +0100" {5}\r\nhello\r\n',
  'f append Drafts {3+}\r\nabc\r\n',
  'g store 1:3 +flags.silent (\\Deleted keyword)\r\n',
  'h list (special-use) "" (% "a*") return (subscribed status (messages))\r\n',
  'i create "&AOk-/b" (use (\\Archive))\r\n',
  'j authenticate plain AGJvYgBwYXNz\r\n',
  'k uid move 1,3:* {4}\r\nTest\r\n',
  'l status inbox (messages uidnext)\r\nm id ("name" "x" "version" nil)\r\nn enable utf8=accept\r\n',
  'o append x utf8 (~{6}\r\nabcdef)\r\n',
  'p idle\r\ndone\r\n',
];

function eventsOf(input: Buffer, pieceBytes: number): DecoderEvent[] {
  const decoder = new CommandDecoder({ limits: { appendLiteralBytes: 10_000 } });
  const events: DecoderEvent[] = [];
  for (let at = 0; at < input.length; at += pieceBytes) {
    decoder.push(Buffer.from(input.subarray(at, at + pieceBytes)));
    for (let event = decoder.next(); event !== null; event = decoder.next()) events.push(event);
    must(decoder.bufferedBytes <= pieceBytes, 'bytes that nobody reads');
  }
  return events;
}

const imap: Target = {
  name: 'imap-commands',
  ...DEFAULTS,
  maxBytes: 16 * 1024,
  refusal: refusalOf(WireError),
  corpus: [...COMMANDS.map(bytes), bytes(COMMANDS.join(''))],
  words: [
    '(',
    ')',
    '"',
    '{5}\r\n',
    '{5+}\r\n',
    '~{5}\r\n',
    '{4294967296}\r\n',
    '\r\n',
    ' ',
    '*',
    '1:*',
    ',',
    '[',
    ']',
    '<0.1>',
    'uid ',
    'not ',
    'or ',
    '\\',
    'NIL',
    '&-',
    '&AOk-',
    '&',
    'body[1.1.mime]',
  ],
  run(input) {
    const whole = eventsOf(input, input.length || 1);
    const text = JSON.stringify(whole);
    for (const pieceBytes of [1, 7, 1000])
      if (input.length / pieceBytes < 3_000)
        must(JSON.stringify(eventsOf(input, pieceBytes)) === text, `other commands in pieces of ${pieceBytes}`);
    for (const event of whole)
      if (event.type === 'error') must(!event.message.includes('\r'), 'an error that could break a reply');
    must(whole.length <= input.length + 1, 'more commands than bytes');
    must(DEFAULT_LIMITS.depth === 64, 'the limits changed under the decoder');
    return whole
      .map((event) =>
        event.type === 'command' ? event.command.name : event.type === 'error' ? event.code : event.type,
      )
      .slice(0, 3)
      .join(' ');
  },
};

const mailboxName: Target = {
  name: 'imap-mailbox-name',
  ...DEFAULTS,
  maxBytes: 4096,
  refusal: refusalOf(WireError),
  corpus: ['INBOX', 'inbox/a', '&AOk-', 'a&-b', '&2D3eAA-', 'Entw&APw-rfe', 'é', '&', '&AOk', '&2D0-'].map(bytes),
  words: ['&', '-', 'AOk', '/', '*', '%', '\0', '\x7f', '&-', 'INBOX'],
  run(input) {
    const name = decodeMailboxName(input);
    return `${typeof name} ${JSON.stringify(name).length > 20}`;
  },
};

const config: Target = {
  name: 'config-yaml',
  ...DEFAULTS,
  maxBytes: 16 * 1024,
  maxMs: 1_500,
  refusal: refusalOf(ConfigError),
  corpus: [
    readFileSync(new URL('../../../config/smimp-bridge.yaml', import.meta.url)),
    bytes('domains: [a.test]\nbase_url: https://smimp.a.test/x\nlimits: {message: 10MiB}\n'),
    bytes('a: &a [1, 2]\nb: *a\n<<: {c: 1}\n'),
    bytes('network:\n  hosts:\n    a.test: "[::1]:9443"\n  allow: [10.0.0.0/8]\n'),
  ],
  words: [
    'domains:',
    '- ',
    '\n',
    ': ',
    '*a',
    '&a ',
    '!!js/function ',
    '<<: *a',
    '{',
    '}',
    '[',
    ']',
    '"',
    '|',
    '>-',
    '? ',
    '---\n',
    '%YAML 1.2\n',
    '#',
    'null',
    '25MiB',
    '4h',
    '0x10',
    '1e400',
  ],
  run(input) {
    const read = parseConfig(input.toString('utf8'), 'file');
    must(read.domains.length > 0 && read.base_url.startsWith('https://'), 'a configuration that cannot be');
    return Object.keys(read).length > 0 ? `${read.domains.length > 1}` : '';
  },
};

export const PROGRAM_TARGETS: readonly Target[] = [imap, mailboxName, config];
