// The messages of a room or a thread as a virtual list: only what is in view, and a little more, is in the document. It keeps its place while messages
// come and go at both ends, stays at the end where it is there, and marks as read what is seen.

import type { Room, Timeline, TimelineState } from "@parley-im/client";
import { useConnection, useParley, useRoom } from "@parley-im/react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type FocusEvent, type KeyboardEvent, type MouseEvent, type PointerEvent, type ReactNode } from "react";
import { Virtualizer, type VirtualizerHandle } from "virtua";

import { IconButton } from "../design/button.js";
import { anchorAt, offsetFor, type Anchor } from "./anchor.js";
import { Announcer } from "./announcer.js";
import { Message, type MessageActs } from "./message.js";
import { moderates } from "./names.js";
import { rowsOf, type Row } from "./rows.js";
import { useSteps } from "./steps.js";
import { dayTitle } from "./times.js";
import type { Opened } from "./toolbar.js";

/** So close to the end one is there. */
const near = 48;
/** So close to an end the next page is loaded. */
const ahead = 1200;
/** So far below the upper edge is the line of what is new. */
const below = 12;
/** Columns so wide have the tools of a message stand beside it, as conversation.css has it. */
const roomy = 640;
/** So long it is said that a message is not there, in milliseconds. */
const said = 6000;

/** Where a list is asked to go: a new object with every wish. */
export interface Target {
  readonly seq: number;
}

/** What a list of messages is made with. */
export interface MessageListProps {
  readonly room: Room;
  readonly timeline: Timeline;
  readonly state: TimelineState;
  /** the root of the thread that this is: it is read in its room, and opens no threads of its own */
  readonly thread?: number;
  readonly target?: Target | undefined;
  readonly acts: Omit<MessageActs, "jump" | "open">;
  /** what stands above the first message of all */
  readonly beginning: ReactNode;
}

/** The messages of a room or a thread. */
export function MessageList({ room, timeline, state, thread, target, acts, beginning }: MessageListProps): ReactNode {
  const parley = useParley();
  const entry = useRoom(room.id);
  const threaded = thread !== undefined;
  const { mark, settle } = useMark(room, threaded);
  const before = useRef<readonly Row[]>([]);
  const rows = useMemo(() => (before.current = rowsOf(state.items, mark, parley.me, before.current)), [state.items, mark, parley.me]);
  const { rows: shown, shift, fresh } = useSteps(rows);
  const generation = useGeneration(fresh);
  const place = usePlace({ room, timeline, state, rows: shown, generation, threaded, target, mark });
  const active = useActive();
  const direct = entry?.room.kind === "direct";
  const moderator = moderates(entry?.me);
  const all = useMemo<MessageActs>(() => ({ ...acts, jump: place.jump, open: active.show }), [acts, place.jump, active.show]);
  const waiting = state.items.at(-1);
  useEffect(() => {
    if (waiting?.type !== "outgoing") return;
    settle(); // who answers has read what was new
    place.latest();
  }, [waiting?.type === "outgoing" && waiting.key]);

  const row = (row: Row): ReactNode => {
    switch (row.type) {
      case "start":
        return <Start state={state} timeline={timeline} beginning={beginning} />;
      case "day":
        return <div className="day-line"><span>{dayTitle(row.at, Date.now())}</span></div>;
      case "new":
        return <div className="new-line"><span>New messages</span></div>;
      case "gap":
        return <div className="gap-line"><button type="button" className="button small" onClick={() => void timeline.fill(row.gap)}>Show what was left out</button></div>;
      case "message":
        return (
          <Message
            row={row} room={room.id} direct={direct} moderator={moderator} thread={thread} acts={all}
            active={row.key === active.key} open={row.key === active.key ? active.open : undefined} flash={row.item.type === "message" && row.item.message.seq === place.flash}
          />
        );
    }
  };
  return (
    <div className="log-area">
      <div
        ref={place.scroller} className="log" role="log" aria-label="Messages" aria-live="off" aria-busy={state.loading !== undefined} tabIndex={0}
        onScroll={place.scrolled} {...active.handlers}
      >
        <div className="log-fill" />
        <Virtualizer key={generation} ref={place.list} scrollRef={place.scroller} as="ol" item="li" data={shown} shift={shift} bufferSize={400} onResize={place.resized}>
          {(data) => <div key={data.key} className="row">{row(data)}</div>}
        </Virtualizer>
      </div>
      <div className="log-note" aria-live="polite">{place.gone && <p>This message is no longer there.</p>}</div>
      {place.away && (
        <div className="to-end">
          {!threaded && entry !== undefined && entry.me.unread > 0 && <span className="badge" aria-hidden="true">{entry.me.unread > 999 ? "999+" : entry.me.unread}</span>}
          <IconButton icon="down" label="To the newest message" onClick={place.latest} />
        </div>
      )}
      <Announcer items={state.items} live={!state.newer} />
    </div>
  );
}

