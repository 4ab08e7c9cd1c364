import type { InboxEntry } from "@parley-im/client";
import { usePresence, useTyping } from "@parley-im/react";
import type { ReactNode } from "react";

import { Avatar } from "../design/avatar.js";
import { useMembers, useName, usePeer, useTitle } from "./names.js";
import { lastSeen } from "./times.js";

/** The top of a conversation: who or what it is with, who types, who is there. */
export function Header({ entry, leading, children }: { entry: InboxEntry; leading?: ReactNode; children?: ReactNode }): ReactNode {
  const { room } = entry;
  const title = useTitle(room);
  const peer = usePeer(room.id);
  const typists = useTyping(room.id);
  return (
    <header className="bar">
      {leading}
      <RoomAvatar entry={entry} />
      <div className="bar-title">
        <h2>{title}</h2>
        {typists.length > 0 ? <Typists users={typists} /> : peer ? <Peer user={peer} /> : <About entry={entry} />}
      </div>
      {children}
    </header>
  );
}

/** What stands for a room in lists and titles. */
export function RoomAvatar({ entry: { room }, size = "" }: { entry: Pick<InboxEntry, "room">; size?: "" | "small" | "large" }): ReactNode {
  const title = useTitle(room);
  const peer = usePeer(room.id);
  if (room.kind === "direct") return <PersonAvatar user={peer} title={title} size={size} />;
  return <Avatar id={room.id} name={title} kind={room.kind} size={size} />;
}

function PersonAvatar({ user, title, size }: { user: string | undefined; title: string; size: "" | "small" | "large" }): ReactNode {
  return user ? <PresentAvatar user={user} name={title} size={size} /> : <Avatar id="" name={title} size={size} />;
}

/** A person with a dot while they are online. */
export function PresentAvatar({ user, name, size = "" }: { user: string; name: string; size?: "" | "small" | "large" }): ReactNode {
  const presence = usePresence(user);
  return <Avatar id={user} name={name} size={size} online={presence?.status === "online"} />;
}

function Typists({ users }: { users: readonly string[] }): ReactNode {
  const first = useName(users[0]);
  const second = useName(users[1]);
  const text = users.length > 2 ? "Several people are typing…" : users.length === 2 ? `${first} and ${second} are typing…` : `${first} is typing…`;
  return <p className="typing" aria-live="polite">{text}</p>;
}

function Peer({ user }: { user: string }): ReactNode {
  const presence = usePresence(user);
  if (presence?.status === "online") return <p>Online</p>;
  if (presence?.status === "away") return <p>Away</p>;
  return <p>{presence?.last_seen ? lastSeen(presence.last_seen, Date.now()) : `@${user}`}</p>;
}

function About({ entry: { room } }: { entry: InboxEntry }): ReactNode {
  return room.kind === "live" ? <p>{room.topic}</p> : <MembersAndTopic room={room.id} topic={room.topic} />;
}

function MembersAndTopic({ room, topic }: { room: string; topic: string }): ReactNode {
  const { members, ready, more } = useMembers(room);
  const count = ready ? `${members.length.toLocaleString()}${more ? "+" : ""} ${members.length === 1 ? "member" : "members"}` : "";
  return <p>{[count, topic].filter(Boolean).join(" · ")}</p>;
}
