// A crowded timeline as the few lines that are in the document. Pure.

import type { Item } from "@parley-im/client";

import { isEmoji } from "../text/parts.js";

/** A comment: stored, or one's own that is on its way. */
export type Comment = Exclude<Item, { type: "gap" }>;

/** One line of live comments. Keys stay with what they stand for. */
export type Line =
  | { readonly type: "comment"; readonly key: string; readonly item: Comment }
  | {
      /** comments that the server has left out here */
      readonly type: "more";
      readonly key: string;
      readonly count: number;
    };

/** Lines in the document at most: more than anybody reads back in a crowd. */
export const mostLines = 150;

/**
 * The newest lines of a timeline. Deleted comments are gone. How many were left out is what the numbers of the comments around a gap say: a gap that holds no
 * comment, and one at the end, of which that is not known yet, is no line.
 */
export function linesOf(items: readonly Item[], most = mostLines): readonly Line[] {
  const lines: Line[] = [];
  let n = 0;
  let gap: string | undefined;
  for (const item of items.slice(-2 * most)) {
    if (item.type === "gap") {
      gap ??= item.key;
      continue;
    }
    if (item.type === "message") {
      const { message } = item;
      const left = message.n - n - 1;
      if (gap !== undefined && n > 0 && left > 0) lines.push({ type: "more", key: gap, count: left });
      gap = undefined;
      n = message.n;
      if (message.deleted_at !== undefined) continue;
    }
    lines.push({ type: "comment", key: item.key, item });
  }
  return lines.slice(-most);
}

/** What has been seen of a comment: how many reactions of each kind. */
type Seen = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** What to fly up, and what has been seen by then. */
export interface Sparks {
  readonly emoji: readonly string[];
  readonly seen: Seen;
}

/** Emoji that fly up at once, at most. */
const mostSparks = 12;

/** The emoji that have come since: reactions to comments that are shown, and comments that are nothing but emoji. Nothing is new at the first look. */
export function sparksOf(lines: readonly Line[], before: Seen | undefined): Sparks {
  const seen = new Map<string, ReadonlyMap<string, number>>();
  const emoji: string[] = [];
  for (const line of lines) {
    if (line.type !== "comment") continue;
    const { item, key } = line;
    const counts = new Map(item.type === "message" ? item.message.reactions.map((r) => [r.emoji, r.count]) : []);
    const was = before?.get(key);
    for (const [mark, count] of counts) emoji.push(...Array<string>(Math.min(Math.max(count - (was?.get(mark) ?? 0), 0), mostSparks)).fill(mark));
    const text = item.type === "message" ? item.message.text : item.outgoing.draft.text;
    if (!was && text && isEmoji(text)) emoji.push(text.trim());
    seen.set(key, counts);
  }
  return { emoji: before ? emoji.slice(-mostSparks) : [], seen };
}
