import { useParley, useRoom, useRooms, useUnread } from "@parley-im/react";
import { useEffect, useState, type ReactNode } from "react";

import { Conversation } from "../conversation/conversation.js";
import { useName } from "../conversation/names.js";
import { PresentAvatar } from "../conversation/header.js";
import { Button, IconButton } from "../design/button.js";
import { Mark } from "../design/mark.js";
import { Live } from "../live/live.js";
import { Channels } from "./channels.js";
import { Details } from "./details.js";
import { InboxList, useConversations } from "./inbox.js";
import { NewConversation } from "./new-conversation.js";
import { go, useRoute, type Route } from "./route.js";

type DialogName = "new" | "channels";

/** The client of somebody who is signed in: the inbox, and what is open beside it. */
export function Shell({ onSignOut }: { onSignOut(): void }): ReactNode {
  const route = useRoute();
  const [dialog, setDialog] = useState<DialogName>();
  useTitleCount();
  return (
    <div className="shell" data-page={route.page}>
      <nav className="inbox" aria-label="Conversations">
        <header className="bar">
          <div className="brand"><Mark /><span>Parley</span></div>
          <IconButton icon="compass" label="Browse channels" onClick={() => setDialog("channels")} />
          <IconButton icon="plus" label="New conversation" onClick={() => setDialog("new")} />
        </header>
        <Rooms route={route} onDialog={setDialog} />
        <Me onSignOut={onSignOut} />
      </nav>
      <main className="stage">{route.page === "room" ? <RoomPage route={route} /> : route.page === "live" ? <LivePage room={route.room} /> : <Nothing />}</main>
      {dialog === "new" && <NewConversation onClose={() => setDialog(undefined)} />}
      {dialog === "channels" && <Channels onClose={() => setDialog(undefined)} />}
    </div>
  );
}

function Rooms({ route, onDialog }: { route: Route; onDialog(dialog: DialogName): void }): ReactNode {
  const entries = useConversations();
  const { ready } = useRooms();
  return (
    <div className="inbox-scroll">
      <InboxList entries={entries} open={route.page === "inbox" ? undefined : route.room} />
      {ready && entries.length === 0 && (
        <div className="empty">
          <h2>No conversations yet</h2>
          <p>Start one with somebody you know, or look for a channel to join.</p>
          <Button look="primary" onClick={() => onDialog("new")}>Start a conversation</Button>
          <Button onClick={() => onDialog("channels")}>Browse channels</Button>
        </div>
      )}
    </div>
  );
}

function Me({ onSignOut }: { onSignOut(): void }): ReactNode {
  const { me } = useParley();
  useRooms(); // the user is known once the first session is, which the inbox tells
  const name = useName(me);
  if (me === undefined) return <footer className="me" />;
  return (
    <footer className="me">
      <PresentAvatar user={me} name={name} />
      <span className="me-name">{name}</span>
      <span className="handle">@{me}</span>
      <IconButton icon="exit" label="Sign out" onClick={onSignOut} />
    </footer>
  );
}

function RoomPage({ route }: { route: Extract<Route, { page: "room" }> }): ReactNode {
  const { room, message, thread } = route;
  const entry = useRoom(room);
  const [details, setDetails] = useState(false);
  const [target, setTarget] = useState(message === undefined ? undefined : { seq: message });
  useEffect(() => setTarget(message === undefined ? undefined : { seq: message }), [message, room]);
  return (
    <>
      <Conversation
        room={room} target={target} thread={thread}
        onThread={(seq) => go(seq === undefined ? { page: "room", room } : { page: "room", room, thread: seq })}
        leading={<IconButton icon="back" label="Back to the conversations" className="back" onClick={() => go({ page: "inbox" })} />}
        actions={<IconButton icon="info" label="Details" aria-expanded={details} onClick={() => setDetails(!details)} />}
      />
      {details && entry && <Details key={room} entry={entry} onClose={() => setDetails(false)} />}
    </>
  );
}

function LivePage({ room }: { room: string }): ReactNode {
  return (
    <Live
      room={room}
      leading={<IconButton icon="back" label="Back to the conversations" className="back" onClick={() => go({ page: "inbox" })} />}
      actions={<IconButton icon="copy" label="Copy the link" onClick={() => void navigator.clipboard?.writeText(location.href)} />}
    />
  );
}

function Nothing(): ReactNode {
  return (
    <div className="empty nothing">
      <Mark />
      <h2>Nothing open</h2>
      <p>Choose a conversation, or start a new one.</p>
    </div>
  );
}

/** The window's title says how much waits. */
function useTitleCount(): void {
  const unread = useUnread();
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Parley` : "Parley";
  }, [unread]);
}
