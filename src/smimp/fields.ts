/**
 * The field types of the wire as zod schemas (SMIMP 0.1 §1.1), and the one place where a failed schema
 * becomes a `ProfileError`: the first issue, in the order of the members, names the code.
 */
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { type Address, parseAddress } from './address.ts';
import {
  type Base64,
  type Hex24,
  type Hex32,
  type Hex64,
  isBase64,
  isHex,
  isTimestamp,
  type SignedHash,
  type Timestamp,
} from './encoding.ts';
import { ProfileError, type ProfileErrorCode } from './errors.ts';

/** A string schema whose values carry a brand; the check itself says why. */
type BrandedString<T extends string> = z.ZodType<T, string>;

function checked<T extends string>(
  profileCode: ProfileErrorCode,
  accepts: (text: string) => boolean,
  meta: Record<string, unknown>,
): BrandedString<T> {
  return z.string().refine(accepts, { params: { profileCode } }).meta(meta) as unknown as BrandedString<T>;
}

function hexField<T extends string>(sizeBytes: number): BrandedString<T> {
  return checked<T>('bad-hex', (text) => isHex(text, sizeBytes), { pattern: `^[0-9a-f]{${sizeBytes * 2}}$` });
}

export const hex24 = hexField<Hex24>(24);
export const hex32 = hexField<Hex32>(32);
export const hex64 = hexField<Hex64>(64);
export const signedHash = hexField<SignedHash>(96);

export const base64 = checked<Base64>('bad-base64', isBase64, { format: 'byte' });

/**
 * Base64 that whoever decodes it checks: used where the text is tens of megabytes and is decoded right after. As text, or
 * as the ASCII bytes of `parseStrictJsonInPlace`.
 */
export const base64Unchecked = z
  .custom<Base64 | Buffer>((value) => typeof value === 'string' || Buffer.isBuffer(value), {
    params: { profileCode: 'bad-field' },
  })
  .meta({ type: 'string', format: 'byte' }) as unknown as z.ZodType<Base64 | Buffer, string>;

export const timestamp = checked<Timestamp>('bad-timestamp', isTimestamp, {
  pattern: '^\\d{4}-\\d{2}-\\d{2} \\d{2}:\\d{2}:\\d{2}$',
});

function addressCode(value: unknown): ProfileErrorCode | null {
  if (typeof value !== 'string') return 'address-form';
  try {
    parseAddress(value);
    return null;
  } catch (error) {
    if (error instanceof ProfileError) return error.code;
    throw error;
  }
}

/** An address in its normal form. Absent is `bad-field`; any other value that is no address says what is wrong with it. */
export const address = z
  .custom<Address>((value) => value !== undefined, { abort: true, params: { profileCode: 'bad-field' } })
  .check(({ value, issues }) => {
    const profileCode = addressCode(value);
    if (profileCode !== null) issues.push({ code: 'custom', input: value, params: { profileCode } });
  })
  .meta({ type: 'string', pattern: '^[a-z0-9]{1,255}#[a-z0-9.-]{1,253}$' }) as unknown as BrandedString<Address>;

/** A count or a sequence number: 0 … 2⁵³−1. */
export const count = z.int().nonnegative();

/** Any JSON object, kept as it is. */
export const jsonObject = z.record(z.string(), z.unknown());

export const MESSAGE_TYPE_PATTERN = /^[a-z0-9-]{1,64}$/;
/** What a public server accepts as message type (SMIMP 0.1 §5). */
export const messageType = z.string().regex(MESSAGE_TYPE_PATTERN);

function issueCode(issue: z.core.$ZodIssue): ProfileErrorCode {
  if (issue.code === 'unrecognized_keys') return 'unknown-member';
  if (issue.code !== 'custom') return 'bad-field';
  return (issue.params?.profileCode as ProfileErrorCode | undefined) ?? 'bad-field';
}

/** The value, typed, if it fits the schema. Throws the `ProfileError` of the first member that does not. */
export function parseFields<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ProfileError(issue ? issueCode(issue) : 'bad-field', { path: issue?.path.map(String).join('.') ?? '' });
}
