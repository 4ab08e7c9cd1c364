import { useParley, useRoom, useRooms, useUnread } from "@parley-im/react";
import { useEffect, useRef, useState, type ReactNode, type RefObject } from "react";

import { Conversation } from "../conversation/conversation.js";
import { PresentAvatar } from "../conversation/header.js";
import { useName } from "../conversation/names.js";
import { Button, IconButton } from "../design/button.js";
import { Icon } from "../design/icon.js";
import { Mark } from "../design/mark.js";
import { Live } from "../live/live.js";
import { Channels } from "./channels.js";
import { Details } from "./details.js";
import { InboxList, useConversations } from "./inbox.js";
import { NewConversation } from "./new-conversation.js";
import { Profile } from "./profile.js";
import { go, useRoute, type Route } from "./route.js";
import { Results, SearchField, type Query } from "./search.js";

type DialogName = "new" | "channels" | "profile";

/** The client of somebody who is signed in: the inbox, and what is open beside it. */
export function Shell({ onSignOut, onRenamed }: { onSignOut(): void; onRenamed(name: string): void }): ReactNode {
  const { me } = useParley();
  const route = useRoute();
  const [dialog, setDialog] = useState<DialogName>();
  const [query, setQuery] = useState<Query>({ text: "" });
  const search = useRef<HTMLInputElement>(null);
  const close = (): void => setDialog(undefined);
  const searchIn = (room: string): void => {
    setQuery({ text: "", room });
    if (matchMedia("(width < 760px)").matches) go({ page: "inbox" });
    setTimeout(() => search.current?.focus());
  };
  useTitleCount();
  useKeys(search, route);
  return (
    <div className="shell" data-page={route.page}>
      <nav className="inbox" aria-label="Conversations">
        <header className="bar">
          <div className="brand"><Mark /><span>Parley</span></div>
          <IconButton icon="compass" label="Browse channels" onClick={() => setDialog("channels")} />
          <IconButton icon="plus" label="New conversation" onClick={() => setDialog("new")} />
        </header>
        <SearchField query={query} onChange={setQuery} input={search} />
        <Rooms route={route} query={query} onDialog={setDialog} onFound={() => setQuery({ text: "" })} />
        <Me onProfile={() => setDialog("profile")} onSignOut={onSignOut} />
      </nav>
      <main className="stage">{route.page === "room" ? <RoomPage route={route} onSearch={searchIn} /> : route.page === "live" ? <LivePage room={route.room} /> : <Nothing />}</main>
      {dialog === "new" && <NewConversation onClose={close} />}
      {dialog === "channels" && <Channels onClose={close} />}
      {dialog === "profile" && me !== undefined && <Profile me={me} onRenamed={onRenamed} onClose={close} />}
    </div>
  );
}

function Rooms({ route, query, onDialog, onFound }: { route: Route; query: Query; onDialog(dialog: DialogName): void; onFound(): void }): ReactNode {
  const { current, archived, ready } = useConversations();
  const [away, setAway] = useState(false);
  const open = route.page === "inbox" ? undefined : route.room;
  if (query.text.trim() !== "") return <div className="inbox-scroll"><Results query={query} entries={[...current, ...archived]} onChosen={onFound} /></div>;
  return (
    <div className="inbox-scroll">
      <InboxList entries={current} open={open} />
      {archived.length > 0 && (
        <button type="button" className="archived" aria-expanded={away} onClick={() => setAway(!away)}>
          <Icon name="archive" /><span>Archived</span><span>{archived.length}</span>
        </button>
      )}
      {away && <InboxList entries={archived} open={open} />}
      {ready && current.length + archived.length === 0 && (
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

function Me({ onProfile, onSignOut }: { onProfile(): void; onSignOut(): void }): ReactNode {
  const { me } = useParley();
  useConversations(); // the user is known once the first session is, which the inbox tells
  const name = useName(me);
  if (me === undefined) return <footer className="me" />;
  return (
    <footer className="me">
      <button type="button" className="me-button" aria-label="Profile" title="Profile" onClick={onProfile}>
        <PresentAvatar user={me} name={name} />
      </button>
      <span className="me-name">{name}</span>
      <span className="handle">@{me}</span>
      <IconButton icon="exit" label="Sign out" onClick={onSignOut} />
    </footer>
  );
}

function RoomPage({ route, onSearch }: { route: Extract<Route, { page: "room" }>; onSearch(room: string): void }): ReactNode {
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
        actions={entry && <>
          <IconButton icon="search" label="Search here" onClick={() => onSearch(room)} />
          <IconButton icon="info" label="Details" aria-expanded={details} onClick={() => setDetails(!details)} />
        </>}
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
  const { rooms } = useRooms();
  return (
    <div className="empty nothing">
      <Mark />
      {rooms.length > 0
        ? <><h2>Nothing open</h2><p>Choose a conversation, or start a new one.</p></>
        : <><h2>Welcome</h2><p>Your conversations will be here.</p></>}
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

/** Ctrl or Cmd with K searches; Alt with an arrow goes to the next conversation. */
function useKeys(search: RefObject<HTMLInputElement | null>, route: Route): void {
  const { current } = useConversations();
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if ((event.ctrlKey || event.metaKey) && event.key === "k") {
        event.preventDefault();
        search.current?.focus();
      }
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!event.altKey || step === undefined) return;
      event.preventDefault();
      const at = route.page === "inbox" ? -1 : current.findIndex((entry) => entry.room.id === route.room);
      const next = current[at < 0 ? 0 : at + step];
      if (next) go({ page: "room", room: next.room.id });
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [search, route, current]);
}
