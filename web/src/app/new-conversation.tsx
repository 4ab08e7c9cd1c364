import type { RoomCreateParams } from "@parley-im/client";
import { useParley } from "@parley-im/react";
import { useId, useState, type FormEvent, type ReactNode } from "react";

import { words } from "../conversation/problem.js";
import { Button } from "../design/button.js";
import { Choices } from "../design/choices.js";
import { Dialog } from "../design/dialog.js";
import { nobody, PeopleField, usersOf, type People } from "./people-field.js";
import { go } from "./route.js";

const kinds = { direct: "Direct", group: "Group", channel: "Channel", live: "Live" } as const;
const does = {
  direct: "Between you and one other person.",
  group: "Only people who are added can see it.",
  channel: "Anyone here can find it and join.",
  live: "Comments under something that many watch. Anyone with the link can watch and comment.",
} as const;

type Kind = keyof typeof kinds;

/** Seconds between two comments of one person that can be asked for. */
const slowModes = [0, 5, 15, 60];
/** Comments that a viewer of a live room is shown each second, at most: more nobody can follow. */
const shownPerSecond = 10;

/** What was filled in that cannot be: for people. */
class Missing extends Error {}

/** The dialog that starts a conversation, and goes there. */
export function NewConversation({ onClose }: { onClose(): void }): ReactNode {
  const parley = useParley();
  const [kind, setKind] = useState<Kind>("direct");
  const [person, setPerson] = useState<People>(nobody);
  const [members, setMembers] = useState<People>(nobody);
  const [name, setName] = useState("");
  const [topic, setTopic] = useState("");
  const [slow, setSlow] = useState(0);
  const [problem, setProblem] = useState("");

  const params = (): RoomCreateParams => {
    const me = parley.me ?? "";
    if (kind === "direct") {
      const [user] = usersOf(person);
      if (!user) throw new Missing("Say who it is with.");
      if (user === me) throw new Missing("That is you. Name somebody else.");
      return { kind, members: [user] };
    }
    if (kind === "channel") {
      if (!name.trim()) throw new Missing("Give the channel a name.");
      return { kind, name: name.trim(), ...(topic.trim() ? { topic: topic.trim() } : {}) };
    }
    if (kind === "live") {
      if (!name.trim()) throw new Missing("Say what it is about.");
      return { kind, name: name.trim(), ...(topic.trim() ? { topic: topic.trim() } : {}), settings: { slow_mode_s: slow, sample_per_s: shownPerSecond } };
    }
    const users = usersOf(members).filter((user) => user !== me);
    if (users.length === 0) throw new Missing("Add at least one person.");
    const called = [me, ...users].map((user) => parley.users.get(user).get()?.name || user);
    return { kind, name: name.trim() || called.slice(0, 4).join(", "), members: users };
  };
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      const { id } = await parley.create(params());
      go({ page: kind === "live" ? "live" : "room", room: id });
      onClose();
    } catch (error) {
      setProblem(error instanceof Missing ? error.message : words(error));
    }
  };
  return (
    <Dialog title="New conversation" onClose={onClose}>
      <form className="form" onSubmit={(event) => void submit(event)}>
        <Choices label="Kind" hidden options={kinds} value={kind} onChoose={(kind) => {
          setKind(kind);
          setProblem("");
        }} />
        <p className="hint">{does[kind]}</p>
        {kind === "direct" && <PeopleField label="With" value={person} onChange={setPerson} autoFocus />}
        {kind !== "direct" && <Field label="Name" value={name} onChange={setName} placeholder={{ group: "Optional", channel: "general", live: "The final" }[kind]} maxLength={200} />}
        {(kind === "channel" || kind === "live") && <Field label="Topic" value={topic} onChange={setTopic} placeholder="What is it about?" maxLength={1000} />}
        {kind === "live" && <SlowMode value={slow} onChange={setSlow} />}
        {kind === "group" && <PeopleField label="Members" several value={members} onChange={setMembers} />}
        <p className="problem" role="alert">{problem}</p>
        <footer><Button look="primary" type="submit">Start</Button></footer>
      </form>
    </Dialog>
  );
}

function SlowMode({ value, onChange }: { value: number; onChange(seconds: number): void }): ReactNode {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>Slow mode</label>
      <select id={id} className="input" value={value} onChange={(event) => onChange(Number(event.target.value))}>
        {slowModes.map((seconds) => <option key={seconds} value={seconds}>{seconds === 0 ? "Off" : `A comment every ${seconds} seconds`}</option>)}
      </select>
    </div>
  );
}

/** A line of text with a label. */
export function Field({ label, value, onChange, placeholder, maxLength }: {
  label: string; value: string; onChange(value: string): void; placeholder?: string; maxLength: number;
}): ReactNode {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} className="input" value={value} maxLength={maxLength} placeholder={placeholder} autoComplete="off" onChange={(event) => onChange(event.target.value)} />
    </div>
  );
}
