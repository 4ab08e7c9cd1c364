import { expect, test } from "vitest";

import { anchorAt, offsetFor, type Layout } from "../src/conversation/anchor.js";
import type { Row } from "../src/conversation/rows.js";

/** Rows by name, those with a number messages, and where they are, each so high. */
function list(heights: Record<string, number>): [readonly Row[], Layout] {
  const names = Object.keys(heights);
  const rows = names.map((name) => ({ type: name.startsWith("m") ? "message" : name, key: name }) as Row);
  const getItemSize = (index: number): number => heights[names[index]!]!;
  const getItemOffset = (index: number): number => names.slice(0, index).reduce((sum, name) => sum + heights[name]!, 0);
  const findItemIndex = (offset: number): number => Math.max(0, names.findLastIndex((_, index) => getItemOffset(index) <= offset));
  return [rows, { getItemSize, getItemOffset, findItemIndex }];
}

const view = 300;

test("what is in view stays where it is, whatever comes in above and whatever size that turns out to have", () => {
  const before = list({ start: 50, day: 30, m4: 40, m5: 40, m6: 400 });
  const anchor = anchorAt(100, ...before);
  expect(anchor).toEqual({ key: "m5", top: 20 });
  if (anchor === "end") throw new Error("a row is held");
  expect(offsetFor(anchor, ...before, view)).toBe(100);
  expect(offsetFor(anchor, ...list({ start: 50, day: 30, m1: 40, m2: 40, m3: 40, m4: 40, m5: 40, m6: 400 }), view)).toBe(220);
  expect(offsetFor(anchor, ...list({ start: 50, day: 30, m1: 90, m2: 40, m3: 40, m4: 70, m5: 40, m6: 400 }), view)).toBe(300);
  expect(offsetFor(anchor, ...list({ m5: 40, m6: 400 }), view)).toBe(-20);
});

test("at the very top it is not the line there that is held, which stays at the top", () => {
  expect(anchorAt(0, ...list({ start: 50, day: 30, m1: 40, m2: 400 }))).toEqual({ key: "m1", top: 80 });
});

test("below the beginning of the last message that one is held, and without messages the end", () => {
  expect(anchorAt(250, ...list({ start: 50, m1: 400 }))).toEqual({ key: "m1", top: -200 });
  expect(anchorAt(0, ...list({ start: 50 }))).toBe("end");
});

test("a row that was jumped to is in the middle, and once it is gone it is nowhere", () => {
  const middle = { key: "m2", top: "middle" } as const;
  expect(offsetFor(middle, ...list({ start: 50, m1: 500, m2: 100, m3: 500 }), view)).toBe(450);
  expect(offsetFor(middle, ...list({ start: 50, m1: 500, m2: 40, m3: 500 }), view)).toBe(420);
  expect(offsetFor(middle, ...list({ start: 50, m1: 500 }), view)).toBeUndefined();
});
