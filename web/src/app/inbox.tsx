import type { InboxEntry } from "@parley-im/client";
import { useObservable, useParley, useRooms, useTyping } from "@parley-im/react";
import { memo, useMemo, type ReactNode } from "react";

import { RoomAvatar } from "../conversation/header.js";
import { useName, useTitle } from "../conversation/names.js";
import { shortTime } from "../conversation/times.js";
import { Icon } from "../design/icon.js";
import { plainText } from "../text/parse.js";
import { excerpt } from "../text/parts.js";
import { hashOf } from "./route.js";

/** The user's rooms: those in use, and those put away. */
export function useConversations(): { current: readonly InboxEntry[]; archived: readonly InboxEntry[]; ready: boolean } {
  const { rooms, ready } = useRooms();
  return useMemo(() => {
    return { current: rooms.filter((entry) => !entry.me.archived), archived: rooms.filter((entry) => entry.me.archived), ready };
  }, [rooms, ready]);
}

/** The list of conversations. */
export function InboxList({ open, entries }: { open: string | undefined; entries: readonly InboxEntry[] }): ReactNode {
  return (
    <ul className="room-list" role="list">
      {entries.map((entry) => <Entry key={entry.room.id} entry={entry} open={entry.room.id === open} />)}
    </ul>
  );
}

const Entry = memo(function Entry({ entry, open }: { entry: InboxEntry; open: boolean }): ReactNode {
  const { room, me, last_message: last } = entry;
  const name = useTitle(room);
  return (
    <li>
      <a href={hashOf({ page: room.kind === "live" ? "live" : "room", room: room.id })} className={me.unread > 0 ? "room-row unread" : "room-row"} aria-current={open ? "page" : undefined}>
        <RoomAvatar entry={entry} />
        <span className="room-name">{name}</span>
        {last && <time className="room-time" dateTime={last.at}>{shortTime(last.at, Date.now())}</time>}
        <Preview entry={entry} open={open} />
        <span className="badges">
          {me.notify === "none" && <Icon name="bellOff" label="Muted" small />}
          {me.pinned && <Icon name="pin" label="Pinned" small />}
          {me.mentions > 0 && <Badge text="@" label="You are mentioned" quiet={false} />}
          {me.unread > 0 && <Badge text={me.unread > 999 ? "999+" : String(me.unread)} label={`${me.unread} unread`} quiet={me.notify !== "all"} />}
        </span>
      </a>
    </li>
  );
});

function Badge({ text, label, quiet }: { text: string; label: string; quiet: boolean }): ReactNode {
  return <span className={quiet ? "badge quiet" : "badge"} role="img" aria-label={label} title={label}>{text}</span>;
}

function Preview({ entry: { room, last_message: last }, open }: { entry: InboxEntry; open: boolean }): ReactNode {
  const { me, ...parley } = useParleyRoom(room.id);
  const [typist] = useTyping(room.id);
  const name = useName(typist ?? last?.user);
  const direct = room.kind === "direct";
  if (room.kind === "live") return <span className="room-preview">Live{room.topic && ` · ${room.topic}`}</span>;
  if (typist) return <span className="room-preview typing">{direct ? "typing…" : `${name} is typing…`}</span>;
  if (parley.draft && !open) return <span className="room-preview"><em>Draft:</em> {excerpt(parley.draft.text)}</span>;
  if (!last) return <span className="room-preview">{room.topic || "No messages yet"}</span>;
  if (last.deleted_at) return <span className="room-preview">Message deleted</span>;
  const who = last.user === me ? "You: " : direct ? "" : `${name}: `;
  return <span className="room-preview">{who + excerpt(plainText(last.text ?? ""))}</span>;
}

function useParleyRoom(room: string) {
  const parley = useParley();
  return { me: parley.me, draft: useObservable(parley.room(room).draft) };
}
