// What a list of messages holds on to: one row, or its end. Where that is to be is worked out anew from it whenever rows come, go or turn out to be of
// another size, so it does not matter in which order that happens, nor how long a busy browser takes over it. Pure.

import type { VirtualizerHandle } from "virtua";

import type { Row } from "./rows.js";

/** What keeps its place: the end of the list, or a row, so many pixels below the upper edge of the view or in the middle of it. */
export type Anchor = "end" | { readonly key: string; readonly top: number | "middle" };

/** Where rows are in the list, in pixels, as far as they have been measured: what has not been is estimated. */
export type Layout = Pick<VirtualizerHandle, "findItemIndex" | "getItemOffset" | "getItemSize">;

/** How far a list is to be scrolled for a row to be in its place, in a view so high; undefined where the row is gone. */
export function offsetFor({ key, top }: Exclude<Anchor, "end">, rows: readonly Row[], layout: Layout, height: number): number | undefined {
  const index = rows.findIndex((row) => row.key === key);
  if (index < 0) return undefined;
  return layout.getItemOffset(index) - (top === "middle" ? (height - layout.getItemSize(index)) / 2 : top);
}

/**
 * What to hold on to where the list is scrolled so far: the first message that begins in view, as what is above it may yet be measured. The lines between
 * messages are no hold: the first of them stay at the front when older messages come. Without a message it is the end.
 */
export function anchorAt(offset: number, rows: readonly Row[], layout: Layout): Anchor {
  const from = layout.findItemIndex(offset);
  const index = rows.findIndex((row, i) => i >= from && row.type === "message" && layout.getItemOffset(i) >= offset);
  const row = rows[index] ?? rows.findLast(({ type }) => type === "message");
  return row ? { key: row.key, top: layout.getItemOffset(rows.indexOf(row)) - offset } : "end";
}
