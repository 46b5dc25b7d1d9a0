/** Whom an original names, when its mailbox has letters beyond ASCII: only people behind a gateway have such (SMIMP 0.1 §6). */
import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { originalIsFrom } from '../src/mime/original/trust.ts';

const MAILBOX = 'jörg.à@xn--bcher-kva.test';
const from = (value: string, encoding: 'utf8' | 'latin1' = 'utf8'): Buffer =>
  Buffer.from(`From: ${value}\r\nSubject: x\r\n\r\nhello\r\n`, encoding);

describe('a mailbox beyond ASCII', () => {
  it.each([
    ['alone', 'jörg.à@bücher.test'],
    ['with a name', 'Jörg À <jörg.à@bücher.test>'],
    ['with A-labels', '<jörg.à@xn--bcher-kva.test>'],
    ['with ASCII letters in another case', '"À, Jörg" <JöRG.à@bücher.test>'],
    ['with itself as the name', '"jörg.à@bücher.test" <jörg.à@bücher.test>'],
    ['with a comment', 'jörg.à@bücher.test (Jörg)'],
  ])('is named: %s', (_what, value) => {
    expect(originalIsFrom(from(value), MAILBOX)).toBe(true);
  });

  it.each([
    ['other letters', '<jorg.à@bücher.test>'],
    ['letters beyond ASCII in another case', '<jÖrg.à@bücher.test>'],
    ['the same letters, not composed', `<${'jörg.à'.normalize('NFD')}@bücher.test>`],
    ['a letter that cannot be seen', '<jörg\u200b.à@bücher.test>'],
    ['a space beyond ASCII', '<jörg.à\u00a0@bücher.test>'],
    ['another one as the name', '"zoë@bücher.test" <jörg.à@bücher.test>'],
  ])('is not named by %s', (_what, value) => {
    expect(originalIsFrom(from(value), MAILBOX)).toBe(false);
  });

  it('is not named by bytes that are no UTF-8', () => {
    expect(originalIsFrom(from('<jörg@old.test>', 'latin1'), 'jörg@old.test')).toBe(false);
    expect(originalIsFrom(from('<jörg@old.test>'), 'jörg@old.test')).toBe(true);
  });

  it('that has something invisible is nobody whose mail is shown as it was', () => {
    expect(originalIsFrom(from('<a\u202eb@old.test>'), 'a\u202eb@old.test')).toBe(false);
  });
});
