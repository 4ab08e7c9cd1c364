// The comments of a live room: a list of the newest ones that runs, and stands still for who reads.

import type { InboxEntry, RoomObject } from "@parley-im/client";
import { useParley, useRoom } from "@parley-im/react";
import { useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { Announcer } from "../conversation/announcer.js";
import { ComposerClosed } from "../conversation/composer.js";
import { moderates } from "../conversation/names.js";
import { words } from "../conversation/problem.js";
import { Button, IconButton } from "../design/button.js";
import { Icon } from "../design/icon.js";
import { Comment, type CommentActs } from "./comment.js";
import { Composer } from "./composer.js";
import { useFrames } from "./frames.js";
import { useHold, type Hold } from "./hold.js";
import { linesOf, sparksOf, type Line, type Sparks } from "./lines.js";
import { waitUntil } from "./wait.js";

/** What live comments are made with. */
export interface CommentsProps {
  readonly about: RoomObject;
  /** told what flies up, a new array each time */
  readonly onSparks: (emoji: readonly string[]) => void;
}

/** The comments of a live room, and where one comments. */
export function Comments({ about, onSparks }: CommentsProps): ReactNode {
  const parley = useParley();
  const room = parley.room(about.id);
  const { timeline } = room;
  const entry = useRoom(about.id);
  const state = useFrames(timeline);
  const lines = useMemo(() => linesOf(state.items), [state.items]);
  const scroller = useRef<HTMLDivElement>(null);
  const hold = useHold(timeline, state, lines, scroller);
  const { acts, problem, forget } = useCommentActs(about.id);
  const [sentAt, setSentAt] = useState<number>();
  useSparks(lines, state.ready, onSparks);

  const moderator = moderates(entry?.me);
  const slow = moderator ? 0 : about.settings.slow_mode_s;
  const sent = useCallback((answer: Promise<unknown>) => {
    hold.go();
    answer.then(() => setSentAt(Date.now()), () => {}); // what became of it is in the list
  }, [hold.go]);
  return (
    <section className="comments" aria-label="Live comments">
      <div className="log-area" {...hold.under}>
        <div ref={scroller} className="comment-log" role="log" aria-label="Comments" aria-live="off" aria-busy={state.loading !== undefined} tabIndex={0} {...hold.handlers}>
          <List lines={lines} moderator={moderator} acts={acts} />
          {state.ready && lines.length === 0 && <p className="comments-empty">No comments yet. Be the first.</p>}
          {!state.ready && (state.error
            ? <div className="start"><Button look="small" onClick={() => void timeline.refresh()}>Could not load the comments. Try again</Button></div>
            : <div className="start"><span className="spinner" aria-hidden="true" /></div>)}
        </div>
        <GoOn hold={hold} />
      </div>
      {problem && <div className="conversation-problem" role="alert">{problem}<IconButton icon="close" label="Dismiss" small onClick={forget} /></div>}
      {closed(about, entry) ? <ComposerClosed why="Only moderators can write here." /> : <Composer room={room} slow={slow} until={waitUntil(state.items, sentAt, slow)} onSend={sent} />}
      <Announcer items={state.items} live={!hold.running && !hold.held} />
    </section>
  );
}

function closed(about: RoomObject, entry: InboxEntry | undefined): boolean {
  return about.settings.post === "moderators" && !moderates(entry?.me);
}

/** What one does with the comments of a room, and what the server has refused of it. */
function useCommentActs(id: string): { acts: CommentActs; problem: string; forget(): void } {
  const room = useParley().room(id);
  const [problem, setProblem] = useState("");
  const acts = useMemo<CommentActs>(() => {
    const attempt = (promise: Promise<unknown>): void => void promise.then(() => setProblem(""), (error: unknown) => setProblem(words(error)));
    return {
      react: (seq, emoji, on) => attempt(room.react(seq, emoji, on)),
      remove: (seq) => attempt(room.delete(seq)),
      retry: (key) => room.retry(key),
      cancel: (key) => room.cancel(key),
    };
  }, [room]);
  return { acts, problem, forget: () => setProblem("") };
}

function useSparks(lines: readonly Line[], ready: boolean, onSparks: CommentsProps["onSparks"]): void {
  const seen = useRef<Sparks["seen"] | undefined>(undefined);
  useEffect(() => {
    if (!ready) return;
    const sparks = sparksOf(lines, seen.current);
    seen.current = sparks.seen;
    if (sparks.emoji.length > 0) onSparks(sparks.emoji);
  }, [lines, ready]);
}

/** The lines. Which of them has its tools shown is told by the pointer and the focus. */
function List({ lines, moderator, acts }: { lines: readonly Line[]; moderator: boolean; acts: CommentActs }): ReactNode {
  const [active, setActive] = useState<string>();
  const keyOf = (target: EventTarget): string | undefined => (target as HTMLElement).closest<HTMLElement>("[data-key]")?.dataset["key"];
  return (
    <ol
      className="comment-list"
      onPointerOver={(event) => event.pointerType === "mouse" && setActive(keyOf(event.target))} onPointerLeave={() => setActive(undefined)}
      onFocus={(event) => setActive(keyOf(event.target))}
    >
      {lines.map((line) => line.type === "more"
        ? <li key={line.key} className="comments-more"><span>{line.count.toLocaleString()} more</span></li>
        : <Comment key={line.key} item={line.item} active={line.key === active} moderator={moderator} acts={acts} />)}
    </ol>
  );
}

/** How one goes on after the comments were held. */
function GoOn({ hold: { held, waiting, go } }: { hold: Hold }): ReactNode {
  if (!held) return null;
  return (
    <button type="button" className="go-on" onClick={go} aria-label={waiting > 0 ? `${waiting} new: to the newest comment` : "To the newest comment"}>
      <Icon name={waiting > 0 ? "down" : "pause"} small />
      {waiting > 0 ? `${waiting.toLocaleString()} new` : "Paused"}
    </button>
  );
}
