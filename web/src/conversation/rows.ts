// A timeline as rows: messages in groups, with a line for each new day and one above what is new. Pure.

import type { Gap, Item } from "@parley-im/client";

import { dayOf } from "./times.js";

/** One row of a conversation. Keys stay with what they stand for. */
export type Row =
  | { readonly type: "start"; readonly key: string }
  | { readonly type: "day"; readonly key: string; readonly at: string | number }
  | { readonly type: "new"; readonly key: string }
  | { readonly type: "gap"; readonly key: string; readonly gap: Gap }
  | {
      readonly type: "message";
      readonly key: string;
      readonly item: Exclude<Item, { type: "gap" }>;
      /** the first of its group, which says whose it is */
      readonly first: boolean;
      /** the last of its group, which has the tail */
      readonly last: boolean;
    };

/** Messages of one author this close together are one group. */
const together = 5 * 60_000;

/** Who wrote an item, and when. */
export function origin(item: Exclude<Item, { type: "gap" }>, me: string | undefined): { user: string | null; at: string | number } {
  return item.type === "message" ? item.message : { user: me ?? null, at: item.outgoing.at };
}

/** Makes rows. The line goes above the first message of others after `readUpTo`; undefined, and there is none. Rows that are as before stay the same objects. */
export function rowsOf(items: readonly Item[], readUpTo: number | undefined, me: string | undefined, before: readonly Row[] = []): readonly Row[] {
  const known = new Map(before.map((row) => [row.key, row]));
  const rows: Row[] = [{ type: "start", key: "start" }];
  let marked = readUpTo === undefined;
  items.forEach((item, i) => {
    if (item.type === "gap") {
      rows.push({ type: "gap", key: item.key, gap: item.gap });
      return;
    }
    const previous = items[i - 1];
    const { user, at } = origin(item, me);
    const day = dayOf(at);
    if (!previous || previous.type === "gap" || dayOf(origin(previous, me).at) !== day) rows.push({ type: "day", key: `day ${day}`, at });
    const isNew = !marked && item.type === "message" && item.message.seq > readUpTo! && user !== me;
    if (isNew) {
      rows.push({ type: "new", key: "new" });
      marked = true;
    }
    const next = items[i + 1];
    rows.push({ type: "message", key: item.key, item, first: isNew || !continues(previous, item, me), last: !next || !continues(item, next, me) });
  });
  return rows.map((row) => {
    const was = known.get(row.key);
    return was && same(was, row) ? was : row;
  });
}

function continues(previous: Item | undefined, item: Item, me: string | undefined): boolean {
  if (!previous || previous.type === "gap" || item.type === "gap") return false;
  const [a, b] = [origin(previous, me), origin(item, me)];
  return a.user === b.user && dayOf(a.at) === dayOf(b.at) && new Date(b.at).getTime() - new Date(a.at).getTime() < together;
}

function same(a: Row, b: Row): boolean {
  if (a.type === "message") return b.type === "message" && a.item === b.item && a.first === b.first && a.last === b.last;
  return a.type === b.type && a.type !== "day" && a.type !== "gap";
}

/** What a change of rows did to the front of the list: how many came before those that were there, negative where some went. */
export function shifted(before: readonly Row[], after: readonly Row[]): number {
  const first = before.find((row) => row.type === "message");
  const head = after.find((row) => row.type === "message");
  if (!first || !head) return 0;
  const from = after.findIndex((row) => row.key === first.key);
  if (from >= 0) return from - before.indexOf(first);
  const gone = before.findIndex((row) => row.key === head.key);
  return gone >= 0 ? after.indexOf(head) - gone : 0;
}
