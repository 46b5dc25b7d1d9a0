/** Envelopes and structures without names come back as they were, of whatever mail. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compactEnvelope, compactPart, expandEnvelope, expandPart } from '../src/mailbox/compact-index.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';

const through = (value: unknown): unknown[] => JSON.parse(JSON.stringify(value)) as unknown[];

function survives(raw: Buffer): void {
  const { envelope, structure } = indexMessage(raw, { parts: 20 });
  expect(expandEnvelope(through(compactEnvelope(envelope)))).toEqual(envelope);
  expect(expandPart(through(compactPart(structure)))).toEqual(structure);
}

describe('a compact index', () => {
  it('keeps mail in mail, opaque parts, dispositions, groups and a sender of its own', () => {
    survives(
      Buffer.from(
        'From: A <a@b.test>\r\nSender: S <s@b.test>\r\nReply-To: a@b.test\r\nTo: people: x@y.test, "Q, R" <q@r.test>;\r\n' +
          'In-Reply-To: <1@b.test>\r\nMessage-ID: <2@b.test>\r\nContent-Type: multipart/mixed; boundary=x; a=b\r\n' +
          'Content-Language: de, en\r\nContent-Location: here\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n' +
          'Content-Disposition: attachment; filename=f\r\n\r\nSubject: inner\r\nContent-Type: text/plain\r\n\r\ntext\r\n' +
          '--x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <i>\r\n' +
          'Content-Description: d\r\nContent-MD5: m\r\n\r\nAAAA\r\n--x--\r\n',
      ),
    );
  });

  it('keeps whatever there is', () => {
    const line = fc.constantFrom(
      ...['From: a@b.test', 'To: x <y@z.test>,\r\n q', 'Content-Type: multipart/mixed; boundary=x', '--x', '--x--', ''],
      ...['Content-Type: message/rfc822', 'Content-Disposition: inline', 'text', 'Subject: \xe4', 'Reply-To: c@d.test'],
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), (lines) => survives(Buffer.from(lines.join('\r\n'), 'latin1'))),
    );
  });
});
