import { expect, test } from "vitest";

import { groups, search } from "../src/emoji/list.js";
import { keep, recent } from "../src/emoji/picker.js";
import { isEmoji } from "../src/text/parts.js";

const all = groups.flatMap((group) => group.emoji);
const found = (query: string): string[] => search(query).map(({ emoji }) => emoji);

test("each emoji is one, is drawn as one, is there once, has a name and fits into a reaction", () => {
  const one = new Intl.Segmenter(undefined, { granularity: "grapheme" });
  expect(all.filter(({ emoji, name }) => [...one.segment(emoji)].length !== 1 || !isEmoji(emoji) || name.trim() !== name || name === "" || new TextEncoder().encode(emoji).length > 32)).toEqual([]);
  expect(all.length).toBe(new Set(all.map(({ emoji }) => emoji)).size);
  expect(all.filter(({ words }) => words.some((word) => !/^[\p{L}-]+$/u.test(word)))).toEqual([]);
});

test("emoji are found by the beginnings of their words, or by themselves; those come first that are called so", () => {
  expect(found("pizz")).toEqual(["🍕"]);
  expect(found(" Heart  Brok ")).toEqual(["💔"]);
  expect(found("thumbs")).toEqual(["👍", "👎"]);
  expect(found("cat")[0]).toBe("🐱");
  expect(found("ear")[0]).toBe("👂"); // and not the beginning of what ends so
  expect(found("👀")).toEqual(["👀"]);
  expect(found("heart").length).toBeGreaterThan(10);
  expect(found("xyz")).toEqual([]);
});

test("what was used last is kept, the last one first, whatever the storage does", () => {
  const storage = (): Storage => localStorage;
  localStorage.clear();
  for (const emoji of ["👍", "🎉", "👍"]) keep(storage, emoji);
  expect(recent(storage).map(({ emoji }) => emoji)).toEqual(["👍", "🎉"]);
  for (const { emoji } of all.slice(0, 40)) keep(storage, emoji);
  expect(recent(storage).length).toBe(24);
  for (const bad of ["<b>", "{}", '["<b>x</b>", 7, null, ["👍"]]', "null"]) {
    localStorage.setItem("parley.emoji", bad);
    expect(recent(storage)).toEqual([]);
  }
  keep(storage, "🎉");
  expect(recent(storage).map(({ emoji }) => emoji)).toEqual(["🎉"]);
  const forbidden = (): Storage => {
    throw new DOMException("no storage", "SecurityError");
  };
  keep(forbidden, "👍");
  expect(recent(forbidden)).toEqual([]);
  const full = () => ({ getItem: () => null, setItem: () => { throw new DOMException("full", "QuotaExceededError"); } });
  keep(full, "👍");
});
