// Where a message is written: new, as a reply, or to edit one.

import { bounds, type InboxEntry, type Message, type Room } from "@parley-im/client";
import { useObservable } from "@parley-im/react";
import { useEffect, useLayoutEffect, useState, type KeyboardEvent, type ReactNode, type RefObject } from "react";

import { IconButton } from "../design/button.js";
import { Icon } from "../design/icon.js";
import { excerpt, mentionsIn } from "../text/parts.js";
import { Completion, useCompletion } from "./completion.js";
import { EmojiButton } from "./emoji.js";
import { moderates, useMembers, useMessage, useName } from "./names.js";
import { shortTime } from "./times.js";

const tallest = 200;

/** What a composer is made with. */
export interface ComposerProps {
  readonly room: Room;
  /** everything that is written answers this message */
  readonly thread?: number;
  /** the message that is being edited */
  readonly editing: Message | undefined;
  /** ends editing, with the text if it is to be changed */
  readonly onEdited: (text: string | undefined) => void;
  /** the message that Arrow Up edits */
  readonly lastOwn: () => Message | undefined;
  readonly onEdit: (message: Message) => void;
  readonly input: RefObject<HTMLTextAreaElement | null>;
}

/** Where a message is written. What is begun in a room waits there. */
export function Composer({ room, thread, editing, onEdited, lastOwn, onEdit, input }: ComposerProps): ReactNode {
  const draft = useDraft(room, thread);
  const [edit, setEdit] = useState("");
  const [problem, setProblem] = useState("");
  const members = useMembers(room.id);
  const text = editing ? edit : draft.text;
  const setText = (text: string): void => {
    setProblem("");
    if (editing) return setEdit(text);
    draft.set(text);
    if (text.trim() !== "") room.type();
  };
  const completion = useCompletion(input, text, setText, members.members);

  useEffect(() => {
    if (!editing) return;
    setEdit(editing.text ?? "");
    input.current?.focus();
  }, [editing]);

  useLayoutEffect(() => {
    const area = input.current!;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, tallest)}px`;
  }, [text, room]);

  const submit = (): void => {
    const said = text.trim();
    if (said === "") return;
    if (new TextEncoder().encode(said).length > bounds.maxTextBytes) return setProblem("That message is too long. Send it in parts.");
    if (editing) return onEdited(said === editing.text ? undefined : said);
    const mentions = mentionsIn(said, new Set(members.members.map((m) => m.user))).slice(0, bounds.maxMentions);
    const reply = draft.reply ?? thread;
    void room.send({ text: said, ...(reply === undefined ? {} : { reply_to: reply }), ...(mentions.length > 0 ? { mentions } : {}) });
    draft.clear();
  };
  const cancel = (): boolean => {
    if (editing) onEdited(undefined);
    else if (draft.reply !== undefined) draft.answer(undefined);
    else return false;
    return true;
  };
  const key = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (event.nativeEvent.isComposing || completion.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && cancel()) {
      event.stopPropagation();
    } else if (event.key === "ArrowUp" && text === "" && !editing) {
      const message = lastOwn();
      if (!message) return;
      event.preventDefault();
      onEdit(message);
    }
  };
  return (
    <form className="composer" onSubmit={(event) => {
      event.preventDefault();
      submit();
    }}>
      <About room={room.id} editing={editing} reply={draft.reply} onCancel={() => {
        cancel();
        input.current?.focus();
      }} />
      {problem && <p className="problem" role="alert">{problem}</p>}
      <Completion completion={completion} />
      <div className="composer-row">
        <textarea
          ref={input} rows={1} dir="auto" aria-label="Message" placeholder="Write a message" value={text} {...completion.aria}
          onChange={(event) => setText(event.target.value)} onKeyDown={key} onSelect={completion.moved}
        />
        <EmojiButton input={input} onText={setText} />
        <button className="send" aria-label={editing ? "Save" : "Send"} title={editing ? "Save" : "Send"} disabled={text.trim() === ""}>
          <Icon name={editing ? "check" : "send"} />
        </button>
      </div>
    </form>
  );
}

/** Why one may not write in a room, for people; undefined if one may. */
export function closedBecause({ room, me }: InboxEntry, now: number): string | undefined {
  if (room.settings.post === "moderators" && !moderates(me)) return "Only moderators can write here.";
  if (me.muted_until !== undefined && Date.parse(me.muted_until) > now) return `You are muted here until ${shortTime(me.muted_until, now)}.`;
  return undefined;
}

/** What stands in place of the composer where one may not write. */
export function ComposerClosed({ why }: { why: string }): ReactNode {
  return <p className="composer-closed">{why}</p>;
}

/** What is being answered or edited. */
function About({ room, editing, reply, onCancel }: { room: string; editing: Message | undefined; reply: number | undefined; onCancel(): void }): ReactNode {
  const answered = useMessage(room, editing ? undefined : reply);
  const name = useName(answered?.user);
  const message = editing ?? answered;
  if (!editing && reply === undefined) return null;
  return (
    <div className="about">
      <Icon name={editing ? "edit" : "reply"} />
      <span className="about-title">{editing ? "Edit message" : answered === undefined ? "Reply" : `Reply to ${name}`}</span>
      <span className="about-text">{excerpt(message?.text ?? "")}</span>
      <IconButton icon="close" label="Cancel" small onClick={onCancel} />
    </div>
  );
}

/** What has been begun: in a room it is kept with the room, in a thread for as long as that is open. */
function useDraft(room: Room, thread: number | undefined) {
  const kept = useObservable(room.draft);
  const [inThread, setInThread] = useState("");
  if (thread !== undefined) {
    return { text: inThread, reply: undefined, set: setInThread, answer: () => {}, clear: () => setInThread("") };
  }
  const reply = kept?.reply_to;
  const keep = (text: string, reply: number | undefined): void => room.keep({ text, ...(reply === undefined ? {} : { reply_to: reply }) });
  return {
    text: kept?.text ?? "",
    reply,
    set: (text: string) => keep(text, reply),
    answer: (seq: number | undefined) => keep(kept?.text ?? "", seq),
    clear: () => keep("", undefined),
  };
}
