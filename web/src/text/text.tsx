import { Fragment, memo, useMemo, type ReactNode } from "react";

import { isEmoji, linkParts, mentionParts } from "./parts.js";
import { parse, type Node } from "./parse.js";

/** What a text is shown with: the users it names, and who looks at it. */
interface Named {
  readonly mentions: ReadonlySet<string>;
  readonly me: string | undefined;
}

const nobody: readonly string[] = [];

/** The text of a message: paragraphs, emphasis, code, quotes, lists, links, mentions, and nothing else. */
export const Text = memo(function Text({ text, mentions = nobody, me }: { text: string; mentions?: readonly string[]; me?: string | undefined }): ReactNode {
  const nodes = useMemo(() => parse(text), [text]);
  const named = useMemo(() => ({ mentions: new Set(mentions), me }), [mentions, me]);
  const [only] = nodes;
  if (nodes.length === 1 && only?.type === "paragraph") {
    return <div className={isEmoji(text) ? "text line emoji" : "text line"} dir="auto">{only.inside.map((inner, i) => show(inner, i, named))}</div>;
  }
  return <div className="text" dir="auto">{nodes.map((node, i) => show(node, i, named))}</div>;
});

function show(node: Node, key: number, named: Named): ReactNode {
  switch (node.type) {
    case "text":
      return <Fragment key={key}>{plain(node.text, named)}</Fragment>;
    case "code":
      return <code key={key}>{node.text}</code>;
    case "block":
      return <pre key={key} tabIndex={0}><code>{node.text}</code></pre>;
    case "list": {
      const items = node.inside.map((item, i) => show(item, i, named));
      return node.start === undefined ? <ul key={key}>{items}</ul> : <ol key={key} start={node.start}>{items}</ol>;
    }
    case "link":
      return <Link key={key} href={node.href}>{node.inside.map((inner, i) => (inner.type === "text" ? inner.text : show(inner, i, named)))}</Link>;
    default: {
      const Tag = ({ strong: "strong", em: "em", del: "del", paragraph: "p", quote: "blockquote", item: "li" } as const)[node.type];
      return <Tag key={key}>{node.inside.map((inner, i) => show(inner, i, named))}</Tag>;
    }
  }
}

function plain(text: string, { mentions, me }: Named): ReactNode[] {
  return linkParts(text).flatMap(({ text, href }, i): ReactNode[] => {
    if (href) return [<Link key={i} href={href}>{text}</Link>];
    return mentionParts(text, mentions).map(({ text, user }, j) =>
      user ? <span key={`${i} ${j}`} className={user === me ? "mention mine" : "mention"}>{text}</span> : text);
  });
}

function Link({ href, children }: { href: string; children: ReactNode }): ReactNode {
  return <a href={href} target="_blank" rel="noopener noreferrer nofollow">{children}</a>;
}