/** What stands above the oldest message that is loaded. */
function Start({ state, timeline, beginning }: { state: TimelineState; timeline: Timeline; beginning: ReactNode }): ReactNode {
  if (state.error) {
    return <div className="start"><button type="button" className="button small" onClick={() => void (state.ready ? timeline.older() : timeline.refresh())}>Could not load messages. Try again</button></div>;
  }
  if (!state.ready || state.older) return <div className="start"><span className="spinner" aria-hidden="true" /></div>;
  return beginning;
}

/** Up to where the room was read when one came here: the line of what is new goes below. */
function useMark(room: Room, threaded: boolean): { mark: number | undefined; settle(): void } {
  const from = useCallback((): number | undefined => {
    const entry = room.entry.get();
    return entry && !threaded && entry.me.unread > 0 ? entry.me.read : undefined;
  }, [room, threaded]);
  const [mark, setMark] = useState(from);
  useEffect(() => {
    const turned = (): void => setMark((was) => (document.hidden ? undefined : (from() ?? was)));
    document.addEventListener("visibilitychange", turned);
    return () => document.removeEventListener("visibilitychange", turned);
  }, [from]);
  return { mark, settle: useCallback(() => setMark(undefined), []) };
}

/** Counts how often everything that was shown has been replaced: each time it is a new list. */
function useGeneration(fresh: boolean): number {
  const generation = useRef(0);
  const counted = useRef(false);
  if (fresh && !counted.current) generation.current++;
  counted.current = fresh;
  return generation.current;
}

interface Placing {
  readonly room: Room;
  readonly timeline: Timeline;
  readonly state: TimelineState;
  readonly rows: readonly Row[];
  readonly generation: number;
  readonly threaded: boolean;
  readonly target: Target | undefined;
  readonly mark: number | undefined;
}

