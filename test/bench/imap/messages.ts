/** Mail as people have it, the same in every run: varied people, subjects and lengths, plain text, HTML beside it, files. */
const MESSAGE_BYTES = 5_000;
const WORDS = (
  'the of and to in is that for it was on are as with his they at be this from have or by one had not but what all were ' +
  'when we there can an your which their said if do will each about how up out them then she many some so these would ' +
  'other into has more her two like him see time could no make than first been its who now people my made over did down ' +
  'only way find use may water long little very after words called just where most know budget meeting invoice report'
).split(' ');
const PEOPLE = ['Anna Berger', 'Jörg Müller', 'Li Wei', 'Maria Rossi', 'Tom O’Neil', 'Zoë Quist', 'build-bot', 'Ops'];
/** In every fiftieth message, and nowhere else. */
export const RARE_SUBJECT = 'Quarterly';
export const RARE_WORD = 'zymurgy';
export const RARE_EVERY = 50;

/** A small generator of its own, so that every run and every machine has the same messages. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 12_345;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

type Pick = (below: number) => number;

const wordsOf = (pick: Pick, count: number): string =>
  Array.from({ length: count }, () => WORDS[pick(WORDS.length)]).join(' ');

function prose(pick: Pick, sizeBytes: number, rare: boolean): string {
  const lines: string[] = [];
  for (let size = 0; size < sizeBytes; ) {
    const line = wordsOf(pick, 6 + pick(8));
    lines.push(line);
    size += line.length + 2;
  }
  if (rare) lines[lines.length >> 1] = `all about ${RARE_WORD} today`;
  return lines.join('\r\n');
}

const encodedWord = (text: string): string =>
  /^[\x20-\x7e]*$/.test(text) ? text : `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`;

function mailboxOf(pick: Pick): string {
  const name = PEOPLE[pick(PEOPLE.length)] ?? '';
  return `${encodedWord(name)} <person${pick(200)}@example${pick(20)}.test>`;
}

function header(number: number, pick: Pick, rare: boolean): string[] {
  const subject = `${rare ? `${RARE_SUBJECT} ` : ''}${wordsOf(pick, 3 + pick(6))}${pick(10) === 0 ? ' – fällig' : ''}`;
  const date = new Date(Date.UTC(2026, 0, 1) + number * 61_000).toUTCString().replace('GMT', '+0000');
  const reply = pick(3) === 0 ? [`In-Reply-To: <m${pick(number + 1)}@example.test>`] : [];
  const references =
    reply.length === 0 ? [] : [`References: <m${pick(number + 1)}@example.test>\r\n <m${number}.p@example.test>`];
  return [
    `Received: from mx${pick(9)}.example.test (mx.example.test [192.0.2.${pick(255)}])\r\n\tby mail.example.test with ESMTPS id ${number.toString(36)}x;\r\n\t${date}`,
    `Date: ${date}`,
    `From: ${mailboxOf(pick)}`,
    `To: ${Array.from({ length: 1 + pick(3) }, () => mailboxOf(pick)).join(',\r\n ')}`,
    ...(pick(4) === 0 ? [`Cc: ${mailboxOf(pick)}`] : []),
    `Subject: ${encodedWord(subject)}`,
    `Message-ID: <m${number}@example.test>`,
    ...reply,
    ...references,
    'MIME-Version: 1.0',
    'User-Agent: Bench 1.0',
  ];
}

/** Number `number` of the folder. Its size is about 5 KB. */
export function benchMessage(number: number): Buffer {
  const pick = numbers(number + 1);
  const rare = number % RARE_EVERY === 0;
  const fields = header(number, pick, rare);
  const kind = pick(10);
  if (kind < 6) return plain(fields, prose(pick, MESSAGE_BYTES - 900, rare));
  const boundary = `b${number}.${pick(1e9)}`;
  if (kind < 9) return withHtml(fields, boundary, prose(pick, MESSAGE_BYTES / 2 - 700, rare));
  return withFile(fields, boundary, prose(pick, MESSAGE_BYTES / 2, rare), pick);
}

const message = (fields: readonly string[], body: string): Buffer =>
  Buffer.from(`${fields.join('\r\n')}\r\n\r\n${body}\r\n`, 'utf8');

function plain(fields: readonly string[], text: string): Buffer {
  return message([...fields, 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 7bit'], text);
}

const part = (type: string, encoding: string, body: string): string =>
  `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`;

function multipart(fields: readonly string[], subtype: string, boundary: string, parts: readonly string[]): Buffer {
  const body = parts.map((text) => `--${boundary}\r\n${text}`).join('');
  return message([...fields, `Content-Type: multipart/${subtype}; boundary="${boundary}"`], `${body}--${boundary}--`);
}

function withHtml(fields: readonly string[], boundary: string, text: string): Buffer {
  const html = `<html><body><p>${text.replaceAll('\r\n', '</p>=\r\n<p>')}</p></body></html>`;
  return multipart(fields, 'alternative', boundary, [
    part('text/plain; charset=utf-8', '7bit', text),
    part('text/html; charset=utf-8', 'quoted-printable', html),
  ]);
}

function withFile(fields: readonly string[], boundary: string, text: string, pick: Pick): Buffer {
  const file = Buffer.from(Array.from({ length: 1_200 }, () => pick(256))).toString('base64');
  const lines = file.match(/.{1,76}/g)?.join('\r\n') ?? '';
  return multipart(fields, 'mixed', boundary, [
    part('text/plain; charset=utf-8', '7bit', text),
    part('application/pdf; name="report.pdf"', 'base64', lines),
  ]);
}
