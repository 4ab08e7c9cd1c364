import type { Item, Message, Outgoing } from "@parley-im/client";
import { expect, test } from "vitest";

import { linesOf, sparksOf, type Line } from "../src/live/lines.js";
import { busy, looked, secondsUntil, type Look } from "../src/live/pace.js";
import { waitUntil } from "../src/live/wait.js";
import { hashOf, parseRoute } from "../src/app/route.js";

function comment(n: number, more: Partial<Message> = {}): Item {
  const seq = 10 * n; // there are other events between comments
  const message = { room: "r", seq, rev: seq, n, user: "bob", client_id: `c${n}`, text: `comment ${n}`, data: null, attachments: null, replies: 0, mentions: [], reactions: [], at: "2026-01-01T00:00:00.000Z", ...more };
  return { type: "message", key: String(seq), message: message as Message & { data: null }, status: undefined };
}
const gap = (from: number, to: number): Item => ({ type: "gap", key: `gap ${from}`, gap: { from, to } });
const outgoing = (more: Partial<Outgoing>): Item => ({
  type: "outgoing", key: "o", status: more.status ?? "pending", outgoing: { draft: { room: "r", client_id: "o", text: "mine" }, at: 0, status: "pending", ...more },
});
const shown = (lines: readonly Line[]): string[] => lines.map((line) => line.type === "more" ? `${line.count} more` : line.item.type === "message" ? line.item.message.text ?? "" : "outgoing");

test("what was left out is counted in comments, by their numbers", () => {
  expect(shown(linesOf([comment(1), gap(11, 79), comment(8), gap(81, 89), comment(9), outgoing({})]))).toEqual(["comment 1", "6 more", "comment 8", "comment 9", "outgoing"]);
  expect(shown(linesOf([gap(1, 9), comment(3), gap(31, 99)]))).toEqual(["comment 3"]); // what is at either end is not known
});

test("a deleted comment is gone, and is none that was left out", () => {
  expect(shown(linesOf([comment(1), comment(2, { deleted_at: "2026-01-01T00:00:00.000Z", text: null }), comment(3)]))).toEqual(["comment 1", "comment 3"]);
  expect(shown(linesOf([comment(1), comment(2, { deleted_at: "2026-01-01T00:00:00.000Z" }), gap(21, 39), comment(4)]))).toEqual(["comment 1", "1 more", "comment 4"]);
});

test("only the newest lines are in the document", () => {
  const lines = linesOf(Array.from({ length: 1000 }, (_, i) => comment(i + 1)), 100);
  expect([lines.length, shown(lines)[0], shown(lines).at(-1)]).toEqual([100, "comment 901", "comment 1000"]);
});

test("reactions that are new fly up, and comments that are nothing but emoji", () => {
  const before = sparksOf(linesOf([comment(1, { reactions: [{ emoji: "🔥", count: 2, mine: false }] }), comment(2, { text: "🎉" })]), undefined);
  expect(before.emoji).toEqual([]); // what was there already is no news
  const after = linesOf([comment(1, { reactions: [{ emoji: "🔥", count: 4, mine: false }, { emoji: "❤️", count: 1, mine: true }] }), comment(2, { text: "🎉" }), comment(3, { text: "👏" }), comment(4)]);
  const sparks = sparksOf(after, before.seen);
  expect(sparks.emoji).toEqual(["🔥", "🔥", "❤️", "👏"]);
  expect(sparksOf(after, sparks.seen).emoji).toEqual([]);
  const many = linesOf([comment(1, { reactions: [{ emoji: "🔥", count: 5000, mine: false }] })]);
  expect(sparksOf(many, sparks.seen).emoji.length).toBeLessThanOrEqual(12);
});

test("a room runs when there is more than one can read by the way", () => {
  const after = (...counts: number[]): readonly Look[] => counts.reduce<readonly Look[]>((looks, n, i) => looked(looks, { at: i * 500, n }), []);
  expect(busy(after(0, 1, 2, 3, 4))).toBe(false);
  expect(busy(after(0, 3, 6, 9))).toBe(true);
  expect(busy(looked(after(0, 3, 6, 9), { at: 10_000, n: 9 }))).toBe(false); // and does not when it has been still for a while
  expect(after(...Array.from({ length: 500 }, (_, i) => i)).length).toBeLessThan(25);
});

test("slow mode counts from one's last comment, and believes the server", () => {
  expect(waitUntil([], undefined, 5)).toBe(0);
  expect(waitUntil([], 1000, 5)).toBe(6000);
  expect(waitUntil([], 1000, 0)).toBe(0);
  expect(waitUntil([outgoing({ retryAt: 9000 })], 1000, 5)).toBe(9000);
  expect(waitUntil([outgoing({ status: "failed", retryAt: 9000 })], undefined, 0)).toBe(0);
  expect([secondsUntil(6000, 1000), secondsUntil(6000, 5500), secondsUntil(6000, 7000)]).toEqual([5, 1, 0]);
});

test("a live room has an address", () => {
  expect(parseRoute("#/live/r_1")).toEqual({ page: "live", room: "r_1" });
  expect(hashOf({ page: "live", room: "r_1" })).toBe("#/live/r_1");
  expect(parseRoute("#/live/<b>")).toEqual({ page: "inbox" });
});