/** Where the list stands, and how it gets elsewhere. */
function usePlace(placing: Placing) {
  const { state, rows, generation, target } = placing;
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const now = useRef(placing);
  now.current = placing;
  const anchor = useRef<Anchor>("end");
  const put = useRef(0); // where the list was last put: it is elsewhere only when somebody has scrolled
  const placed = useRef(-1);
  const wish = useRef<number | undefined>(target?.seq);
  const asked = useRef(false);
  const newest = useRef(false); // the newest messages were asked for, and are not here yet
  const [away, setAway] = useState(false);
  const [flash, setFlash] = useState<number>();
  const seeking = useRef(0);
  const [gone, setGone] = useState(false);
  const parley = useParley();
  const live = useConnection().status === "live";

  const look = useCallback(() => {
    const { room, timeline, state, rows, threaded } = now.current;
    const element = scroller.current;
    if (!element || placed.current < 0) return;
    const left = element.scrollHeight - element.scrollTop - element.clientHeight;
    const seen = lastSeen(element);
    if (seen !== undefined && left < near && !state.newer) anchor.current = "end";
    setAway(state.ready && (state.newer || left > element.clientHeight / 2));
    if (state.older && element.scrollTop < ahead && !state.loading) void timeline.older();
    if (state.newer && left < ahead && !state.loading) void timeline.newer();
    if (threaded || document.hidden || !state.ready) return;
    if (anchor.current === "end" && !state.newer) return room.read();
    const row = rows.find(({ key }) => key === seen);
    if (row?.type === "message" && row.item.type === "message") room.read(row.item.message.seq);
  }, []);

  /** Puts what is held back in its place, which is what the virtual list does only for what it takes to be in view. */
  const hold = useCallback(() => {
    const { state, rows } = now.current;
    const element = scroller.current;
    if (!element || !list.current) return;
    const held = anchor.current;
    const to = held !== "end" ? offsetFor(held, rows, list.current, element.clientHeight) : state.newer ? undefined : element.scrollHeight - element.clientHeight;
    if (to === undefined && held !== "end") anchor.current = anchorAt(element.scrollTop, rows, list.current);
    const off = to === undefined ? 0 : to - element.scrollTop;
    if (Math.abs(off) >= 1) element.scrollBy({ top: off, behavior: "instant" });
    put.current = element.scrollTop;
  }, []);

  const go = useCallback((to: Anchor) => {
    anchor.current = to;
    hold();
  }, [hold]);

  /** Somebody has scrolled. What becomes smaller moves a list, too, but not from its end. */
  const scrolled = useCallback(() => {
    const element = scroller.current;
    if (element && list.current && Math.abs(element.scrollTop - put.current) >= 1) {
      put.current = element.scrollTop;
      const left = element.scrollHeight - element.scrollTop - element.clientHeight;
      if (anchor.current !== "end" || left >= 1) anchor.current = anchorAt(element.scrollTop, now.current.rows, list.current);
    }
    look();
  }, [look]);

  const show = useCallback((seq: number): boolean => {
    const row = now.current.rows.find((row) => row.type === "message" && row.item.type === "message" && row.item.message.seq === seq);
    if (!row) return false;
    go({ key: row.key, top: "middle" });
    setFlash(seq);
    return true;
  }, [go]);

  const latest = useCallback(() => {
    newest.current = now.current.timeline.get().newer;
    go("end"); // at once, or with the newest messages
    if (newest.current) void now.current.timeline.latest();
  }, [go]);

  /** Has the part of the log loaded where a message is, and gives up where it turns out that there is none. */
  const seek = useCallback(async (seq: number) => {
    const { timeline } = now.current;
    wish.current = seq;
    const attempt = ++seeking.current;
    await timeline.jump(seq);
    if (attempt !== seeking.current) return;
    seeking.current = 0;
    const { items, loading, error } = timeline.get();
    const found = items.some((item) => item.type === "message" && item.message.seq === seq);
    if (found || loading || wish.current !== seq || !scroller.current || parley.connection.get().status !== "live") return;
    wish.current = undefined;
    if (error) return; // which is said above the messages
    placed.current = now.current.generation;
    setGone(true);
    latest();
  }, [latest, parley]);

  const jump = useCallback((seq: number) => {
    setFlash(undefined);
    setGone(false);
    if (show(seq)) wish.current = undefined;
    else void seek(seq);
  }, [show, seek]);

  useEffect(() => {
    if (target) jump(target.seq);
  }, [target]);

  useEffect(() => {
    if (live && wish.current !== undefined && seeking.current === 0) void seek(wish.current); // the connection was lost on the way
  }, [live, seek]);

  // After every change of rows: the first place, a wish, or what is held.
  useLayoutEffect(() => {
    if (!state.ready || rows.length < 2) {
      if (state.ready) placed.current = generation;
      return;
    }
    if (wish.current !== undefined && show(wish.current)) {
      wish.current = undefined;
      placed.current = generation;
    } else if (placed.current !== generation && (wish.current === undefined || seeking.current === 0)) {
      const { mark, timeline, room } = now.current;
      const first = rows.find((row) => row.type === "message");
      const firstSeq = first?.item.type === "message" ? first.item.message.seq : 0;
      if (mark !== undefined && placed.current < 0 && state.older && firstSeq > mark + 1 && (!asked.current || state.loading)) {
        if (!asked.current) void timeline.jump(Math.max(1, room.entry.get()?.me.read ?? 1)); // the first unread one is further up
        asked.current = true;
        return; // nothing of what is here until then counts as read
      }
      placed.current = generation;
      const line = newest.current ? undefined : rows.find((row) => row.type === "new");
      newest.current = false;
      go(line ? { key: line.key, top: below } : "end");
    } else hold();
    const frame = requestAnimationFrame(look);
    return () => cancelAnimationFrame(frame);
  }, [rows, state.ready, state.loading, generation]);

  useEffect(() => {
    const shownAgain = (): void => look();
    document.addEventListener("visibilitychange", shownAgain);
    return () => document.removeEventListener("visibilitychange", shownAgain);
  }, [look]);

  useEffect(() => {
    if (flash === undefined) return;
    const timer = setTimeout(() => setFlash(undefined), 1600);
    return () => clearTimeout(timer);
  }, [flash]);

  useEffect(() => {
    if (!gone) return;
    const timer = setTimeout(() => setGone(false), said);
    return () => clearTimeout(timer);
  }, [gone]);

  const resized = useCallback(() => {
    hold();
    look();
  }, [hold, look]);

  return { scroller, list, scrolled, resized, jump, latest, away, flash, gone };
}

