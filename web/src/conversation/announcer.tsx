import type { Item } from "@parley-im/client";
import { useParley } from "@parley-im/react";
import { useEffect, useRef, useState, type ReactNode } from "react";

import { plainText } from "../text/parse.js";
import { excerpt } from "../text/parts.js";
import { useName } from "./names.js";

/**
 * Tells who cannot see the list what others say while it is open. The list itself cannot be told of: its elements come and go as one scrolls.
 * The text is looked up each time, so that nothing of a deleted message stays here.
 */
export function Announcer({ items, live }: { items: readonly Item[]; live: boolean }): ReactNode {
  const { me } = useParley();
  const newest = items.findLast((item) => item.type === "message" && item.message.user !== me);
  const seq = live && newest?.type === "message" ? newest.message.seq : undefined;
  const seen = useRef<number | undefined>(undefined);
  const [told, setTold] = useState<number>();
  useEffect(() => {
    if (seq === undefined) return;
    if (seen.current !== undefined && seq > seen.current) setTold(seq);
    seen.current = Math.max(seq, seen.current ?? 0);
  }, [seq]);
  const item = told === undefined ? undefined : items.findLast((item) => item.type === "message" && item.message.seq === told);
  const message = item?.type === "message" && item.message.deleted_at === undefined ? item.message : undefined;
  const name = useName(message?.user);
  return <div className="unseen" aria-live="polite">{message && `${name} says: ${excerpt(plainText(message.text ?? ""), 400)}`}</div>;
}
