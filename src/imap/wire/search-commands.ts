/** SEARCH (RFC 9051 §6.4.4), SORT and THREAD (RFC 5256 §3) as checked values, and the keys that all three search by. */
import type { DayComparison, EpochDay } from '../../mime/structure/calendar-day.ts';
import type { PartialRange } from './partial.ts';
import type { SequenceSet } from './sets.ts';

/** ALL is true also when nothing was named. */
export interface SearchReturn {
  min: boolean;
  max: boolean;
  all: boolean;
  count: boolean;
  /** The result is kept and `$` stands for it (RFC 5182). */
  save: boolean;
  partial: PartialRange | null;
}

export interface SearchCommand {
  name: 'SEARCH';
  uid: boolean;
  /** What is to be told of the result (RFC 4731 §3.1); null: the answer of RFC 3501. */
  returns: SearchReturn | null;
  /** As sent; the strings of the keys are already decoded from it. */
  charset: string | null;
  /** `and` of everything asked. */
  key: SearchKey;
}

/** RFC 5256 §3, RFC 5957 §3. */
export type SortKey = 'ARRIVAL' | 'CC' | 'DATE' | 'FROM' | 'SIZE' | 'SUBJECT' | 'TO' | 'DISPLAYFROM' | 'DISPLAYTO';

export interface SortCriterion {
  key: SortKey;
  reverse: boolean;
}

export interface SortCommand extends Omit<SearchCommand, 'name' | 'charset'> {
  name: 'SORT';
  /** At least one. */
  criteria: SortCriterion[];
  charset: string;
}

export type ThreadAlgorithm = 'REFERENCES' | 'ORDEREDSUBJECT';

export interface ThreadCommand {
  name: 'THREAD';
  uid: boolean;
  algorithm: ThreadAlgorithm;
  charset: string;
  key: SearchKey;
}

export type SearchKey =
  | { type: 'all' }
  /** A flag or keyword that is set, or not set; system flags are canonical. `\Recent` occurs here. */
  | { type: 'flag'; flag: string; present: boolean }
  /** Substring of the decoded header field; an empty value asks whether the field is there. */
  | { type: 'header'; field: string; value: string }
  | { type: 'body' | 'text'; value: string }
  /** BEFORE, ON, SINCE. */
  | { type: 'internaldate'; comparison: DayComparison; day: EpochDay }
  /** SAVEDBEFORE, SAVEDON, SAVEDSINCE (RFC 8514 §4.3). */
  | { type: 'savedate'; comparison: DayComparison; day: EpochDay }
  /** SENTBEFORE, SENTON, SENTSINCE. */
  | { type: 'sentdate'; comparison: DayComparison; day: EpochDay }
  | { type: 'larger' | 'smaller'; sizeBytes: number }
  | { type: 'sequence' | 'uid'; set: SequenceSet }
  /** By age in seconds (RFC 5032). */
  | { type: 'older' | 'younger'; seconds: number }
  /** RFC 8474 §7. */
  | { type: 'emailid' | 'threadid'; id: string }
  /** At least this mod-sequence (RFC 7162 §3.1.5). */
  | { type: 'modseq'; least: number }
  | { type: 'not'; key: SearchKey }
  | { type: 'or'; left: SearchKey; right: SearchKey }
  | { type: 'and'; keys: SearchKey[] };
