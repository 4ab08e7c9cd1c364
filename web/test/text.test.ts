import { expect, test } from "vitest";

import { hue, initials } from "../src/design/avatar.js";
import { excerpt, isEmoji, linkParts, mentionParts, mentionsIn } from "../src/text/parts.js";

const links = (text: string): string[] => linkParts(text).flatMap(({ href }) => href ?? []);

test("only http and https become links", () => {
  expect(links("see https://a.example/x?y=1#z and http://b.example")).toEqual(["https://a.example/x?y=1#z", "http://b.example"]);
  for (const text of ["javascript:alert(1)", "data:text/html,x", "ftp://a.example", "mailto:a@b.example", "https://", "www.a.example"]) {
    expect(links(text), text).toEqual([]);
  }
});

test("punctuation around a link is not part of it", () => {
  expect(links("(https://a.example/x).")).toEqual(["https://a.example/x"]);
  expect(links("https://a.example/x_(y), https://b.example!")).toEqual(["https://a.example/x_(y)", "https://b.example"]);
  expect(links('"https://a.example" <https://b.example>')).toEqual(["https://a.example", "https://b.example"]);
});

test("a link that ends in punctuation and brackets without end holds nobody up", () => {
  const length = 100_000; // far more than a message may have: what is not linear would not end
  for (const tail of [")", "!)", "x)", "](", "*_"]) {
    const text = `https://a.example/${"!".repeat(length)}x${tail.repeat(length)}`;
    expect(linkParts(text).map((part) => part.text).join("")).toBe(text);
  }
  expect(links(`https://a.example/x${")!".repeat(length)}`)).toEqual(["https://a.example/x"]);
});

test("no character of a text is lost or added", () => {
  for (const text of ["", "plain", "a https://x.example, b", "https://x.example", "\n https://x.example/) \n<b>"]) {
    expect(linkParts(text).map((part) => part.text).join("")).toBe(text);
  }
});

test("an @ and the id of a member is a mention, whatever stands after it", () => {
  const members = new Set(["bob", "dr.who", "a@b.example"]);
  expect(mentionsIn("@bob: (@dr.who) and @a@b.example, @bob!", members)).toEqual(["bob", "dr.who", "a@b.example"]);
  expect(mentionsIn("@dr.who. @bob...", members)).toEqual(["dr.who", "bob"]);
  expect(mentionsIn("x@bob https://x.example/@bob @bobby @carol @ bob", members)).toEqual([]);
  expect(mentionParts("hi @bob.", members)).toEqual([{ text: "hi " }, { text: "@bob", user: "bob" }, { text: "." }]);
});

test("an excerpt is one line and cuts no character in two", () => {
  expect(excerpt("  a\n\nb  ")).toBe("a b");
  expect(excerpt("😀".repeat(10), 4)).toBe("😀😀😀…");
  expect(excerpt("abcd", 4)).toBe("abcd");
});

test("a few emoji and nothing else are large", () => {
  expect(["👍", "❤️", "👩‍👩‍👧", "👍🏽 🎉", "😀😀😀"].map(isEmoji)).toEqual([true, true, true, true, true]);
  expect(["", "a 👍", "😀😀😀😀", "12", "#", "©", "👍👍👍👍👍👍", "🇩🇪🇫🇷"].map(isEmoji)).toEqual([false, false, false, false, false, false, false, true]);
});

test("names give initials, and always the same colour", () => {
  expect(["Alice", "bob miller", "carol.x", "", "😀 x"].map(initials)).toEqual(["A", "BM", "CX", "?", "😀X"]);
  expect(hue("alice")).toBe(hue("alice"));
});
