// Message text as a tree of what is allowed in it: the part of Markdown that people write in messages. Whatever is nothing of it stays the text that was written,
// character by character. No HTML exists at any point: a tree goes in to React as elements and strings.
//
// It is our own because it is in every page that embeds a conversation: a whole Markdown lexer, most of whose rules no message has, would be a quarter of
// the script there. Where it is not as CommonMark has it, it is as messages are meant: a quote ends with its last “>”, a list with its last item, and
// 2*3*4 and snake_case are no emphasis.

/** One element of a message. `text` is literal. */
export type Node =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "code"; readonly text: string }
  | { readonly type: "block"; readonly text: string }
  | { readonly type: "strong" | "em" | "del" | "paragraph" | "quote" | "item"; readonly inside: readonly Node[] }
  | { readonly type: "list"; readonly start: number | undefined; readonly inside: readonly Node[] }
  | { readonly type: "link"; readonly href: string; readonly inside: readonly Node[] };

/** Nesting beyond which text stays as written: deeper is no message, and the stack has an end. */
const deepest = 12;
/** Elements beyond which it does, too: more are no message, and would keep the page busy for long. */
const most = 600;

const fence = /^ {0,3}(`{3,}|~{3,}) *[\w+#.-]* *$/;
const quote = /^ {0,3}> ?/;
const item = /^ ?([*+-]|\d{1,9}[.)]) +(?=\S)/;

/** Reads a message. Never throws, whatever the text; takes time in proportion to its length. */
export function parse(text: string): readonly Node[] {
  const nodes = blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0);
  return elements(nodes) > most ? [{ type: "paragraph", inside: [{ type: "text", text }] }] : nodes;
}

function elements(nodes: readonly Node[]): number {
  return nodes.reduce((sum, node) => sum + (node.type === "text" ? 0 : 1) + ("inside" in node ? elements(node.inside) : 0), 0);
}

/** What a message says without its structure, for where there is one line for it. */
export function plainText(text: string): string {
  return parse(text).map(flat).join(" ");
}

function flat(node: Node): string {
  return "text" in node ? node.text : node.inside.map(flat).join(node.type === "list" || node.type === "quote" ? " " : "");
}

/** The blocks that lines are; one of them, at least. */
function blocks(lines: readonly string[], depth: number): Node[] {
  if (depth >= deepest) return [paragraph(lines, depth)];
  const nodes: Node[] = [];
  let plain: string[] = [];
  const flush = (): void => {
    if (plain.length > 0) nodes.push(paragraph(plain, depth));
    plain = [];
  };
  for (let at = 0; at < lines.length;) {
    const line = lines[at]!;
    if (begins(line, plain.length > 0)) {
      flush();
      const { node, end } = block(lines, at, depth);
      nodes.push(node);
      at = end;
    } else {
      if (blank(line)) flush();
      else plain.push(line);
      at++;
    }
  }
  flush();
  return nodes.length > 0 ? nodes : [paragraph(lines, depth)];
}

function blank(line: string | undefined): boolean {
  return line?.trim() === "";
}

/** Whether a line begins something else than a paragraph. Within one, a number begins a list only if it is the first. */
function begins(line: string, within: boolean): boolean {
  const mark = item.exec(line)?.[1];
  return fence.test(line) || quote.test(line) || (mark !== undefined && (!within || !/\d/.test(mark) || /^1[.)]/.test(mark)));
}

/** The block that begins with a line, and where the next one does. */
function block(lines: readonly string[], from: number, depth: number): { node: Node; end: number } {
  const line = lines[from]!;
  const mark = fence.exec(line)?.[1];
  if (mark !== undefined) {
    const last = new RegExp(`^ {0,3}${mark}${mark[0]}* *$`);
    let end = from + 1;
    while (end < lines.length && !last.test(lines[end]!)) end++;
    return { node: { type: "block", text: lines.slice(from + 1, end).join("\n") }, end: end + 1 };
  }
  if (!quote.test(line)) return list(lines, from, depth);
  let end = from + 1;
  while (end < lines.length && quote.test(lines[end]!)) end++;
  return { node: { type: "quote", inside: blocks(lines.slice(from, end).map((line) => line.replace(quote, "")), depth + 1) }, end };
}

/** A list: items of one kind, each with the lines that are indented below it. */
function list(lines: readonly string[], from: number, depth: number): { node: Node; end: number } {
  const kind = (line: string | undefined): string | undefined => item.exec(line ?? "")?.[1]!.at(-1);
  const mark = item.exec(lines[from]!)![1]!;
  const items: Node[] = [];
  let at = from;
  while (kind(lines[at]) === mark.at(-1)) {
    const { length } = item.exec(lines[at]!)![0];
    const inside = [lines[at]!.slice(length)];
    for (at++; indented(lines[at]) || (blank(lines[at]) && indented(lines[at + 1])); at++) {
      inside.push(lines[at]!.slice(Math.min(length, lines[at]!.search(/\S|$/))));
    }
    items.push({ type: "item", inside: blocks(inside, depth + 1) });
    if (blank(lines[at]) && kind(lines[at + 1]) === mark.at(-1)) at++; // a loose list
  }
  return { node: { type: "list", start: /\d/.test(mark) ? Number.parseInt(mark, 10) : undefined, inside: items }, end: at };
}

/** Whether a line belongs to the item above it. */
function indented(line: string | undefined): boolean {
  return line !== undefined && /^ {2,}\S/.test(line);
}

function paragraph(lines: readonly string[], depth: number): Node {
  return { type: "paragraph", inside: inline(lines.join("\n"), depth) };
}

const plainLink = /https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?…*_~)\]]/iy;
const namedLink = /\[((?:[^[\]]|\[[^[\]]*\])*)\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+"[^"]*")?\s*\)/y;
const safe = /^(?:https?:\/\/|mailto:)/i;
const word = /[\p{L}\p{N}]/u;

/** What stands within a paragraph. */
function inline(text: string, depth: number): Node[] {
  const nodes: Node[] = [];
  const missing = new Set<string>(); // marks that nothing closes from here on
  let from = 0;
  const put = (node: Node | undefined, at: number, end: number): number => {
    if (!node) return end;
    if (at > from) nodes.push({ type: "text", text: text.slice(from, at) });
    nodes.push(node);
    return (from = end);
  };
  for (let i = 0; i < text.length && depth < deepest;) {
    const character = text[i]!;
    if (character === "`") {
      const { node, end } = code(text, i, missing);
      i = put(node, i, end);
    } else if (character === "[" || character === "h" || character === "H") {
      const { node, end } = link(text, i, depth);
      i = put(node, i, end);
    } else if (character === "*" || character === "_" || character === "~") {
      const { node, end } = emphasis(text, i, depth, missing);
      i = put(node, i, end);
    } else i += character === "\\" ? 2 : 1; // a mark behind a backslash is none
  }
  if (from < text.length) nodes.push({ type: "text", text: text.slice(from) });
  return nodes;
}

