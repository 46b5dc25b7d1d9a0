/** What people type to log in. */
import { type Address, normalizeAddress } from '../smimp/address.ts';
import { ProfileError } from '../smimp/errors.ts';

/** The address; null for what can be none. */
export function userName(typed: string): Address | null {
  try {
    return normalizeAddress(typed);
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}
