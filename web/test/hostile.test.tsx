// Whatever people write stays text.

import { renderToStaticMarkup } from "react-dom/server";
import { createElement } from "react";
import { describe, expect, test } from "vitest";

import { parse, plainText, type Node } from "../src/text/parse.js";
import { Text } from "../src/text/text.js";

const corpus = [
  "<script>alert(1)</script>",
  '<img src=x onerror="alert(1)">',
  "<svg/onload=alert(1)>",
  '"><iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
  "' autofocus onfocus='alert(1)' x='",
  "javascript:alert(1)",
  "[click](javascript:alert(1))",
  "[click](JaVaScRiPt:alert(1))",
  "[click](java\nscript:alert(1))",
  "[click](&#106;avascript:alert(1))",
  "[click](data:text/html,<script>alert(1)</script>)",
  "[click](vbscript:x)",
  "[click](//evil.example)",
  "[click](file:///etc/passwd)",
  "[click](blob:https://a.example/x)",
  "![image](https://evil.example/x.png)",
  "![image](javascript:alert(1))",
  "<javascript:alert(1)>",
  "<https://a.example/onclick=x>",
  '<a href="javascript:alert(1)">click</a>',
  "[a]: javascript:alert(1)\n[a]",
  'https://example.com/"onmouseover="alert(1)',
  "https://example.com/<img/src=x/onerror=alert(1)>",
  "**<b>x</b>** `<i>` ~~<u>~~",
  "```html\n<script>alert(1)</script>\n```",
  "``` \" onload=alert(1)\nx\n```",
  "> <img src=x>\n- <svg>\n1. <math>",
  "{{constructor.constructor('alert(1)')()}} ${alert(1)}",
  "</span></div></li></ol><style>* { display: none }</style>",
  "&lt;b&gt; &amp;amp; &#x3c;script&#x3e;",
  "<!-- --><![CDATA[x]]><?php x ?><!DOCTYPE x>",
  "\u202Egnp.exe\u2066<b>\u2069",
  "[x](https://a.example 'onclick=alert(1)')",
  "[x](https://user:pass@a.example/)",
  "| a | b |\n|---|---|\n| <b> | c |",
  "# <h1>",
  "\u0000<scr\u0000ipt>",
  "@<b>bob</b> @bob",
];

/** What a message may consist of. */
const allowed = new Set(["div", "p", "strong", "em", "del", "code", "pre", "ul", "ol", "li", "blockquote", "a", "span"]);

function rendered(text: string): HTMLElement {
  const host = document.createElement("div");
  host.innerHTML = renderToStaticMarkup(createElement(Text, { text, mentions: ["bob"], me: "alice" }));
  return host;
}

describe("a message holds only what it may", () => {
  for (const text of corpus) {
    test(JSON.stringify(text), () => {
      for (const element of rendered(text).querySelectorAll("*")) {
        expect(allowed).toContain(element.localName);
        for (const name of element.getAttributeNames()) expect(["class", "dir", "href", "target", "rel", "tabindex", "start"]).toContain(name);
        if (element.localName !== "a") continue;
        expect(element.getAttribute("href")).toMatch(/^(https?:\/\/|mailto:)/);
        expect(element.getAttribute("rel")).toBe("noopener noreferrer nofollow");
        expect(element.getAttribute("target")).toBe("_blank");
      }
    });
  }
});

test("what is not on the list is shown as it was written", () => {
  for (const text of ["<b>x</b>", "# no heading", "Title\n===", "---", "| a |\n|---|", "[x](javascript:y)", "&lt; &amp;", "    indented", "2*3*4", "snake_case_name", "![x](https://a.example)", "\\*x\\*", "[a]: https://a.example"]) {
    expect(rendered(text).textContent, text).toBe(text);
  }
});

test("what is on the list is shown as it was meant", () => {
  const html = (text: string): string => rendered(text).querySelector(".text")!.innerHTML;
  expect(html("**a** *b* _c_ ~~d~~ `e`")).toBe("<strong>a</strong> <em>b</em> <em>c</em> <del>d</del> <code>e</code>");
  expect(html("a\nb")).toBe("a\nb");
  expect(html("a\n\nb")).toBe("<p>a</p><p>b</p>");
  expect(html("- a\n- b")).toContain("<li><p>a</p></li><li><p>b</p></li>");
  expect(html("3. a\n4. b")).toContain('<ol start="3">');
  expect(html("> a")).toBe("<blockquote><p>a</p></blockquote>");
  expect(html("```js\nlet a = '<b>';\n```")).toBe('<pre tabindex="0"><code>let a = \'&lt;b&gt;\';</code></pre>');
  expect(html("[a](https://b.example/c)")).toContain('href="https://b.example/c"');
  expect(html("see https://b.example/c.")).toMatch(/see <a href="https:\/\/b.example\/c"[^>]*>https:\/\/b.example\/c<\/a>\./);
  expect(html("**see https://b.example**")).toMatch(/<strong>see <a href="https:\/\/b.example"/);
  expect(html("hi @bob and @carol")).toBe('hi <span class="mention">@bob</span> and @carol');
  expect(html("mail [me](mailto:a@b.example)")).toContain('href="mailto:a@b.example"');
});

test("a text without its structure is one line of words", () => {
  expect(plainText("**Yes**, see `x`\n\n- one\n- two")).toBe("Yes, see x one two");
  expect(plainText("[the page](https://a.example)")).toBe("the page");
});

test("no text is too much, and none is lost", () => {
  const depth = (node: Node): number => ("text" in node ? 1 : 1 + Math.max(0, ...node.inside.map(depth)));
  const hostile = [
    ">".repeat(8000), "> ".repeat(4000), "- ".repeat(4000), "1. ".repeat(2700), "*".repeat(8000), "_*".repeat(4000), "[".repeat(8000), "](".repeat(4000), "`".repeat(8000), "~".repeat(8000),
    `${"*_".repeat(2000)}x${"_*".repeat(2000)}`, `${"**a ".repeat(1000)}${"b** ".repeat(1000)}`, `${"[".repeat(2000)}a${"](b)".repeat(1500)}`, "https://".repeat(1000), "@a".repeat(4000), "\n".repeat(8000), " ".repeat(8000), "> a\n- b\n".repeat(1000), "<".repeat(8000), "` ".repeat(4000), "~~a ".repeat(2000),
    `${"**a ".repeat(60)}${"b** ".repeat(60)}`,
  ];
  for (const text of hostile) {
    expect(Math.max(0, ...parse(text).map(depth)), text.slice(0, 20)).toBeLessThan(60);
    expect(() => renderToStaticMarkup(createElement(Text, { text })), text.slice(0, 20)).not.toThrow();
  }
});
