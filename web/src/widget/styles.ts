// The look of the elements: the client's own, in a sheet that is shared by all of them. No style element exists, so a page's policy has nothing to allow.

import conversation from "../conversation/conversation.css?inline";
import base from "../design/base.css?inline";
import primitives from "../design/primitives.css?inline";
import tokens from "../design/tokens.css?inline";
import live from "../live/live.css?inline";
import text from "../text/text.css?inline";
import widget from "./widget.css?inline";

/** Tokens that a page may set: --parley-accent is --accent within. docs/guides/embed.md names them. */
export const themable = [
  "accent", "on-accent", "surface", "raised", "log", "hover", "line", "text", "soft", "faint", "bubble", "own", "on-own", "danger", "font", "size", "radius",
] as const;

/** A style sheet in which what a page may set goes over what is set here. */
export function themed(css: string): string {
  return css.replace(new RegExp(`(?<![\\w-])--(${themable.join("|")}):([^;}]+)`, "g"), (_, name: string, value: string) => `--${name}:var(--parley-${name},${value.trim()})`);
}

/** The sheet, made once for each set of elements. */
export function sheetOf(): CSSStyleSheet {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync([themed(tokens), base, primitives, text, conversation, live, widget].join("\n"));
  return sheet;
}
