import type { Message } from "@parley-im/client";
import type { ReactNode } from "react";

import type { Acts } from "./toolbar.js";

/** Those under a message: each says how many, and whether one is among them; a press adds one's own or takes it back. */
export function Reactions({ message, acts }: { message: Message; acts: Pick<Acts, "react"> }): ReactNode {
  if (message.reactions.length === 0) return null;
  return (
    <div className="reactions">
      {message.reactions.map(({ emoji, count, mine }) => (
        <button key={emoji} type="button" className="reaction" aria-pressed={mine} aria-label={`${emoji}, ${count}`} onClick={() => acts.react(message, emoji)}>
          <span>{emoji}</span>
          <span className="count">{count}</span>
        </button>
      ))}
    </div>
  );
}
