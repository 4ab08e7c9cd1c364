// Plain text cut into parts: links, mentions, short forms. Nothing here knows of markup.

const link = /https?:\/\/[^\s<>"'`]+/gi;
/** What belongs to the sentence around a link or an id that it ends. */
const trailing = ".,;:!?…*_~";
/** An @ that begins a word, and as much after it as may be a user id. */
const mention = /(?<![\w@.:/-])@([\w.:@-]+)/g;

/** A piece of text; `href` of a link, `user` of a mention. */
export interface Part {
  readonly text: string;
  readonly href?: string;
  readonly user?: string;
}

/** Cuts a text at its links. Only http and https are links; a full stop or an unmatched bracket at the end belongs to the sentence around it. */
export function linkParts(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(link)) {
    const found = trimmed(match[0]);
    if (!URL.canParse(found)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    parts.push({ text: found, href: found });
    end = match.index + found.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** A link without what belongs to the sentence around it. In one pass, since a link may be as long as a message: no text may hold up who reads it. */
function trimmed(found: string): string {
  const unmatched = new Map([[")", missing(found, "(", ")")], ["]", missing(found, "[", "]")]]);
  let end = found.length;
  for (; end > 0; end--) {
    const last = found[end - 1]!;
    const brackets = unmatched.get(last);
    if (brackets === undefined ? !trailing.includes(last) : brackets <= 0) break;
    if (brackets !== undefined) unmatched.set(last, brackets - 1);
  }
  return found.slice(0, end);
}

/** How many brackets of a text close what was not opened. */
function missing(text: string, open: string, close: string): number {
  return text.split(close).length - text.split(open).length;
}

/** A text without the punctuation at its end. */
function unpunctuated(text: string): string {
  let end = text.length;
  while (end > 0 && trailing.includes(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** Cuts a text at “@id” for each of the ids that are known. A full stop at the end of an id ends a sentence. */
export function mentionParts(text: string, known: Pick<ReadonlySet<string>, "has">): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const { 1: found = "", index } of text.matchAll(mention)) {
    const user = [found, unpunctuated(found)].find((id) => known.has(id));
    if (!user) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    end = index + 1 + user.length;
    parts.push({ text: text.slice(index, end), user });
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** The users that a text names with “@id”, once each. */
export function mentionsIn(text: string, members: Pick<ReadonlySet<string>, "has">): string[] {
  return [...new Set(mentionParts(text, members).flatMap(({ user }) => user ?? []))];
}

/** One line of at most `length` characters. */
export function excerpt(text: string, length = 120): string {
  const line = text.replace(/\s+/g, " ").trim();
  const characters = [...line.slice(0, 2 * length + 2)];
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : line;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Whether a text is up to three emoji and nothing else, which are shown large. */
export function isEmoji(text: string): boolean {
  if (text.length > 60) return false;
  const found = [...graphemes.segment(text.replace(/\s+/g, ""))].map(({ segment }) => segment);
  return found.length > 0 && found.length <= 3 && found.every((one) => /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f/u.test(one));
}

/** Whether a text runs from right to left: its first letter says so, as for dir="auto". */
export function isRightToLeft(text: string): boolean {
  const first = /\p{L}/u.exec(text)?.[0];
  return first !== undefined && /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u.test(first);
}
