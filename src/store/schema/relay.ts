/** What is remembered of legacy domains that mail is sent to (SMIMP 0.1 §6). */
import type { Instant } from './columns.ts';

/** The MTA-STS policy of a domain (RFC 8461). */
export interface StsPolicyTable {
  domain: string;
  policy_id: string;
  mode: 'enforce' | 'testing' | 'none';
  mx: string[];
  expires_at: Instant;
  checked_at: Instant;
}
