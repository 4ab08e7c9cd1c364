import { expect, test } from "vitest";

import { parse, type Node } from "../src/text/parse.js";

/** A tree as a line: what is literal in quotes. */
function said(nodes: readonly Node[]): string {
  return nodes.map((node) => {
    switch (node.type) {
      case "text": return JSON.stringify(node.text);
      case "code": case "block": return `${node.type}(${JSON.stringify(node.text)})`;
      case "link": return `link(${node.href} ${said(node.inside)})`;
      case "list": return `${node.start === undefined ? "ul" : `ol${node.start}`}(${said(node.inside)})`;
      default: return `${node.type}(${said(node.inside)})`;
    }
  }).join(" ");
}
const inParagraph = (text: string): string => said(parse(text)).replace(/^paragraph\((.*)\)$/s, "$1");

test.each([
  ["plain", '"plain"'],
  ["two\nlines", '"two\\nlines"'],
  ["**strong** and *em* and __strong__ and _em_", 'strong("strong") " and " em("em") " and " strong("strong") " and " em("em")'],
  ["~~gone~~ ~not~", 'del("gone") " ~not~"'],
  ["***both***", 'em(strong("both"))'],
  ["**bold *and* bold**", 'strong("bold " em("and") " bold")'],
  ["*it **bold** it*", 'em("it " strong("bold") " it")'],
  ["2*3*4, snake_case_name, a * b * c", '"2*3*4, snake_case_name, a * b * c"'],
  ["**open, *never closed", '"**open, *never closed"'],
  ["(*aside*) “_quoted_”.", '"(" em("aside") ") “" em("quoted") "”."'],
  ["`code *not em*` and ``a ` b``", 'code("code *not em*") " and " code("a ` b")'],
  ["*a `*` b*", 'em("a " code("*") " b")'],
  ["` alone", '"` alone"'],
  ["[name](https://a.example/x_(y)?z=1)", 'link(https://a.example/x_(y)?z=1 "name")'],
  ["[**b** `c`](mailto:a@b.example)", 'link(mailto:a@b.example strong("b") " " code("c"))'],
  ['[t](https://a.example "title")', 'link(https://a.example "t")'],
  ["[x](javascript:alert(1)) [y](//a.example) [z](data:text/html,x)", '"[x](javascript:alert(1)) [y](//a.example) [z](data:text/html,x)"'],
  ["![i](https://a.example/i.png)", '"![i](https://a.example/i.png)"'],
  ["[a [b](https://b.example) c](https://c.example)", 'link(https://c.example "a " "b" " c")'],
  ["https://a.example/_x_/*y* and *https://b.example*", '"https://a.example/_x_/*y* and " em("https://b.example")'],
  ["<b>bold</b> &amp; <script>alert(1)</script>", '"<b>bold</b> &amp; <script>alert(1)</script>"'],
  ["# no heading", '"# no heading"'],
  ["a | b\n--|--", '"a | b\\n--|--"'],
  ["¯\\_(ツ)_/¯", '"¯\\\\_(ツ)_/¯"'],
  ["\\*as written\\*", '"\\\\*as written\\\\*"'],
])("%s", (text, tree) => expect(inParagraph(text)).toBe(tree));

test.each([
  ["one\n\ntwo", 'paragraph("one") paragraph("two")'],
  ["> a\n> b\nc", 'quote(paragraph("a\\nb")) paragraph("c")'],
  ["> > deep", 'quote(quote(paragraph("deep")))'],
  ["- a\n- b\nc", 'ul(item(paragraph("a")) item(paragraph("b"))) paragraph("c")'],
  ["- a\n  - b\n  more\n- c", 'ul(item(paragraph("a") ul(item(paragraph("b"))) paragraph("more")) item(paragraph("c")))'],
  ["2. a\n3. b", 'ol2(item(paragraph("a")) item(paragraph("b")))'],
  ["1) a\n\n2) b", 'ol1(item(paragraph("a")) item(paragraph("b")))'],
  ["I was born in\n1986. A great year", 'paragraph("I was born in\\n1986. A great year")'],
  ["- a\n* b", 'ul(item(paragraph("a"))) ul(item(paragraph("b")))'],
  ["-1 and +1", 'paragraph("-1 and +1")'],
  ["```js\nif (a) {\n\n  b\n}\n```\nafter", 'block("if (a) {\\n\\n  b\\n}") paragraph("after")'],
  ["~~~~\n~~~\n~~~~~", 'block("~~~")'],
  ["```\nnever closed", 'block("never closed")'],
  ["```js\nlet x\n```", 'block("let x")'],
  ["```no language\nx", 'paragraph("```no language\\nx")'],
  ["```one line```", 'paragraph(code("one line"))'],
  ["> ```\n> x\n> ```", 'quote(block("x"))'],
  ["    four spaces", 'paragraph("    four spaces")'],
  ["\r\na\r\n\r\nb", 'paragraph("a") paragraph("b")'],
  ["", 'paragraph()'],
])("%j", (text, tree) => expect(said(parse(text))).toBe(tree));

/** Everything that a tree shows. */
function shown(nodes: readonly Node[]): string {
  return nodes.map((node) => ("text" in node ? node.text : shown(node.inside))).join("");
}

test("no text is too much, and none of its letters is lost", () => {
  const pieces = ["*", "**", "_", "~~", "`", "``", "[", "](", ")", "(https://a.example)", "> ", "- ", "1. ", "\n", "\n\n", "  ", "```\n", "a", "b ", "é", "😀", "https://x.example/", "!"];
  let seed = 1;
  const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
  for (let round = 0; round < 2000; round++) {
    const text = Array.from({ length: 1 + random(40) }, () => pieces[random(pieces.length)]).join("");
    const letters = (text: string): string => text.replace(/[^é😀]/gu, "");
    expect(letters(shown(parse(text))), JSON.stringify(text)).toBe(letters(text));
  }
});

test("more structure than anybody means is shown as written", () => {
  const text = "_a_ ".repeat(1000);
  expect(parse(text)).toEqual([{ type: "paragraph", inside: [{ type: "text", text }] }]);
  expect(said(parse("- a\n".repeat(250)))).toMatch(/^ul\(item/);
});

test("takes no longer for being contrived", () => {
  const most = 8192; // what a message may have
  for (const piece of ["*a ", "**a", "_a ", "`", "` `` ", "[", "[a](", "[[a]", "> ", "- ", "*a **b ", "https://", "> a\n- b\n", "h", "***a*** ", "~~ ", "1. "]) {
    expect(parse(piece.repeat(most / piece.length)).length, piece).toBeGreaterThan(0);
  }
}, 2000);
