import type { Message, Room } from "@parley-im/client";
import { useMemo, useRef, useState, type RefObject } from "react";

import { words } from "./problem.js";
import type { MessageActs } from "./message.js";

/** What one does with the messages of a room, and what that leads to: an edit or a deletion that is under way, or a refusal to be told. */
export function useActs(room: Room, input: RefObject<HTMLTextAreaElement | null>, onThread: (seq: number) => void) {
  const [editing, setEditing] = useState<Message>();
  const [removing, setRemoving] = useState<Message>();
  const [problem, setProblem] = useState("");
  const attempt = useRef((promise: Promise<unknown>): void => void promise.then(() => setProblem(""), (error: unknown) => setProblem(words(error))));
  const acts = useMemo<Omit<MessageActs, "jump" | "open">>(() => ({
    react: (message, emoji) => attempt.current(room.react(message.seq, emoji, !message.reactions.some((r) => r.emoji === emoji && r.mine))),
    reply: (message) => {
      setEditing(undefined);
      room.keep({ text: room.draft.get()?.text ?? "", reply_to: message.seq });
      input.current?.focus();
    },
    edit: setEditing,
    remove: setRemoving,
    thread: (message) => onThread(message.thread ?? message.seq),
    retry: (key) => room.retry(key),
    cancel: (key) => room.cancel(key),
  }), [room, onThread]);
  const edited = (text: string | undefined): void => {
    if (editing && text !== undefined) attempt.current(room.edit(editing.seq, { text }));
    setEditing(undefined);
    input.current?.focus();
  };
  const removed = (really: boolean): void => {
    if (removing && really) attempt.current(room.delete(removing.seq));
    setRemoving(undefined);
  };
  return { acts, editing, edited, removing, removed, problem, forget: () => setProblem("") };
}
