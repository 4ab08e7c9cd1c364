// A field for users: one, or several that become chips.

import { useParley } from "@parley-im/react";
import { useEffect, useId, useState, type KeyboardEvent, type ReactNode } from "react";

import { useName } from "../conversation/names.js";
import { Avatar } from "../design/avatar.js";
import { IconButton } from "../design/button.js";
import { userIdOf } from "./identity.js";

const pause = 200;

/** What is in a field. `text` is what is typed and no chip yet. */
export interface People {
  readonly users: readonly string[];
  readonly text: string;
}

/** A field that is empty. */
export const nobody: People = { users: [], text: "" };

/** The user that a text means: an id, or a name that an id is made of. */
export function meant(text: string): string | undefined {
  return userIdOf(text.trim().replace(/^@/, "")) || undefined;
}

/** All users in a field, with what is typed but not yet a chip. */
export function usersOf({ users, text }: People): string[] {
  const typed = text.split(/[,;]+/).flatMap((part) => meant(part) ?? []);
  return [...new Set([...users, ...typed])];
}

/** Users who are found by the beginning of what is typed. */
function useFound(text: string): readonly { id: string; name: string }[] {
  const parley = useParley();
  const [found, setFound] = useState<readonly { id: string; name: string }[]>([]);
  const query = text.trim().replace(/^@/, "");
  useEffect(() => {
    if ([...query].length < 2) return setFound([]);
    let over = false;
    const timer = setTimeout(() => {
      parley.users.search(query, 6).then((users) => over || setFound(users.filter((user) => user.id !== parley.me)), () => over || setFound([]));
    }, pause);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [query, parley]);
  return found;
}

/**
 * The field. What is found stands in the flow below it, and stays there when the field loses the focus: if it went, the button below would move away from under the
 * pointer that was just pressed on it.
 */
export function PeopleField({ label, several = false, value, onChange, autoFocus = false }: {
  label: string; several?: boolean; value: People; onChange(people: People): void; autoFocus?: boolean;
}): ReactNode {
  const id = useId();
  const found = useFound(value.text).filter((user) => !value.users.includes(user.id));
  const [chosen, setChosen] = useState(-1);
  const [closed, setClosed] = useState(false);
  const current = Math.min(chosen, found.length - 1);
  const open = found.length > 0 && !closed;
  const add = (user: string | undefined): void => {
    setChosen(-1);
    if (several) onChange({ users: user && !value.users.includes(user) ? [...value.users, user] : value.users, text: "" });
    else onChange({ users: [], text: user ?? "" });
    setClosed(!several);
  };
  const key = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && open) setChosen(Math.max(-1, Math.min(current + step, found.length - 1)));
    else if (event.key === "Enter" && open && current >= 0) add(found[current]!.id);
    else if ((event.key === "Enter" || event.key === ",") && several && value.text.trim() !== "") add(meant(value.text));
    else if (event.key === "Escape" && open) setClosed(true);
    else if (event.key === "Backspace" && several && value.text === "" && value.users.length > 0) onChange({ users: value.users.slice(0, -1), text: "" });
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <div className="people-field input">
        {value.users.map((user) => <Chip key={user} user={user} onRemove={() => onChange({ ...value, users: value.users.filter((other) => other !== user) })} />)}
        <input
          id={id} role="combobox" aria-expanded={open} aria-controls={`${id}-found`} aria-autocomplete="list" aria-activedescendant={open && current >= 0 ? `${id}-${current}` : undefined}
          autoComplete="off" autoCapitalize="off" spellCheck={false} autoFocus={autoFocus} placeholder={several ? "Names, one after the other" : "Name"}
          value={value.text} onKeyDown={key}
          onChange={(event) => {
            setClosed(false);
            setChosen(-1);
            onChange({ ...value, text: event.target.value });
          }}
        />
      </div>
      <ul id={`${id}-found`} className="completion" role="listbox" aria-label={label} hidden={!open}>
        {open && found.map((user, i) => (
          <li key={user.id} id={`${id}-${i}`} role="option" aria-selected={i === current} onMouseDown={(event) => {
            event.preventDefault();
            add(user.id);
          }}>
            <Avatar id={user.id} name={user.name || user.id} size="small" />
            <span>{user.name || user.id}</span>
            <span className="handle">@{user.id}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Chip({ user, onRemove }: { user: string; onRemove(): void }): ReactNode {
  const name = useName(user);
  return <span className="chip">{name}<IconButton icon="close" label={`Remove ${user}`} small onClick={onRemove} /></span>;
}
