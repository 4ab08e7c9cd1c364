import type { Item, Message } from "@parley-im/client";
import { expect, test } from "vitest";

import { rowsOf, shifted, type Row } from "../src/conversation/rows.js";
import { step } from "../src/conversation/steps.js";
import { dayTitle, lastSeen, shortTime } from "../src/conversation/times.js";

const morning = Date.parse("2026-05-20T09:00:00Z");

function said(seq: number, user: string, minutes: number): Item {
  const at = new Date(morning + minutes * 60_000).toISOString();
  return { type: "message", key: String(seq), message: { seq, user, at } as Message & { data: unknown }, status: undefined };
}

const kinds = (rows: readonly Row[]): string[] =>
  rows.map((row) => (row.type === "message" ? `${row.key}${row.first ? " first" : ""}${row.last ? " last" : ""}` : row.type));

test("messages of one author close together are one group", () => {
  const items = [said(1, "bob", 0), said(2, "bob", 1), said(3, "alice", 2), said(4, "alice", 8), said(5, "alice", 9)];
  expect(kinds(rowsOf(items, undefined, "alice"))).toEqual(["start", "day", "1 first", "2 last", "3 first last", "4 first", "5 last"]);
});

test("a new day has a line, and begins a group", () => {
  const day = 24 * 60;
  expect(kinds(rowsOf([said(1, "bob", 0), said(2, "bob", day), said(3, "bob", 3 * day)], undefined, "alice"))).toEqual([
    "start", "day", "1 first last", "day", "2 first last", "day", "3 first last",
  ]);
});

test("the line of what is new stands above the first message of others, once, and begins a group", () => {
  const items = [said(1, "bob", 0), said(2, "bob", 1), said(3, "alice", 1), said(4, "bob", 2), said(5, "bob", 2)];
  expect(kinds(rowsOf(items, 2, "alice"))).toEqual(["start", "day", "1 first", "2 last", "3 first last", "new", "4 first", "5 last"]);
  expect(kinds(rowsOf(items, 5, "alice"))).not.toContain("new");
  expect(kinds(rowsOf(items, undefined, "alice"))).not.toContain("new");
  expect(kinds(rowsOf(items, 1, "alice")).slice(2, 5)).toEqual(["1 first last", "new", "2 first last"].toSpliced(0, 1, "1 first"));
});

test("rows that are as before are the same objects", () => {
  const items = [said(1, "bob", 0), said(2, "alice", 1)];
  const before = rowsOf(items, undefined, "alice");
  const after = rowsOf([...items, said(3, "bob", 2)], undefined, "alice", before);
  expect(before.filter((row) => row.type === "message").every((row) => after.includes(row))).toBe(true);
});

const list = (...seqs: number[]): readonly Row[] => rowsOf(seqs.map((seq) => said(seq, "bob", seq * 10)), undefined, "alice");

test("what came or went at the front is counted", () => {
  expect(shifted(list(5, 6), list(3, 4, 5, 6))).toBe(2);
  expect(shifted(list(3, 4, 5), list(5, 6))).toBe(-2);
  expect(shifted(list(3), list(3, 4, 5))).toBe(0);
  expect(shifted(list(3), list(8, 9))).toBe(0);
});

test("a change at both ends is shown in two steps, first that at the front", () => {
  const shown = list(5, 6, 7);
  const to = list(3, 4, 5, 6);
  const first = step(shown, to);
  expect(first.shift).toBe(true);
  expect(first.rows.length - shown.length).toBe(2);
  expect(first.rows.filter((row) => row.type === "message").map((row) => row.key)).toEqual(["3", "4", "5", "6", "7"]);
  expect(step(first.rows, to)).toEqual({ rows: to, shift: false, fresh: false });
});

test("a change at one end is one step, and a list that shares nothing with the one before is fresh", () => {
  expect(step(list(5), list(4, 5))).toMatchObject({ shift: true, fresh: false });
  expect(step(list(5), list(5, 6))).toMatchObject({ shift: false, fresh: false });
  expect(step(list(5), list(50, 51))).toMatchObject({ shift: false, fresh: true });
  expect(step(list(), list(5))).toMatchObject({ shift: false, fresh: false });
});

test("times have names", () => {
  const now = new Date(2026, 4, 20, 9, 0).getTime();
  const at = (...time: [number, number, number, number?, number?]): number => new Date(...time).getTime();
  expect(dayTitle(at(2026, 4, 20, 0, 1), now)).toBe("Today");
  expect(dayTitle(at(2026, 4, 19, 23, 59), now)).toBe("Yesterday");
  expect(dayTitle(at(2024, 4, 1), now)).toMatch(/2024/);
  expect(shortTime(at(2026, 4, 1), now)).not.toMatch(/:/);
  expect(lastSeen(new Date(now - 20_000).toISOString(), now)).toBe("Last seen just now");
  expect(lastSeen(new Date(now - 5 * 60_000).toISOString(), now)).toBe("Last seen 5 min ago");
  expect(lastSeen(new Date(at(2026, 4, 19, 20, 15)).toISOString(), now)).toMatch(/^Last seen yesterday at /);
});
