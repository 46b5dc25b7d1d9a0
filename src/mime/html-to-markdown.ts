/**
 * HTML of mail to Markdown without HTML (SMIMP 0.1 §4.1): parsed once, then walked by turndown with rules of our own
 * (html-rules.ts). No scripts, styles or hidden text, no schemes but the harmless ones, and every `<` of the text escaped.
 * What is not safe to take apart (too large, too deep) becomes its text.
 */
import { parseHtml } from './html-parse.ts';
import { BREAK, turnedDown } from './html-rules.ts';
import { htmlToBareText, isModestHtml } from './html-text.ts';
import type { HtmlElement } from './html-tree.ts';
import { textToMarkdown } from './text-to-markdown.ts';

/** Called for a picture held in the HTML itself; answers with the content id it gets as an attachment. */
export type OnDataImage = (picture: { contentType: string; base64: string }) => string;

const DATA_IMAGE = /^data:(image\/[a-z0-9.+-]{1,40});base64,([A-Za-z0-9+/=\s]+)$/i;

/** Markdown of cleaned HTML (text.ts). Without `onDataImage`, pictures within the HTML leave their text. */
export function htmlToMarkdown(html: string, onDataImage?: OnDataImage): string {
  if (!isModestHtml(html)) return textToMarkdown(htmlToBareText(html));
  const tree = parseHtml(html);
  if (onDataImage !== undefined) takeOutPictures(tree.whole, onDataImage);
  return placeBreaks(turnedDown(tree)).trim();
}

/** A picture in the HTML itself is from then on one that is attached. */
function takeOutPictures(whole: HtmlElement, onDataImage: OnDataImage): void {
  for (const picture of whole.querySelectorAll('img')) {
    const [, contentType, base64] = DATA_IMAGE.exec(picture.attribute('src')) ?? [];
    if (contentType === undefined || base64 === undefined || picture.isUnseen()) continue;
    picture.setAttribute('src', `cid:${onDataImage({ contentType: contentType.toLowerCase(), base64 })}`);
  }
}

/** Breaks, no-break spaces, quotes, code, and empty lines that are more than one or hold spaces. */
const TO_PLACE = /[\ufdd0\u00a0`>]|\n *\n *\n|\n +\n/;

/** A break before text is a hard one; before a blank line or the end it is nothing. Lines of no-break spaces are layout. */
function placeBreaks(markdown: string): string {
  if (!TO_PLACE.test(markdown)) return markdown;
  const lines = markdown.split('\n').filter((line) => !/^\u00a0[\u00a0 ]*$/.test(line));
  const placed = lines.map((line, index) => {
    if (isEmpty(line)) return line.replaceAll(BREAK, '').trimEnd();
    const text =
      line.endsWith(BREAK) && !isEmpty(lines[index + 1] ?? '') ? `${line.replace(BREAKS_AT_END, '')}\\` : line;
    return text.replaceAll(BREAK, '');
  });
  return withoutGaps(placed).join('\n');
}

/** Empty paragraphs are layout: of several empty lines one stays, but for those within preformatted text. */
function withoutGaps(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let fence: string | null = null;
  for (const line of lines) {
    const mark = /^[> ]*(`{3,})/.exec(line)?.[1] ?? null;
    if (fence === null) fence = mark;
    else if (mark === fence) fence = null;
    const last = kept.at(-1);
    if (fence !== null || line !== last || !/^[> ]*$/.test(line)) kept.push(line);
  }
  return kept;
}

const BREAKS_AT_END = /(?<![ \ufdd0])[ \ufdd0]+$/;
const isEmpty = (line: string): boolean => /^[> \ufdd0]*$/.test(line);
