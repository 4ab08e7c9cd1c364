// Completion of “@” with the members of the room.

import type { Member } from "@parley-im/client";
import { useParley } from "@parley-im/react";
import { useId, useState, type KeyboardEvent, type ReactNode, type RefObject } from "react";

import { Avatar } from "../design/avatar.js";
import { useName } from "./names.js";

const most = 8;

/** The word with an @ that ends at the caret. */
export function wordAt(text: string, caret: number): { word: string; from: number } | undefined {
  const match = /(?:^|[\s(])@([\w.:@-]*)$/.exec(text.slice(0, caret));
  return match ? { word: match[1]!.toLowerCase(), from: caret - match[1]!.length - 1 } : undefined;
}

/** The members whose id or name begins like the word. */
export function matches(word: string, members: readonly Member[], name: (user: string) => string | undefined): string[] {
  const begins = (text: string | undefined): boolean => text?.toLowerCase().split(/[\s.]+/).some((part) => part.startsWith(word)) ?? false;
  return members.map((m) => m.user).filter((user) => user.toLowerCase().startsWith(word) || begins(name(user))).slice(0, most);
}

/** Completion for a text field: what it offers, and what the keys do with that. */
export function useCompletion(input: RefObject<HTMLTextAreaElement | null>, text: string, setText: (text: string) => void, members: readonly Member[]) {
  const parley = useParley();
  const id = useId();
  const [caret, setCaret] = useState(0);
  const [chosen, setChosen] = useState(0);
  const [dismissed, setDismissed] = useState<string>();
  const at = wordAt(text, Math.min(caret, text.length));
  const others = members.filter((m) => m.user !== parley.me);
  const offered = at && at.word !== dismissed ? matches(at.word, others, (user) => parley.users.get(user).get()?.name) : [];
  const current = Math.min(chosen, offered.length - 1);

  const take = (user: string): void => {
    const after = text.slice(caret).replace(/^ /, "");
    const before = `${text.slice(0, at!.from)}@${user} `;
    setText(before + after);
    setChosen(0);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(before.length, before.length);
    });
  };
  /** Whether the key was for the list. */
  const key = (event: KeyboardEvent): boolean => {
    if (offered.length === 0) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) setChosen((current + step + offered.length) % offered.length);
    else if (event.key === "Enter" || event.key === "Tab") take(offered[current]!);
    else if (event.key === "Escape") setDismissed(at!.word);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };
  const moved = (): void => setCaret(input.current?.selectionEnd ?? 0);
  const open = offered.length > 0;
  const aria = { "aria-autocomplete": "list" as const, ...(open ? { "aria-controls": id, "aria-activedescendant": `${id}-${current}` } : {}) };
  return { id, offered, current, take, key, moved, aria };
}

/** What is offered, above the field. */
export function Completion({ completion: { id, offered, current, take } }: { completion: ReturnType<typeof useCompletion> }): ReactNode {
  if (offered.length === 0) return null;
  return (
    <ul className="completion" id={id} role="listbox" aria-label="People">
      {offered.map((user, i) => <Offer key={user} id={`${id}-${i}`} user={user} chosen={i === current} onTake={() => take(user)} />)}
    </ul>
  );
}

function Offer({ id, user, chosen, onTake }: { id: string; user: string; chosen: boolean; onTake(): void }): ReactNode {
  const name = useName(user);
  return (
    <li id={id} role="option" aria-selected={chosen} onMouseDown={(event) => {
      event.preventDefault(); // the field keeps the focus
      onTake();
    }}>
      <Avatar id={user} name={name} size="small" />
      <span>{name}</span>
      <span className="handle">@{user}</span>
    </li>
  );
}