/** What begins at a place and where it ends; without a node it is text. */
interface Found {
  readonly node?: Node;
  readonly end: number;
}

/** How often the character at a place is repeated there. */
function run(text: string, at: number): number {
  let end = at;
  while (text[end] === text[at]) end++;
  return end - at;
}

function code(text: string, at: number, missing: Set<string>): Found {
  const length = run(text, at);
  const mark = "`".repeat(length);
  const begin = at + length;
  for (let end = missing.has(mark) ? -1 : text.indexOf(mark, begin); end >= 0;) {
    const closing = run(text, end);
    if (closing === length) {
      const inside = text.slice(begin, end).replace(/\n/g, " ");
      return { node: { type: "code", text: /^ .*\S.* $/.test(inside) ? inside.slice(1, -1) : inside }, end: end + length };
    }
    end = text.indexOf(mark, end + closing);
  }
  missing.add(mark);
  return { end: begin };
}

/** A link with a name. A plain one stays text, in which linkParts finds it; nothing in it is markup. An image is none of either. */
function link(text: string, at: number, depth: number): Found {
  if (text[at] !== "[") {
    plainLink.lastIndex = at;
    return { end: plainLink.test(text) ? plainLink.lastIndex : at + 1 };
  }
  namedLink.lastIndex = at;
  const [whole = "", name = "", href = ""] = namedLink.exec(text) ?? [];
  if (!whole) return { end: at + 1 };
  const end = at + whole.length;
  if (text[at - 1] === "!" || !safe.test(href) || !URL.canParse(href)) return { end };
  return { node: { type: "link", href, inside: inline(name, depth + 1).flatMap((node) => node.type === "link" ? node.inside : [node]) }, end };
}

function emphasis(text: string, at: number, depth: number, missing: Set<string>): Found {
  const length = run(text, at);
  const mark = text.slice(at, at + length);
  const begin = at + length;
  const opens = length <= 3 && (mark[0] !== "~" || length === 2) && !word.test(before(text, at)) && /\S/.test(text[begin] ?? " ");
  const end = opens && !missing.has(mark) ? closing(text, begin, mark) : -1;
  if (end < 0) {
    if (opens) missing.add(mark);
    return { end: begin };
  }
  const inside = inline(text.slice(begin, end), depth + 1);
  const strong = { type: mark[0] === "~" ? "del" : "strong", inside } as const;
  return { node: length === 2 ? strong : { type: "em", inside: length === 3 ? [strong] : inside }, end: end + length };
}

/** Where a mark is closed; -1 if nowhere. Code and links on the way are passed as a whole. */
function closing(text: string, from: number, mark: string): number {
  const missing = new Set<string>();
  for (let i = from; i < text.length;) {
    if (text[i] === "`") i = code(text, i, missing).end;
    else if (text[i] === "[" || /h/i.test(text[i]!)) i = passed(text, i);
    else if (text[i] === mark[0]) {
      const length = run(text, i);
      if (length === mark.length && i > from && /\S/.test(text[i - 1]!) && !(mark[0] === "_" && word.test(text.slice(i + length, i + length + 1)))) return i;
      i += length;
    } else i += text[i] === "\\" ? 2 : 1;
  }
  return -1;
}

/** The end of the link at a place, or the next place. */
function passed(text: string, at: number): number {
  const found = text[at] === "[" ? namedLink : plainLink;
  found.lastIndex = at;
  return found.test(text) ? found.lastIndex : at + 1;
}

/** The character before a place, whole. */
function before(text: string, at: number): string {
  return [...text.slice(Math.max(0, at - 2), at)].at(-1) ?? "";
}
