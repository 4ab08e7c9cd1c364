// One room: its messages, and what is written to it. It needs a ParleyProvider above it, and knows nothing of the program around it.

import type { InboxEntry, Message } from "@parley-im/client";
import { useParley, useRoom, useRooms, useTimeline } from "@parley-im/react";
import { useEffect, useRef, type ReactNode } from "react";

import { Button, IconButton } from "../design/button.js";
import { Dialog } from "../design/dialog.js";
import { useActs } from "./acts.js";
import { closedBecause, Composer, ComposerClosed } from "./composer.js";
import { Header, RoomAvatar } from "./header.js";
import { MessageList, type Target } from "./message-list.js";
import { useTitle } from "./names.js";
import { Thread } from "./thread.js";

/** What a conversation is made with. */
export interface ConversationProps {
  /** the id of the room */
  readonly room: string;
  /** the message to go to; a new object with every wish */
  readonly target?: Target | undefined;
  /** the root of the thread that is open beside the messages */
  readonly thread?: number | undefined;
  readonly onThread: (seq: number | undefined) => void;
  /** opened by the user, who goes on to write; not where it is part of a page that they came to read */
  readonly focus?: boolean;
  /** what stands before the title, such as a way back */
  readonly leading?: ReactNode;
  /** what stands at the end of the title's line */
  readonly actions?: ReactNode;
}

/** One room of the user's, as a whole. Shows nothing until it is known that it is one of theirs. */
export function Conversation(props: ConversationProps): ReactNode {
  const entry = useRoom(props.room);
  const { ready } = useRooms();
  if (entry) return <Known key={props.room} entry={entry} {...props} />;
  return ready ? <div className="conversation empty"><h2>Not your conversation</h2><p>It does not exist, or you are not in it any more.</p></div> : <div className="conversation" aria-busy="true" />;
}

function Known({ entry, room: id, target, thread, onThread, focus = true, leading, actions }: ConversationProps & { entry: InboxEntry }): ReactNode {
  const { items, room, timeline, ...rest } = useTimeline(id);
  const state = { items, ...rest };
  const { me } = useParley();
  const input = useRef<HTMLTextAreaElement>(null);
  const { acts, editing, edited, removing, removed, problem, forget } = useActs(room, input, onThread);
  const closed = closedBecause(entry, Date.now());
  useEffect(() => {
    if (focus && matchMedia("(hover: hover)").matches) input.current?.focus(); // a phone's keyboard would cover the messages
  }, []);
  const lastOwn = (): Message | undefined => {
    const own = items.findLast((item) => item.type === "message" && item.message.user === me && item.message.deleted_at === undefined);
    return own?.type === "message" ? own.message : undefined;
  };
  return (
    <div className="conversation" data-thread={thread !== undefined || undefined}>
      <div className="conversation-main" onKeyDown={(event) => event.key === "Escape" && input.current?.focus()}>
        <Header entry={entry} leading={leading}>{actions}</Header>
        <MessageList room={room} timeline={timeline} state={state} target={target} acts={acts} beginning={<Beginning entry={entry} empty={items.length === 0} />} />
        {problem && <div className="conversation-problem" role="alert">{problem}<IconButton icon="close" label="Dismiss" small onClick={forget} /></div>}
        {closed
          ? <ComposerClosed why={closed} />
          : <Composer room={room} editing={editing} onEdited={edited} lastOwn={lastOwn} onEdit={acts.edit} input={input} />}
      </div>
      {thread !== undefined && <Thread key={thread} room={room} entry={entry} root={thread} onClose={() => onThread(undefined)} />}
      {removing && <Removal onDone={removed} />}
    </div>
  );
}

function Beginning({ entry, empty }: { entry: InboxEntry; empty: boolean }): ReactNode {
  const title = useTitle(entry.room);
  return (
    <div className="beginning">
      <RoomAvatar entry={entry} size="large" />
      <h3>{title}</h3>
      {entry.room.topic && <p>{entry.room.topic}</p>}
      <p>{empty ? "No messages yet. Say hello." : "This is the beginning of the conversation."}</p>
    </div>
  );
}

/** Asks before something is gone for good. */
export function Removal({ onDone }: { onDone(really: boolean): void }): ReactNode {
  return (
    <Dialog title="Delete message?" onClose={() => onDone(false)}>
      <p>It will be gone for everyone, for good.</p>
      <footer>
        <Button onClick={() => onDone(false)}>Keep it</Button>
        <Button look="danger primary" onClick={() => onDone(true)}>Delete</Button>
      </footer>
    </Dialog>
  );
}
