/** Every check of the kit, in the order in which they run: what changes keys or uses something up stands late. */
import type { Check } from './check.ts';
import { accountChecks } from './checks/account.ts';
import { avatarChecks } from './checks/avatar.ts';
import { changeChecks } from './checks/changes.ts';
import { doorChecks } from './checks/door.ts';
import { everyChecks } from './checks/every.ts';
import { folderAndPlaceChecks } from './checks/folders.ts';
import { historyChecks, profileChecks } from './checks/identity.ts';
import { issueChecks, issueLimitChecks } from './checks/issue.ts';
import { jsonChecks } from './checks/json.ts';
import { listChecks } from './checks/lists.ts';
import { loginChecks } from './checks/login.ts';
import { mailboxChecks } from './checks/mailbox.ts';
import { remoteChecks } from './checks/remote.ts';
import { requestChecks } from './checks/requests.ts';
import { sendingChecks } from './checks/sending.ts';
import { workChecks } from './checks/work.ts';

export const CHECKS: readonly Check[] = [
  ...doorChecks,
  ...requestChecks,
  ...jsonChecks,
  ...accountChecks,
  ...loginChecks,
  ...mailboxChecks,
  ...changeChecks,
  ...folderAndPlaceChecks,
  ...issueChecks,
  ...workChecks,
  ...sendingChecks,
  ...listChecks,
  ...remoteChecks,
  ...issueLimitChecks,
  ...profileChecks,
  ...avatarChecks,
  ...historyChecks,
  ...everyChecks,
];
