import type { InboxEntry, Item, Message, Room } from "@parley-im/client";
import { useParley, useTimeline } from "@parley-im/react";
import { useMemo, useRef, type ReactNode } from "react";

import { IconButton } from "../design/button.js";
import { useActs } from "./acts.js";
import { closedBecause, Composer, ComposerClosed } from "./composer.js";
import { Removal } from "./conversation.js";
import { Message as MessageView, type MessageActs } from "./message.js";
import { MessageList } from "./message-list.js";
import { useMessage, useTitle } from "./names.js";

/** The replies below a message, beside the room that they are in. */
export function Thread({ room, entry, root, onClose }: { room: Room; entry: InboxEntry; root: number; onClose(): void }): ReactNode {
  const { items, room: _, timeline, ...rest } = useTimeline(room.id, root);
  const state = { items, ...rest };
  const { me } = useParley();
  const title = useTitle(entry.room);
  const input = useRef<HTMLTextAreaElement>(null);
  const { acts, editing, edited, removing, removed, problem } = useActs(room, input, () => {});
  const here = useMemo(() => ({ ...acts, reply: () => input.current?.focus() }), [acts]);
  const closed = closedBecause(entry, Date.now());
  const lastOwn = (): Message | undefined => {
    const own = items.findLast((item) => item.type === "message" && item.message.user === me && item.message.deleted_at === undefined);
    return own?.type === "message" ? own.message : undefined;
  };
  return (
    <aside className="thread" aria-label="Thread" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="bar">
        <div className="bar-title"><h2>Thread</h2><p>{title}</p></div>
        <IconButton icon="close" label="Close thread" onClick={onClose} />
      </header>
      <MessageList room={room} timeline={timeline} state={state} thread={root} acts={here} beginning={<Root room={room} entry={entry} seq={root} acts={here} count={items.length} />} />
      {problem && <div className="conversation-problem" role="alert">{problem}</div>}
      {closed ? <ComposerClosed why={closed} /> : <Composer room={room} thread={root} editing={editing} onEdited={edited} lastOwn={lastOwn} onEdit={acts.edit} input={input} />}
      {removing && <Removal onDone={removed} />}
    </aside>
  );
}

/** The message that a thread is about. */
function Root({ room, entry, seq, acts, count }: { room: Room; entry: InboxEntry; seq: number; acts: Omit<MessageActs, "jump" | "open">; count: number }): ReactNode {
  const message = useMessage(room.id, seq);
  const { me } = useParley();
  const item = useMemo<Item | undefined>(() => message ? { type: "message", key: `root ${seq}`, message: message as Message & { data: unknown }, status: undefined } : undefined, [message]);
  if (!item || item.type !== "message") return <div className="start">{message === null ? "The message was deleted." : <span className="spinner" aria-hidden="true" />}</div>;
  return (
    <div className="thread-root">
      <MessageView
        row={{ type: "message", key: item.key, item, first: true, last: true }} room={room.id} direct={entry.room.kind === "direct" && message?.user !== me}
        moderator={false} active={false} flash={false} thread={seq} acts={{ ...acts, jump: () => {}, open: () => {} }}
      />
      <p className="thread-count">{count === 0 ? "No replies yet" : count === 1 ? "1 reply" : `${count} replies`}</p>
    </div>
  );
}
