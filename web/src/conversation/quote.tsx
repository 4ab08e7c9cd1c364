import { useParley } from "@parley-im/react";
import type { ReactNode } from "react";

import { hue } from "../design/avatar.js";
import { plainText } from "../text/parse.js";
import { excerpt } from "../text/parts.js";
import { useMessage, useName } from "./names.js";

/** What a message answers, in short; a press leads there. */
export function Quote({ room, seq, onJump }: { room: string; seq: number; onJump(seq: number): void }): ReactNode {
  const message = useMessage(room, seq);
  const { me } = useParley();
  const name = useName(message?.user);
  const gone = message === null || message?.deleted_at !== undefined;
  return (
    <button type="button" className={message ? `quote ${hue(message.user ?? "")}` : "quote"} onClick={() => onJump(seq)}>
      {message && <span className="quote-name hue-name">{message.user === me ? "You" : name} </span>}
      <span className="quote-text">{gone ? "Message deleted" : message ? excerpt(plainText(message.text ?? ""), 90) : "…"}</span>
    </button>
  );
}
