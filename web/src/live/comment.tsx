import { useParley } from "@parley-im/react";
import { memo, type ReactNode } from "react";

import { useName } from "../conversation/names.js";
import { words } from "../conversation/problem.js";
import { Reactions } from "../conversation/reactions.js";
import { exactly } from "../conversation/times.js";
import { Avatar, hue } from "../design/avatar.js";
import { Button, IconButton } from "../design/button.js";
import { Icon } from "../design/icon.js";
import { Text } from "../text/text.js";
import type { Comment as CommentItem } from "./lines.js";
import { secondsUntil } from "./pace.js";
import { useClock } from "./wait.js";

/** The emoji that are one press away. */
export const quick = ["❤️", "👏", "😂", "🔥", "😮", "🎉"] as const;

/** What one does with comments. */
export interface CommentActs {
  react(seq: number, emoji: string, on: boolean): void;
  remove(seq: number): void;
  retry(key: string): void;
  cancel(key: string): void;
}

/** One comment: who, what, and the reactions to it. `active`: the pointer or the focus is on it. */
export const Comment = memo(function Comment({ item, active, moderator, acts }: { item: CommentItem; active: boolean; moderator: boolean; acts: CommentActs }): ReactNode {
  const { me } = useParley();
  const message = item.type === "message" ? item.message : undefined;
  const user = message ? message.user : (me ?? null);
  const name = useName(user);
  const own = user !== null && user === me;
  const { text, mentions } = message ?? (item.type === "outgoing" ? item.outgoing.draft : {});
  const classes = ["comment", own && "own", item.type === "outgoing" && "pending"].filter(Boolean).join(" ");
  return (
    <li className={classes} data-key={item.key} tabIndex={-1}>
      <Avatar id={user ?? ""} name={name} size="small" />
      <div className="comment-body">
        <span className={`comment-author hue-name ${hue(user ?? "")}`} title={message && exactly(message.at)}>{name}</span>
        <Text text={text ?? ""} mentions={mentions ?? []} me={me} />
        {message && <Reactions message={message} acts={{ react: (message, emoji) => acts.react(message.seq, emoji, !message.reactions.some((r) => r.emoji === emoji && r.mine)) }} />}
        {item.type === "outgoing" && <Progress item={item} acts={acts} />}
      </div>
      {active && message && (
        <div className="toolbar" role="toolbar" aria-label="Comment">
          {quick.slice(0, 4).map((emoji) => (
            <button key={emoji} type="button" className="emoji-button" aria-label={`React with ${emoji}`} onClick={() => acts.react(message.seq, emoji, true)}>{emoji}</button>
          ))}
          {(own || moderator) && <IconButton icon="trash" label="Delete" small onClick={() => acts.remove(message.seq)} />}
        </div>
      )}
    </li>
  );
});

/** What becomes of a comment of one's own that is not there yet. */
function Progress({ item, acts }: { item: Extract<CommentItem, { type: "outgoing" }>; acts: CommentActs }): ReactNode {
  const { status, error, retryAt } = item.outgoing;
  const left = secondsUntil(retryAt ?? 0, useClock(retryAt));
  if (status === "failed") {
    return (
      <div className="failure" role="alert">
        <span>Not sent: {words(error)}</span>
        <Button look="plain" onClick={() => acts.retry(item.key)}>Try again</Button>
        <Button look="plain danger" onClick={() => acts.cancel(item.key)}>Discard</Button>
      </div>
    );
  }
  return <span className="comment-note"><Icon name="clock" small />{left > 0 ? `Goes out in ${left} s` : "Waiting to be sent"}</span>;
}
