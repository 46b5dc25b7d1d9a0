/**
 * Response codes: RFC 3501 §7.1, RFC 4315 §3 (UIDPLUS), RFC 5530, RFC 6154 §3 (USEATTR), RFC 7162 §7 (CONDSTORE),
 * RFC 7889 §4 (TOOBIG).
 */
import { formatSequenceSet } from './sets.ts';

export type PlainResponseCode =
  | 'ALERT'
  | 'PARSE'
  | 'READ-ONLY'
  | 'READ-WRITE'
  | 'TRYCREATE'
  | 'UIDNOTSTICKY'
  | 'CLOSED'
  | 'COMPRESSIONACTIVE'
  | 'USEATTR'
  | 'TOOBIG'
  | 'UNAVAILABLE'
  | 'AUTHENTICATIONFAILED'
  | 'AUTHORIZATIONFAILED'
  | 'EXPIRED'
  | 'PRIVACYREQUIRED'
  | 'CONTACTADMIN'
  | 'NOPERM'
  | 'INUSE'
  /** RFC 9051 §7.1. */
  | 'HASCHILDREN'
  | 'EXPUNGEISSUED'
  | 'CORRUPTION'
  | 'SERVERBUG'
  | 'CLIENTBUG'
  | 'CANNOT'
  | 'LIMIT'
  | 'OVERQUOTA'
  | 'ALREADYEXISTS'
  | 'NOTIFICATIONOVERFLOW'
  | 'NONEXISTENT'
  /** RFC 9586 §3. */
  | 'UIDREQUIRED'
  /** RFC 3516 §4.3. */
  | 'UNKNOWN-CTE';

export type ResponseCode =
  | PlainResponseCode
  | { name: 'BADCHARSET'; charsets: readonly string[] }
  /** The events that may be asked for (RFC 5465 §3.1). */
  | { name: 'BADEVENT'; events: readonly string[] }
  | { name: 'CAPABILITY'; capabilities: readonly string[] }
  /** `\*` says that new keywords may be created. */
  | { name: 'PERMANENTFLAGS'; flags: readonly string[] }
  | { name: 'UIDNEXT' | 'UIDVALIDITY' | 'UNSEEN' | 'HIGHESTMODSEQ'; value: number }
  /** Numbers or UIDs that STORE left alone, at least one. */
  | { name: 'MODIFIED'; numbers: readonly number[] }
  /** How much of a long command is done (RFC 9585 §3). */
  | { name: 'INPROGRESS'; tag: string; done: number; goal: number }
  /** RFC 8474 §4. */
  | { name: 'MAILBOXID'; id: string }
  /** As many UIDs as messages were appended. */
  | { name: 'APPENDUID'; uidValidity: number; uids: readonly number[] }
  /** Equally many of each, in corresponding order. */
  | { name: 'COPYUID'; uidValidity: number; source: readonly number[]; target: readonly number[] };

/** The code with its brackets. */
export function formatResponseCode(code: ResponseCode): string {
  return `[${typeof code === 'string' ? code : codeText(code)}]`;
}

function codeText(code: Exclude<ResponseCode, string>): string {
  switch (code.name) {
    case 'BADCHARSET':
      return `BADCHARSET (${code.charsets.join(' ')})`;
    case 'BADEVENT':
      return `BADEVENT (${code.events.join(' ')})`;
    case 'CAPABILITY':
      return `CAPABILITY ${code.capabilities.join(' ')}`;
    case 'PERMANENTFLAGS':
      return `PERMANENTFLAGS (${code.flags.join(' ')})`;
    case 'MODIFIED':
      return `MODIFIED ${formatSequenceSet(code.numbers)}`;
    case 'INPROGRESS':
      return `INPROGRESS ("${code.tag}" ${code.done} ${code.goal})`;
    case 'MAILBOXID':
      return `MAILBOXID (${code.id})`;
    case 'APPENDUID':
      return `APPENDUID ${code.uidValidity} ${formatSequenceSet(code.uids)}`;
    case 'COPYUID':
      return `COPYUID ${code.uidValidity} ${formatSequenceSet(code.source)} ${formatSequenceSet(code.target)}`;
    default:
      return `${code.name} ${code.value}`;
  }
}
