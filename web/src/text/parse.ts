// Message text as a tree of what is allowed in it. The lexer of marked finds the structure; whatever is not on the list below stays the text that was
// written, character by character. No HTML exists at any point: a tree goes in to React as elements and strings.

import { Marked, type Token, type Tokens } from "marked";

/** One element of a message. `text` is literal. */
export type Node =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "code"; readonly text: string }
  | { readonly type: "block"; readonly text: string }
  | { readonly type: "strong" | "em" | "del" | "paragraph" | "quote" | "item"; readonly inside: readonly Node[] }
  | { readonly type: "list"; readonly start: number | undefined; readonly inside: readonly Node[] }
  | { readonly type: "link"; readonly href: string; readonly inside: readonly Node[] };

const never = (): undefined => undefined;

/** The lexer, without the rules for what a message has not: what they would have matched is text to the rules that remain. */
const marked = new Marked({
  gfm: true,
  tokenizer: {
    heading: never,
    lheading: never,
    hr: never,
    html: never,
    tag: never,
    def: never,
    table: never,
    code: never, // by indentation: people indent without meaning code
    reflink: never,
    autolink: never,
    url: never, // links in plain text are found by linkParts
    br: never,
    escape: never,
    emStrong(src, _masked, before = "") {
      // 2*3*4 and snake_case are no emphasis; the default rules decide about the rest.
      return /[\p{L}\p{N}]$/u.test(before) && /^[*_]/.test(src) ? undefined : false;
    },
  },
});

const safe = /^(?:https?:\/\/|mailto:)/i;

/** Nesting beyond which text stays as written: deeper is no message, and the stack has an end. */
const deepest = 12;

/** Reads a message. Never throws, whatever the text. */
export function parse(text: string): readonly Node[] {
  if (nested(text)) return [{ type: "paragraph", inside: [{ type: "text", text }] }];
  return blocks(marked.lexer(text), text);
}

/** What a message says without its structure, for where there is one line for it. */
export function plainText(text: string): string {
  return parse(text).map(flat).join(" ");
}

function flat(node: Node): string {
  return "text" in node ? node.text : node.inside.map(flat).join(node.type === "list" || node.type === "quote" ? " " : "");
}

/** Whether a text opens more quotes or lists in one line than anybody means. */
function nested(text: string): boolean {
  return new RegExp(`^(?:[\\t ]*(?:>|[*+-]|\\d+[.)])[\\t ]*){${deepest},}`, "m").test(text);
}

function blocks(tokens: readonly Token[], raw: string): Node[] {
  const nodes = tokens.flatMap((token): Node[] => {
    switch (token.type) {
      case "space":
        return [];
      case "paragraph":
      case "text":
        return [{ type: "paragraph", inside: inline(token.tokens ?? [], token.raw.replace(/\n+$/, "")) }];
      case "code":
        return [{ type: "block", text: (token as Tokens.Code).text }];
      case "blockquote":
        return [{ type: "quote", inside: blocks(token.tokens ?? [], token.raw) }];
      case "list": {
        const { ordered, start, items } = token as Tokens.List;
        return [{ type: "list", start: ordered ? Number(start) : undefined, inside: items.map((item) => ({ type: "item", inside: blocks(item.tokens, item.raw) })) }];
      }
      default:
        return [{ type: "paragraph", inside: [{ type: "text", text: token.raw }] }];
    }
  });
  return nodes.length > 0 ? nodes : [{ type: "paragraph", inside: [{ type: "text", text: raw }] }];
}

function inline(tokens: readonly Token[], raw: string): Node[] {
  if (tokens.length === 0) return [{ type: "text", text: raw }];
  return joined(tokens.map((token): Node => {
    switch (token.type) {
      case "strong":
      case "em":
      case "del":
        return { type: token.type, inside: inline(token.tokens ?? [], token.raw) };
      case "codespan":
        return { type: "code", text: (token as Tokens.Codespan).text };
      case "link": {
        const { href, tokens: inside } = token as Tokens.Link;
        return safe.test(href) && URL.canParse(href) ? { type: "link", href, inside: inline(inside, token.raw) } : { type: "text", text: token.raw };
      }
      default:
        return { type: "text", text: token.raw };
    }
  }));
}

/** Neighbouring texts as one, so that links and mentions are found across what the lexer has cut. */
function joined(nodes: readonly Node[]): Node[] {
  return nodes.reduce<Node[]>((out, node) => {
    const last = out.at(-1);
    if (node.type === "text" && last?.type === "text") out[out.length - 1] = { type: "text", text: last.text + node.text };
    else out.push(node);
    return out;
  }, []);
}
