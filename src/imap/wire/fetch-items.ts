/** What FETCH can ask of a message (RFC 9051 §6.4.5 and extensions), as checked values. */
import type { Section } from '../../mime/structure/section.ts';

export interface FetchSection {
  type: 'section';
  section: Section;
  /** False when fetching sets \Seen. */
  peek: boolean;
  partial: { offset: number; count: number } | null;
  /** Name of the item in the answer: `BODY` takes the section in brackets, the others stand alone. */
  label: 'BODY' | 'RFC822' | 'RFC822.HEADER' | 'RFC822.TEXT';
}

/** A part without its transfer encoding (RFC 3516 §4.2). */
export interface FetchBinary {
  type: 'binary';
  /** Part numbers; empty for the message itself. */
  part: number[];
  /** False when fetching sets \Seen. */
  peek: boolean;
  partial: { offset: number; count: number } | null;
}

export interface FetchBinarySize {
  type: 'binary.size';
  part: number[];
}

/** The first words of a message (RFC 8970 §3.1). `lazy`: only when they are known already. */
export interface FetchPreview {
  type: 'preview';
  lazy: boolean;
}

export type FetchItem =
  | {
      type:
        | 'flags'
        | 'uid'
        | 'modseq'
        | 'emailid'
        | 'threadid'
        | 'internaldate'
        | 'savedate'
        | 'rfc822.size'
        | 'envelope'
        | 'body'
        | 'bodystructure';
    }
  | FetchSection
  | FetchBinary
  | FetchBinarySize
  | FetchPreview;
