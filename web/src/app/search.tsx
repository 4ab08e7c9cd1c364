// Search: one field over conversations, people and messages; or over the messages of one conversation.

import type { InboxEntry, Message, Parley, User } from "@parley-im/client";
import { useParley, useRoom } from "@parley-im/react";
import { useEffect, useState, type ReactNode, type RefObject } from "react";

import { RoomAvatar } from "../conversation/header.js";
import { useName, useTitle } from "../conversation/names.js";
import { words } from "../conversation/problem.js";
import { shortTime } from "../conversation/times.js";
import { Avatar } from "../design/avatar.js";
import { Button, IconButton } from "../design/button.js";
import { Icon } from "../design/icon.js";
import { plainText } from "../text/parse.js";
import { around, highlighted } from "./excerpts.js";
import { InboxList } from "./inbox.js";
import { go, hashOf } from "./route.js";

const pause = 200;
const pageSize = 20;

/** What is looked for, and where: in all conversations, or in one. */
export interface Query {
  readonly text: string;
  readonly room?: string | undefined;
}

/** The field. */
export function SearchField({ query, onChange, input }: { query: Query; onChange(query: Query): void; input: RefObject<HTMLInputElement | null> }): ReactNode {
  return (
    <div className="search-field" role="search">
      <Icon name="search" />
      {query.room !== undefined && <Scope room={query.room} onLeave={() => onChange({ text: query.text })} />}
      <input
        ref={input} type="search" aria-label="Search" placeholder={query.room === undefined ? "Search" : "Messages here"} autoComplete="off" spellCheck={false} value={query.text}
        onChange={(event) => onChange({ ...query, text: event.target.value })}
        onKeyDown={(event) => {
          if (event.key === "Escape") onChange({ text: "" });
          if (event.key === "Backspace" && query.text === "") onChange({ text: "" });
        }}
      />
      {(query.text !== "" || query.room !== undefined) && <IconButton icon="close" label="Clear search" small onClick={() => onChange({ text: "" })} />}
    </div>
  );
}

function Scope({ room, onLeave }: { room: string; onLeave(): void }): ReactNode {
  const entry = useRoom(room);
  return entry ? <span className="chip"><ScopeName entry={entry} /><IconButton icon="close" label="Search everywhere" small onClick={onLeave} /></span> : null;
}

function ScopeName({ entry }: { entry: InboxEntry }): ReactNode {
  return <span className="scope-name">{useTitle(entry.room)}</span>;
}

/** What a conversation is called, as far as it is known now. */
function titleNow(parley: Parley, { room }: InboxEntry): string {
  const peer = parley.room(room.id).peer.get();
  return peer ? `${parley.users.get(peer).get()?.name ?? ""} ${peer}` : room.name;
}

/** What was found. */
export function Results({ query, entries, onChosen }: { query: Query; entries: readonly InboxEntry[]; onChosen(): void }): ReactNode {
  const parley = useParley();
  const text = query.text.trim();
  const everywhere = query.room === undefined;
  const here = everywhere ? entries.filter((entry) => titleNow(parley, entry).toLowerCase().includes(text.toLowerCase())) : [];
  const people = usePeople(everywhere ? text : "");
  const found = useMessages(text, query.room);
  const nothing = here.length === 0 && people.length === 0 && found.messages.length === 0;
  return (
    <div className="results" onClick={(event) => (event.target as HTMLElement).closest("a") && onChosen()}>
      {here.length > 0 && <section><h2>Conversations</h2><InboxList entries={here} open={undefined} /></section>}
      {people.length > 0 && (
        <section>
          <h2>People</h2>
          <ul role="list">{people.map((user) => <Person key={user.id} user={user} onChosen={onChosen} />)}</ul>
        </section>
      )}
      {found.messages.length > 0 && (
        <section>
          <h2>Messages</h2>
          <ul role="list">{found.messages.map((message) => <Found key={`${message.room} ${message.seq}`} message={message} words={text} titled={everywhere} />)}</ul>
          {found.more && <Button look="small" className="more" onClick={found.more}>More</Button>}
        </section>
      )}
      {found.problem && <p className="problem" role="alert">{found.problem}</p>}
      {nothing && found.done && <div className="empty"><h2>Nothing found</h2><p>All words must occur. “Quotes” find a phrase, and word* finds what begins so.</p></div>}
    </div>
  );
}

