/** What the configuration says of one IMAP connection: `imap.limits`, in the form in which the server takes it. */
import { z } from 'zod';
import { durationMs, sizeBytes } from './config-fields.ts';
import type { SessionLimits } from './imap/limits.ts';

const HALF_HOUR_MS = 1_800_000;
const MIB = 1024 * 1024;

/** Every default stands here, as that of the whole file stands in config.ts. */
export const imapLimits = z
  .strictObject({
    commands_per_minute: z.int().min(60).max(100_000_000).default(100_000),
    literals: z.int().min(2).max(10_000).default(64),
    literal: sizeBytes
      .refine((bytes) => bytes >= 1024 && bytes <= MIB, { error: 'is not between 1KiB and 1MiB' })
      .prefault('64KiB'),
    search_steps: z.int().min(1).default(50_000_000),
    search_opened: sizeBytes.prefault('4GiB'),
    idle_time: durationMs
      .refine((ms) => ms >= HALF_HOUR_MS, { error: 'is less than 30m, which IMAP demands' })
      .prefault('31m'),
    login_time: durationMs.prefault('1m'),
    login_failures: z.int().min(1).max(1000).default(5),
    mistakes: z.int().min(1).max(100_000).default(20),
    compression_ratio: z.int().min(10).max(1100).default(200),
    compression_free: sizeBytes.prefault('64MiB'),
  })
  .prefault({});

export function sessionLimits(limits: z.infer<typeof imapLimits>): SessionLimits {
  return {
    commandsPerMinute: limits.commands_per_minute,
    literals: limits.literals,
    literalBytes: limits.literal,
    searchSteps: limits.search_steps,
    searchBytes: limits.search_opened,
    loginFailures: limits.login_failures,
    badCommands: limits.mistakes,
    unfoldRatio: limits.compression_ratio,
    unfoldFreeBytes: limits.compression_free,
  };
}

export function sessionTimeouts(limits: z.infer<typeof imapLimits>): { unauthenticatedMs: number; idleMs: number } {
  return { unauthenticatedMs: limits.login_time, idleMs: limits.idle_time };
}
