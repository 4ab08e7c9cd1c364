import { bounds, type Room } from "@parley-im/client";
import { useId, useRef, useState, type FormEvent, type ReactNode } from "react";

import { EmojiButton } from "../conversation/emoji.js";
import { Icon } from "../design/icon.js";
import { quick } from "./comment.js";
import { secondsUntil } from "./pace.js";
import { useClock } from "./wait.js";

/** Longer comments than this nobody reads in a crowd, in characters. */
const longest = 500;

/** Where one comments. `until` is when one may again; `slow`, the seconds between two comments that the room asks for. */
export function Composer({ room, slow, until, onSend }: { room: Room; slow: number; until: number; onSend(sent: Promise<unknown>): void }): ReactNode {
  const [text, setText] = useState("");
  const note = useId();
  const input = useRef<HTMLInputElement>(null);
  const left = secondsUntil(until, useClock(until));
  const say = (text: string): void => {
    if (left > 0 || text === "") return;
    onSend(room.send({ text }));
  };
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const said = text.trim();
    if (left > 0 || said === "" || new TextEncoder().encode(said).length > bounds.maxTextBytes) return;
    say(said);
    setText("");
  };
  return (
    <form className="live-composer" onSubmit={submit}>
      <div className="live-reactions" role="toolbar" aria-label="Reactions">
        {quick.map((emoji) => (
          <button key={emoji} type="button" className="emoji-button" aria-label={`Send ${emoji}`} disabled={left > 0} onClick={() => say(emoji)}>{emoji}</button>
        ))}
        <span id={note} className="live-note">{left > 0 ? `Wait ${left} s` : slow > 0 ? `Slow mode: ${slow} s` : ""}</span>
      </div>
      <div className="composer-row">
        <input
          ref={input} dir="auto" aria-label="Comment" aria-describedby={note} placeholder="Say something" maxLength={longest} autoComplete="off" enterKeyHint="send"
          value={text} onChange={(event) => setText(event.target.value)}
        />
        <EmojiButton input={input} onText={setText} />
        <button className="send" aria-label={left > 0 ? `Send in ${left} s` : "Send"} title="Send" disabled={left > 0 || text.trim() === ""}>
          {left > 0 ? <span className="live-left">{left}</span> : <Icon name="send" />}
        </button>
      </div>
    </form>
  );
}
