import type { Message } from "@parley-im/client";
import { useEffect, useRef, useState, type ReactNode } from "react";

import { IconButton } from "../design/button.js";

/** What can be done with a message. */
export interface Acts {
  react(message: Message, emoji: string): void;
  reply(message: Message): void;
  edit(message: Message): void;
  remove(message: Message): void;
  thread(message: Message): void;
}

/** The reactions that are one press away. */
export const quick = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"] as const;

/** The tools of the message under the pointer or the focus. */
export function Toolbar({ message, own, moderator, threaded, acts }: { message: Message; own: boolean; moderator: boolean; threaded: boolean; acts: Acts }): ReactNode {
  const [picking, setPicking] = useState(false);
  const bar = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (picking) bar.current!.querySelector("button")!.focus();
  }, [picking]);
  if (picking) {
    return (
      <div ref={bar} className="toolbar" role="toolbar" aria-label="Message">
        {quick.map((emoji) => (
          <button key={emoji} type="button" className="emoji-button" aria-label={`React with ${emoji}`} onClick={() => {
            setPicking(false);
            acts.react(message, emoji);
          }}>{emoji}</button>
        ))}
      </div>
    );
  }
  return (
    <div ref={bar} className="toolbar" role="toolbar" aria-label="Message">
      <IconButton icon="smile" label="React" small onClick={() => setPicking(true)} />
      <IconButton icon="reply" label="Reply" small onClick={() => acts.reply(message)} />
      {own && <IconButton icon="edit" label="Edit" small onClick={() => acts.edit(message)} />}
      {!threaded && <IconButton icon="thread" label="Thread" small onClick={() => acts.thread(message)} />}
      {(own || moderator) && <IconButton icon="trash" label="Delete" small onClick={() => acts.remove(message)} />}
    </div>
  );
}
