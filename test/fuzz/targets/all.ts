/** Every decoder that reads what others wrote. */
import type { Target } from '../target.ts';
import { CLIENT_TARGETS } from './clients.ts';
import { GATEWAY_TARGETS } from './gateway.ts';
import { MAIL_TARGETS } from './mail.ts';
import { OBJECT_TARGETS } from './objects.ts';
import { ORIGINAL_TARGETS } from './originals.ts';
import { PROGRAM_TARGETS } from './programs.ts';
import { PROTOCOL_TARGETS } from './protocol.ts';

export const TARGETS: readonly Target[] = [
  ...PROTOCOL_TARGETS,
  ...OBJECT_TARGETS,
  ...MAIL_TARGETS,
  ...GATEWAY_TARGETS,
  ...ORIGINAL_TARGETS,
  ...PROGRAM_TARGETS,
  ...CLIENT_TARGETS,
];
