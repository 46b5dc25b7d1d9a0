/**
 * Strict I-JSON from the writing side (SMIMP 0.1 §1.1): a value that `JSON.stringify` turns into a document every strict
 * reader takes. What comes from elsewhere, such as old mail, is cleaned first; what is still wrong is never sent.
 */
import { ProfileError, type ProfileErrorCode } from './errors.ts';
import { FORBIDDEN_NAMES, type JsonValue, MAX_JSON_DEPTH } from './json.ts';

const NONCHARACTER = /\p{Noncharacter_Code_Point}/u;
const NONCHARACTERS = /\p{Noncharacter_Code_Point}/gu;

/** Text with lone surrogates and noncharacters replaced by U+FFFD, as a strict reader demands. */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(NONCHARACTERS, '\ufffd');
}

function fail(code: ProfileErrorCode): never {
  throw new ProfileError(code);
}

function checkText(text: string): void {
  if (!text.isWellFormed()) fail('json-lone-surrogate');
  if (NONCHARACTER.test(text)) fail('json-noncharacter');
}

function checkName(name: string): void {
  checkText(name);
  if (FORBIDDEN_NAMES.has(name)) fail('json-forbidden-name');
}

function checkAt(value: unknown, depth: number): void {
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') {
    checkText(value);
    return;
  }
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) fail('json-number');
    return;
  }
  if (typeof value !== 'object') fail('bad-field');
  if (depth >= MAX_JSON_DEPTH) fail('json-depth');
  if (Array.isArray(value)) {
    for (const item of value) checkAt(item, depth + 1);
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    checkName(name);
    checkAt(member, depth + 1);
  }
}

/** Throws the code with which a strict reader would refuse the value, once written. */
export function checkJsonValue(value: unknown): asserts value is JsonValue {
  checkAt(value, 0);
}

/** Strict JSON text of a value. Throws like `checkJsonValue`. */
export function writeStrictJson(value: unknown): string {
  checkJsonValue(value);
  return JSON.stringify(value);
}