/** The key of the last message in view; undefined while anything there is still to be measured, or rendered at all. */
function lastSeen(scroller: HTMLElement): string | undefined {
  const rows = [...scroller.querySelectorAll<HTMLElement>(".row")];
  const [view, all] = [scroller, rows[0]?.closest("ol")].map((element) => element?.getBoundingClientRect());
  if (!view || !all) return undefined;
  const [top, bottom] = [Math.max(view.top, all.top), Math.min(view.bottom, all.bottom)];
  const inView = rows.filter((row) => row.getBoundingClientRect().bottom > top && row.getBoundingClientRect().top < bottom);
  const [first, last] = [inView[0], inView.at(-1)];
  if (!first || !last || first.getBoundingClientRect().top > top + 1 || last.getBoundingClientRect().bottom < bottom - 1) return undefined;
  if (inView.some((row) => getComputedStyle(row).visibility === "hidden")) return undefined;
  const begun = inView.findLast((row) => row.getBoundingClientRect().top < view.bottom - near && row.querySelector("[data-key]"));
  return begun?.querySelector<HTMLElement>("[data-key]")!.dataset["key"];
}

interface Active {
  readonly key: string | undefined;
  readonly open: Opened | undefined;
}

/** Which message has its tools shown: the one under the pointer or the focus, but while something is open of one it is that. */
function useActive() {
  const [{ key, open }, setActive] = useState<Active>({ key: undefined, open: undefined });
  const show = useCallback((open: Opened | undefined) => setActive((was) => (was.open === open ? was : { ...was, open })), []);
  const handlers = useMemo(() => {
    const at = (key: string | undefined, open?: Opened): void => setActive((was) => (was.open || (was.key === key && !open) ? was : { key, open }));
    const message = (target: EventTarget): HTMLElement | null => (target as HTMLElement).closest<HTMLElement>("[data-key]");
    return {
      onPointerOver: (event: PointerEvent) => event.pointerType === "mouse" && at(message(event.target)?.dataset["key"]),
      onPointerLeave: ({ currentTarget }: PointerEvent<HTMLElement>) => currentTarget.querySelector(":focus-visible") ?? at(undefined),
      onClick: ({ target, currentTarget }: MouseEvent<HTMLElement>) => {
        if ((target as HTMLElement).closest("button, a, [popover]")) return;
        const touched = message(target);
        const folds = matchMedia("(hover: none)").matches && currentTarget.clientWidth <= roomy;
        at(touched?.dataset["key"], folds && touched?.dataset["usable"] ? "menu" : undefined);
      },
      onFocus: (event: FocusEvent) => at(message(event.target)?.dataset["key"]),
      onBlur: ({ relatedTarget, currentTarget }: FocusEvent<HTMLElement>) => {
        const to = relatedTarget as HTMLElement | null;
        if (to && !currentTarget.contains(to) && !to.closest("dialog")) at(undefined); // a dialog gives the focus back
      },
      onKeyDown: move,
    };
  }, []);
  return { key, open, show, handlers };
}

/** Arrow keys go from message to message. */
function move(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const from = event.target as HTMLElement;
  if (step === undefined || from.closest("[role=toolbar], [popover]")) return;
  const messages = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-key]")];
  const at = messages.indexOf(from.closest<HTMLElement>("[data-key]")!);
  const next = at < 0 ? messages.at(-1) : messages[at + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