function usePeople(text: string): readonly User[] {
  const parley = useParley();
  const [people, setPeople] = useState<readonly User[]>([]);
  useEffect(() => {
    const query = text.replace(/^@/, "");
    if ([...query].length < 2) return setPeople([]);
    return later(() => parley.users.search(query, 5), (users) => setPeople(users.filter((user) => user.id !== parley.me)), () => setPeople([]));
  }, [text, parley]);
  return people;
}

interface FoundMessages {
  readonly messages: readonly Message[];
  /** loads further ones, if there are */
  readonly more: (() => void) | undefined;
  /** the server has answered */
  readonly done: boolean;
  readonly problem: string;
}

const nothing: FoundMessages = { messages: [], more: undefined, done: false, problem: "" };

function useMessages(text: string, room: string | undefined): FoundMessages {
  const parley = useParley();
  const [found, setFound] = useState(nothing);
  useEffect(() => {
    if (text === "") return setFound(nothing);
    let over = false;
    const fail = (error: unknown): void => over ? undefined : setFound((was) => ({ ...was, done: true, problem: words(error) }));
    const ask = (page?: string) => parley.search({ query: text, limit: pageSize, ...(room === undefined ? {} : { room }), ...(page === undefined ? {} : { page }) });
    const take = (before: readonly Message[], result: Awaited<ReturnType<typeof ask>>): void => {
      if (over) return;
      const messages = [...before, ...result.messages];
      const more = result.page === undefined ? undefined : () => void ask(result.page).then((next) => take(messages, next), fail);
      setFound({ messages, more, done: true, problem: "" });
    };
    setFound((was) => ({ ...was, done: false }));
    const end = later(() => ask(), (result) => take([], result), fail);
    return () => {
      over = true;
      end();
    };
  }, [text, room, parley]);
  return found;
}

/** Asks after a pause, unless something else is asked by then; what is answered too late is dropped. */
function later<T>(ask: () => Promise<T>, then: (answer: T) => void, fail: (error: unknown) => void): () => void {
  let over = false;
  const timer = setTimeout(() => ask().then((answer) => over || then(answer), (error: unknown) => over || fail(error)), pause);
  return () => {
    over = true;
    clearTimeout(timer);
  };
}

function Person({ user, onChosen }: { user: User; onChosen(): void }): ReactNode {
  const parley = useParley();
  const open = async (): Promise<void> => {
    const { id } = await parley.direct(user.id);
    go({ page: "room", room: id });
    onChosen();
  };
  return (
    <li>
      <button type="button" className="found person" onClick={() => void open().catch(() => {})}>
        <Avatar id={user.id} name={user.name || user.id} />
        <span className="found-title">{user.name || user.id}</span>
        <span className="handle">@{user.id}</span>
      </button>
    </li>
  );
}

function Found({ message, words, titled }: { message: Message; words: string; titled: boolean }): ReactNode {
  const entry = useRoom(message.room);
  const name = useName(message.user);
  const text = around(plainText(message.text ?? ""), words);
  return (
    <li>
      <a className="found" href={hashOf({ page: "room", room: message.room, message: message.seq })}>
        {titled && entry ? <RoomAvatar entry={entry} /> : <Avatar id={message.user ?? ""} name={name} />}
        <span className="found-title">{titled && entry ? <FoundTitle entry={entry} /> : name}</span>
        <time className="room-time" dateTime={message.at}>{shortTime(message.at, Date.now())}</time>
        <span className="found-text">{titled && `${name}: `}{highlighted(text, words).map(({ text, hit }, i) => (hit ? <mark key={i}>{text}</mark> : text))}</span>
      </a>
    </li>
  );
}

function FoundTitle({ entry }: { entry: InboxEntry }): ReactNode {
  return <>{useTitle(entry.room)}</>;
}
