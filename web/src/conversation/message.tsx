import type { Message as MessageObject } from "@parley-im/client";
import { useParley } from "@parley-im/react";
import { memo, type CSSProperties, type ReactNode } from "react";

import { Avatar, hue } from "../design/avatar.js";
import { Button } from "../design/button.js";
import { isRightToLeft } from "../text/parts.js";
import { Text } from "../text/text.js";
import { useName } from "./names.js";
import { words } from "./problem.js";
import { Quote } from "./quote.js";
import { Reactions } from "./reactions.js";
import { origin, type Row } from "./rows.js";
import { Status, type Progress } from "./status.js";
import { clock, exactly } from "./times.js";
import { Toolbar, type Acts, type Opened } from "./toolbar.js";

/** What can be done with a message, and from where one gets to others. */
export interface MessageActs extends Acts {
  jump(seq: number): void;
  /** opens something of the message that has its tools shown, or closes what is open */
  open(what: Opened | undefined): void;
  retry(key: string): void;
  cancel(key: string): void;
}

/** How a message is shown. */
export interface MessageProps {
  readonly row: Extract<Row, { type: "message" }>;
  readonly room: string;
  /** between two, nobody needs to be named */
  readonly direct: boolean;
  /** may delete what others have said */
  readonly moderator: boolean;
  /** the pointer or the focus is on it */
  readonly active: boolean;
  /** what is open of it */
  readonly open?: Opened | undefined;
  /** one has just come here from elsewhere */
  readonly flash: boolean;
  /** the root of the thread that is shown: what every message there answers need not be said */
  readonly thread: number | undefined;
  readonly acts: MessageActs;
}

/** One message: bubble, reactions, and what to do where it was not sent. */
export const Message = memo(function Message({ row, room, direct, moderator, active, open, flash, thread, acts }: MessageProps): ReactNode {
  const { me } = useParley();
  const { item, first, last } = row;
  const { user } = origin(item, me);
  const name = useName(user);
  const own = user === me;
  const message = item.type === "message" ? item.message : undefined;
  const deleted = message?.deleted_at !== undefined;
  const usable = message !== undefined && !deleted;
  const classes = ["message", own ? "own" : "other", first && "first", last && "last", direct && "direct", flash && "flash"].filter(Boolean).join(" ");
  return (
    <div className={classes} data-key={row.key} data-usable={usable || undefined} tabIndex={-1}>
      {!own && !direct && first && <Avatar id={user ?? ""} name={name} size="small" />}
      <Bubble row={row} room={room} own={own} deleted={deleted} thread={thread} acts={acts} author={!own && !direct && first ? name : undefined} said={own ? "You" : name}>
        {active && usable && (
          <Toolbar message={message} own={own} moderator={moderator} threaded={thread !== undefined} open={open} acts={acts} />
        )}
      </Bubble>
      {usable && <Reactions message={message} acts={acts} />}
      {message && thread === undefined && message.replies > 1 && (
        <Button look="plain" className="replies" onClick={() => acts.thread(message)}>{message.replies} replies</Button>
      )}
      {item.status === "failed" && (
        <div className="failure" role="alert">
          <span>Not sent: {words(item.type === "outgoing" && item.outgoing.error)}</span>
          <Button look="plain" onClick={() => acts.retry(item.key)}>Try again</Button>
          <Button look="plain danger" onClick={() => acts.cancel(item.key)}>Discard</Button>
        </div>
      )}
    </div>
  );
});

function Bubble({ row: { item }, room, own, deleted, thread, author, said, acts, children }: {
  row: MessageProps["row"]; room: string; own: boolean; deleted: boolean; thread: number | undefined; author: string | undefined; said: string; acts: MessageActs; children: ReactNode;
}): ReactNode {
  const { me } = useParley();
  const message = item.type === "message" ? item.message : undefined;
  const draft = item.type === "outgoing" ? item.outgoing.draft : undefined;
  const { user, at } = origin(item, me);
  const reply = message ? message.reply_to : draft?.reply_to;
  const edited = message?.edited_at !== undefined && !deleted;
  const text = message ? textOf(message) : (draft?.text ?? "");
  const time = clock(at);
  const meta = { "--meta": `${(time.length + (edited ? 8 : 0)) * 7 + (own ? 30 : 12)}px` } as CSSProperties;
  return (
    <div className={["bubble", deleted && "deleted", isRightToLeft(text) && "rtl"].filter(Boolean).join(" ")} style={meta}>
      {author === undefined ? <p className="unseen">{said}</p> : <p className={`author hue-name ${hue(user ?? "")}`}>{author}</p>}
      {reply !== undefined && reply !== thread && !deleted && <Quote room={room} seq={reply} onJump={acts.jump} />}
      {deleted
        ? <div className="text line">This message was deleted</div>
        : <Text text={text} mentions={(message ?? draft)?.mentions ?? []} me={me} />}
      <span className="meta">
        {edited && <span>edited</span>}
        <time dateTime={new Date(at).toISOString()} title={exactly(at)}>{time}</time>
        {own && !deleted && item.status && <Status progress={item.status satisfies Progress} />}
      </span>
      {children}
    </div>
  );
}

/** A message without text brings data of an application, or attachments, which this client does not know how to show. */
function textOf(message: MessageObject): string {
  return message.text ?? (message.attachments?.map(({ name }) => name).filter(Boolean).join(", ") || "(This message has no text.)");
}
