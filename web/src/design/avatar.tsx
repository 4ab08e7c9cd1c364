import type { ReactNode } from "react";

import { Icon } from "./icon.js";

const hues = 8;

/** One or two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.split(/[\s._\-:@]+/).filter(Boolean);
  const chosen = words.length > 1 ? [words[0]!, words.at(-1)!] : words;
  return chosen.map((word) => [...word][0]!.toUpperCase()).join("") || "?";
}

/** The class of a colour that is always the same for the same id. */
export function hue(id: string): string {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + character.codePointAt(0)!) >>> 0;
  return `hue-${sum % hues}`;
}

/** Stands for a person or a room; the name is always beside it, so it is hidden from those who are read to. */
export function Avatar({ id, name, kind = "user", size = "", online }: {
  id: string; name: string; kind?: "user" | "group" | "channel" | "live"; size?: "" | "small" | "large"; online?: boolean;
}): ReactNode {
  const classes = ["avatar", hue(id), size, kind === "user" ? "" : "room", online ? "online" : ""];
  return (
    <span className={classes.filter(Boolean).join(" ")} aria-hidden="true">
      {kind === "channel" || kind === "live" ? <Icon name={kind === "live" ? "live" : "hash"} /> : initials(name)}
    </span>
  );
}
