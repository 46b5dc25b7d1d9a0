/** The elements that mean something to a reader of mail, by how they stand in a text. All others are as if only their text were there. */

/**
 * `mark`: goes on within the next block when one begins in the middle of it. `block`: ends an open paragraph. `rule`: a block
 * without content. `part`: of a table. `around`: of the whole text, no element of it.
 */
export type Kind = 'text' | 'mark' | 'block' | 'rule' | 'void' | 'table' | 'part' | 'around';

const NAMES: Readonly<Record<Kind, string>> = {
  text: 'ABBR ACRONYM BDI BDO BIG CITE DFN FONT INS KBD LABEL LEGEND NOBR Q SAMP SMALL SPAN STRIKE SUB SUP TIME TT U VAR',
  mark: 'A B CODE DEL EM I S STRONG',
  block:
    'ADDRESS ARTICLE ASIDE BLOCKQUOTE CENTER DD DETAILS DIR DIV DL DT FIELDSET FIGCAPTION FIGURE FOOTER FORM ' +
    'H1 H2 H3 H4 H5 H6 HEADER LI MAIN NAV OL P PRE SECTION SUMMARY UL',
  rule: 'HR',
  void: 'BR IMG INPUT LINK WBR',
  table: 'TABLE',
  part: 'CAPTION COL COLGROUP TBODY TD TFOOT TH THEAD TR',
  around: 'HTML BODY',
};

const entries = (Object.keys(NAMES) as Kind[]).flatMap((kind) =>
  NAMES[kind].split(' ').map((nodeName) => [nodeName.toLowerCase(), { kind, nodeName }] as const),
);

/** By name in small letters. */
export const ELEMENTS: ReadonlyMap<string, { kind: Kind; nodeName: string }> = new Map(entries);

/** Those within a line: the search for what an item of a list ends goes through them. */
export const INLINE: ReadonlySet<string> = new Set(
  entries.filter(([, { kind }]) => kind === 'text' || kind === 'mark').map(([, { nodeName }]) => nodeName),
);

/** Marks that Markdown cannot have around blocks: a block that begins within them has them within it. */
export const NEVER_AROUND_BLOCKS: ReadonlySet<string> = new Set(['B', 'DEL', 'EM', 'I', 'S', 'STRONG']);

/** Nothing in them is text for readers. */
export const SILENT: ReadonlySet<string> = new Set(
  'script style textarea noscript head title template object embed iframe svg math'.split(' '),
);
