import type { InboxEntry, Role } from "@parley-im/client";
import { useParley } from "@parley-im/react";
import { useState, type FormEvent, type ReactNode } from "react";

import { PresentAvatar, RoomAvatar } from "../conversation/header.js";
import { moderates, useMembers, useName, useTitle } from "../conversation/names.js";
import { words } from "../conversation/problem.js";
import { Button, IconButton } from "../design/button.js";
import { useNotify } from "./notices.js";
import { nobody, PeopleField, usersOf, type People } from "./people-field.js";
import { go } from "./route.js";

const roles: readonly Role[] = ["owner", "admin", "moderator", "member"];

/** The side of a conversation: what it is, who is in it, adding people, leaving. */
export function Details({ entry, onClose }: { entry: InboxEntry; onClose(): void }): ReactNode {
  const parley = useParley();
  const { room, me } = entry;
  const title = useTitle(room);
  const { members, more } = useMembers(room.id);
  const notify = useNotify();
  const sorted = [...members].sort((a, b) => roles.indexOf(a.role) - roles.indexOf(b.role));
  const adds = room.kind === "group" || (room.kind === "channel" && moderates(me));
  const leave = async (): Promise<void> => {
    try {
      await parley.call("room.leave", { room: room.id });
      go({ page: "inbox" });
    } catch (error) {
      notify(words(error));
    }
  };
  return (
    <aside className="panel" aria-label="Details">
      <header className="bar">
        <div className="bar-title"><h2>Details</h2></div>
        <IconButton icon="close" label="Close details" onClick={onClose} />
      </header>
      <div className="panel-scroll">
        <div className="panel-about">
          <RoomAvatar entry={entry} size="large" />
          <h3>{title}</h3>
          {room.topic && <p>{room.topic}</p>}
        </div>
        <section>
          <h3>Members</h3>
          <ul className="member-list" role="list">
            {sorted.map(({ user, role }) => <MemberRow key={user} user={user} role={room.kind === "direct" ? "member" : role} />)}
          </ul>
          {more && <p className="hint">The first 1,000 are shown.</p>}
        </section>
        {adds && <AddPeople room={room.id} />}
        <Button look="danger" onClick={() => void leave()}>{room.kind === "direct" ? "Hide conversation" : `Leave ${room.kind}`}</Button>
      </div>
    </aside>
  );
}

function MemberRow({ user, role }: { user: string; role: Role }): ReactNode {
  const { me } = useParley();
  const name = useName(user);
  return (
    <li>
      <PresentAvatar user={user} name={name} />
      <span className="member-name">{name}{user === me && " (you)"}</span>
      <span className="handle">@{user}</span>
      {role !== "member" && <span className="role">{role}</span>}
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
      <Button type="submit">Add</Button>
    </form>
  );
}
