/**
 * The files that take longest begin first, so that no worker ends long after the other; the rest follows by size, as a fresh
 * clone has no times of earlier runs. A name that is no longer there does no harm.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Longest first; each takes more than five seconds. */
const LONG = [
  'system/crash',
  'corpus-way',
  'system/proxy',
  'mirror',
  'pipeline-stages',
  'system/byte-exact',
  'system/gateway-crash',
  'original-mail',
  'conformance-broken',
  'gateway-out',
  'client-commands',
  'gateway-whole',
  'pipeline-whole',
  'attacks/secrecy',
  'imap-agreement',
  'fuzz/smoke',
  'system/ending',
  'mirror-crash',
  'api-pow',
  'imap-notify',
  'outbox',
  'alarms',
  'imap-esearch',
  'imap-large',
  'legacy-smtp',
  'original',
  'alarms-sending',
  'legacy-policy',
  'imap-uidonly',
];

const place = ({ moduleId }: TestSpecification): number => {
  const at = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  return at < 0 ? LONG.length : at;
};

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const bySize = await super.sort(files);
    return bySize.sort((a, b) => place(a) - place(b));
  }
}
