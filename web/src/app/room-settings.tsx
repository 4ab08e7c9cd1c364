import type { InboxEntry, Settings } from "@parley-im/client";
import { useParley } from "@parley-im/react";
import { useId, useState, type FormEvent, type ReactNode } from "react";

import { words } from "../conversation/problem.js";
import { Button } from "../design/button.js";
import { Choices } from "../design/choices.js";
import { Dialog } from "../design/dialog.js";
import { Field } from "./new-conversation.js";

const post = { members: "Everyone", moderators: "Moderators" } as const;
const history = { all: "Everything", since_join: "Since they joined" } as const;
const onOff = { on: "On", off: "Off" } as const;
const slow = { 0: "Off", 5: "5 seconds", 30: "30 seconds", 60: "1 minute", 300: "5 minutes", 3600: "1 hour" };
const kept = { 0: "For ever", 1: "1 day", 7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year" };

/** The dialog of those who may change a room. */
export function RoomSettings({ entry: { room }, onClose }: { entry: InboxEntry; onClose(): void }): ReactNode {
  const parley = useParley();
  const [name, setName] = useState(room.name);
  const [topic, setTopic] = useState(room.topic);
  const [settings, setSettings] = useState<Settings>(room.settings);
  const [problem, setProblem] = useState("");
  const set = (some: Partial<Settings>): void => setSettings({ ...settings, ...some });
  const save = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      await parley.call("room.update", { room: room.id, name: name.trim(), topic: topic.trim(), settings });
      onClose();
    } catch (error) {
      setProblem(words(error));
    }
  };
  return (
    <Dialog title={room.kind === "group" ? "Group settings" : "Channel settings"} onClose={onClose}>
      <form className="form" onSubmit={(event) => void save(event)}>
        <Field label="Name" value={name} onChange={setName} maxLength={200} />
        <Field label="Topic" value={topic} onChange={setTopic} maxLength={1000} />
        <Choices label="Who may write" options={post} value={settings.post} onChoose={(post) => set({ post })} />
        <Choices label="New members see" options={history} value={settings.history} onChoose={(history) => set({ history })} />
        <Choices label="Read receipts" options={onOff} value={settings.receipts ? "on" : "off"} onChoose={(value) => set({ receipts: value === "on" })} />
        <Select label="Slow mode" options={slow} value={settings.slow_mode_s} onChoose={(slow_mode_s) => set({ slow_mode_s })} unit="seconds" />
        <Select label="Messages are kept" options={kept} value={settings.retention_days} onChoose={(retention_days) => set({ retention_days })} unit="days" />
        <p className="problem" role="alert">{problem}</p>
        <footer><Button onClick={onClose}>Cancel</Button><Button look="primary" type="submit">Save</Button></footer>
      </form>
    </Dialog>
  );
}

function Select({ label, options, value, onChoose, unit }: { label: string; options: Readonly<Record<number, string>>; value: number; onChoose(value: number): void; unit: string }): ReactNode {
  const id = useId();
  const all: Readonly<Record<number, string>> = value in options ? options : { ...options, [value]: `${value} ${unit}` }; // set by somebody else
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} className="input" value={value} onChange={(event) => onChoose(Number(event.target.value))}>
        {Object.entries(all).map(([option, text]) => <option key={option} value={option}>{text}</option>)}
      </select>
    </div>
  );
}
