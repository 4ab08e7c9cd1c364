import type { InboxEntry, Member, Notify } from "@parley-im/client";
import { useParley } from "@parley-im/react";
import { useState, type FormEvent, type ReactNode } from "react";

import { PresentAvatar, RoomAvatar } from "../conversation/header.js";
import { moderates, useMembers, useName, useTitle } from "../conversation/names.js";
import { words } from "../conversation/problem.js";
import { Button, IconButton } from "../design/button.js";
import { Choices } from "../design/choices.js";
import { Dialog } from "../design/dialog.js";
import { Menu } from "../design/menu.js";
import { actsOn, roles } from "./member-acts.js";
import { useNotify } from "./notices.js";
import { nobody, PeopleField, usersOf, type People } from "./people-field.js";
import { RoomSettings } from "./room-settings.js";
import { go } from "./route.js";

const notify = { all: "All", mentions: "Mentions", none: "None" } as const satisfies Record<Notify, string>;

/** Does something with the server, and tells the person where that fails. */
function useAttempt(): (promise: Promise<unknown>) => Promise<boolean> {
  const tell = useNotify();
  return (promise) => promise.then(() => true, (error: unknown) => {
    tell(words(error));
    return false;
  });
}

/** The side of a conversation: what it is, who is in it, one's own settings, adding people, leaving. */
export function Details({ entry, onClose }: { entry: InboxEntry; onClose(): void }): ReactNode {
  const { room, me } = entry;
  const title = useTitle(room);
  const [settings, setSettings] = useState(false);
  const changes = room.kind !== "direct" && (me.role === "owner" || me.role === "admin");
  const adds = room.kind === "group" || (room.kind === "channel" && moderates(me));
  return (
    <aside className="panel" aria-label="Details" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <header className="bar">
        <div className="bar-title"><h2>Details</h2></div>
        {changes && <IconButton icon="settings" label="Settings" onClick={() => setSettings(true)} />}
        <IconButton icon="close" label="Close details" onClick={onClose} />
      </header>
      <div className="panel-scroll">
        <div className="panel-about">
          <RoomAvatar entry={entry} size="large" />
          <h3>{title}</h3>
          {room.topic && <p>{room.topic}</p>}
        </div>
        <Own entry={entry} />
        <Members entry={entry} />
        {adds && <AddPeople room={room.id} />}
        <Leaving entry={entry} />
      </div>
      {settings && <RoomSettings entry={entry} onClose={() => setSettings(false)} />}
    </aside>
  );
}

/** What a room is to oneself: how loud, and where in the list. */
function Own({ entry: { room, me } }: { entry: InboxEntry }): ReactNode {
  const here = useParley().room(room.id);
  const attempt = useAttempt();
  return (
    <section className="own-settings">
      <Choices label="Notifications" options={notify} value={me.notify} onChoose={(notify) => void attempt(here.set({ notify }))} />
      <div className="pair">
        <Button aria-pressed={me.pinned} onClick={() => void attempt(here.set({ pinned: !me.pinned }))}>{me.pinned ? "Unpin" : "Pin"}</Button>
        <Button aria-pressed={me.archived} onClick={() => void attempt(here.set({ archived: !me.archived }))}>{me.archived ? "Unarchive" : "Archive"}</Button>
      </div>
    </section>
  );
}

function Members({ entry }: { entry: InboxEntry }): ReactNode {
  const { members, more } = useMembers(entry.room.id);
  const sorted = [...members].sort((a, b) => roles.indexOf(b.role) - roles.indexOf(a.role));
  return (
    <section>
      <h3>Members</h3>
      <ul className="member-list" role="list">{sorted.map((member) => <MemberRow key={member.user} entry={entry} member={member} />)}</ul>
      {more && <p className="hint">The first 1,000 are shown.</p>}
    </section>
  );
}

function MemberRow({ entry, member }: { entry: InboxEntry; member: Member }): ReactNode {
  const parley = useParley();
  const attempt = useAttempt();
  const { user, role } = member;
  const name = useName(user);
  const [anchor, setAnchor] = useState<HTMLElement>();
  const shown = entry.room.kind === "direct" || role === "member" ? undefined : role;
  const choices = actsOn(entry, member, parley.me, Date.now()).map(({ label, icon, danger = false, act }) => ({
    label, icon, danger, act: () => void attempt(act(parley)),
  }));
  return (
    <li>
      <PresentAvatar user={user} name={name} />
      <span className="member-name">{name}{user === parley.me && " (you)"}</span>
      <span className="handle">@{user}{member.muted_until !== undefined && Date.parse(member.muted_until) > Date.now() && " · muted"}</span>
      {shown && <span className="role">{shown}</span>}
      {choices.length > 0 && (
        <IconButton icon="more" label={`More about ${name}`} small aria-haspopup="menu" aria-expanded={anchor !== undefined} onClick={(event) => setAnchor(anchor ? undefined : event.currentTarget)} />
      )}
      {anchor && <Menu anchor={anchor} label={name} choices={choices} onClose={() => setAnchor(undefined)} />}
    </li>
  );
}

function AddPeople({ room }: { room: string }): ReactNode {
  const parley = useParley();
  const [people, setPeople] = useState<People>(nobody);
  const [problem, setProblem] = useState("");
  const add = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const users = usersOf(people);
    if (users.length === 0) return;
    setPeople({ users, text: "" });
    try {
      await parley.call("member.add", { room, users });
      setPeople(nobody);
      setProblem("");
    } catch (error) {
      setProblem(words(error));
    }
  };
  return (
    <form className="form" onSubmit={(event) => void add(event)}>
      <PeopleField label="Add people" several value={people} onChange={setPeople} />
      <p className="problem" role="alert">{problem}</p>
      <Button type="submit" disabled={usersOf(people).length === 0}>Add</Button>
    </form>
  );
}

/** The ways out, for oneself and for everybody. */
function Leaving({ entry: { room, me } }: { entry: InboxEntry }): ReactNode {
  const parley = useParley();
  const attempt = useAttempt();
  const [asking, setAsking] = useState(false);
  const out = async (promise: Promise<unknown>): Promise<void> => {
    if (await attempt(promise)) go({ page: "inbox" });
  };
  return (
    <div className="leaving">
      <Button look="danger" onClick={() => void out(parley.call("room.leave", { room: room.id }))}>{room.kind === "direct" ? "Hide conversation" : `Leave ${room.kind}`}</Button>
      {room.kind !== "direct" && me.role === "owner" && <Button look="danger" onClick={() => setAsking(true)}>Delete {room.kind}</Button>}
      {asking && (
        <Dialog title={`Delete ${room.name || room.kind}?`} onClose={() => setAsking(false)}>
          <p>All its messages will be gone for everyone, for good.</p>
          <footer>
            <Button onClick={() => setAsking(false)}>Keep it</Button>
            <Button look="danger primary" onClick={() => void out(parley.call("room.delete", { room: room.id }))}>Delete</Button>
          </footer>
        </Dialog>
      )}
    </div>
  );
}
