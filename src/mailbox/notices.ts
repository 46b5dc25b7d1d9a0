/** Names of messages that are made here. */
import { randomBytes } from '../smimp/crypto.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';

const UID_BYTES = 32;

export const newUid = (): Hex32 => toHex(randomBytes(UID_BYTES));
