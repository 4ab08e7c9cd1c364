// The messages of a room or a thread as a virtual list: only what is in view, and a little more, is in the document. It keeps its place while messages
// come and go at both ends, stays at the end where it is there, and marks as read what is seen.

import type { Message as MessageObject, Room, Timeline, TimelineState } from "@parley-im/client";
import { useParley, useRoom } from "@parley-im/react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type FocusEvent, type KeyboardEvent, type MouseEvent, type PointerEvent, type ReactNode } from "react";
import { Virtualizer, type VirtualizerHandle } from "virtua";

import { IconButton } from "../design/button.js";
import { Announcer } from "./announcer.js";
import { Message, type MessageActs } from "./message.js";
import { moderates } from "./names.js";
import { rowsOf, type Row } from "./rows.js";
import { useSteps } from "./steps.js";
import { dayTitle } from "./times.js";

/** So close to the end one is there. */
const near = 48;
/** So close to an end the next page is loaded. */
const ahead = 1200;
/** The virtual list is at a row so long after it was sent there: it measures what is around that first. */
const settles = 200;

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
  readonly acts: Omit<MessageActs, "jump">;
  /** what stands above the first message of all */
  readonly beginning: ReactNode;
  /** what stands below the last one */
  readonly end?: ReactNode;
}

/** The messages of a room or a thread. */
export function MessageList({ room, timeline, state, thread, target, acts, beginning, end }: MessageListProps): ReactNode {
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
  const all = useMemo<MessageActs>(() => ({ ...acts, jump: place.jump }), [acts, place.jump]);
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
            active={row.key === active.key} flash={row.item.type === "message" && row.item.message.seq === place.flash}
          />
        );
    }
  };
  return (
    <div className="log-area">
      <div
        ref={place.scroller} className="log" role="log" aria-label="Messages" aria-live="off" aria-busy={state.loading !== undefined} tabIndex={0}
        onScroll={place.scrolled} {...place.hands} {...active.handlers}
      >
        <div className="log-fill" />
        <Virtualizer key={generation} ref={place.list} scrollRef={place.scroller} as="ol" item="li" data={shown} shift={shift} bufferSize={400} onResize={place.resized}>
          {(data) => <div key={data.key} className="row">{row(data)}</div>}
        </Virtualizer>
        {end}
      </div>
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
  const atEnd = useRef(true);
  const leaving = useRef(false); // somebody scrolls: what else moves the end away, such as a page that comes in above, is no leaving
  const placed = useRef(-1);
  const wish = useRef<number | undefined>(target?.seq);
  const asked = useRef(false);
  const moving = useRef<ReturnType<typeof setTimeout>>(undefined); // on the way to a row: pages that come in meanwhile would lead elsewhere
  const newest = useRef(false); // the newest messages were asked for, and are not here yet
  const [away, setAway] = useState(false);
  const [flash, setFlash] = useState<number>();

  const look = useCallback(() => {
    const handle = list.current;
    const { room, timeline, state, rows, threaded } = now.current;
    const element = scroller.current;
    if (!handle || !element || placed.current < 0 || moving.current !== undefined) return;
    const left = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (left < near) {
      atEnd.current = true;
      leaving.current = false;
    } else if (leaving.current) atEnd.current = false;
    setAway(state.ready && (state.newer || left > element.clientHeight / 2));
    if (state.older && element.scrollTop < ahead && !state.loading) void timeline.older();
    if (state.newer && left < ahead && !state.loading) void timeline.newer();
    if (threaded || document.hidden || !state.ready) return;
    if (atEnd.current && !state.newer) return room.read();
    const lowest = lastSeen(rows, handle.findItemIndex(handle.scrollOffset + handle.viewportSize - near));
    if (lowest !== undefined) room.read(lowest);
  }, []);

  const move = useCallback((index: number, align: "start" | "center" | "end", offset = 0, tries = 5) => {
    clearTimeout(moving.current);
    leaving.current = false;
    list.current?.scrollToIndex(index, { align, offset });
    moving.current = setTimeout(() => {
      moving.current = undefined;
      // A busy browser may need longer, and the list forgets where it was going when it is measured meanwhile.
      const lost = list.current && scroller.current && !inView(list.current, scroller.current, index);
      if (lost && tries > 0 && !leaving.current) move(align === "end" ? now.current.rows.length - 1 : index, align, offset, tries - 1);
      else look();
    }, settles);
  }, [look]);
  useEffect(() => () => clearTimeout(moving.current), []);

  const toEnd = useCallback(() => move(now.current.rows.length - 1, "end"), [move]);

  const show = useCallback((seq: number): boolean => {
    const at = now.current.rows.findIndex((row) => row.type === "message" && row.item.type === "message" && row.item.message.seq === seq);
    if (at < 0) return false;
    move(at, "center");
    atEnd.current = false;
    setFlash(seq);
    return true;
  }, [move]);

  const jump = useCallback((seq: number) => {
    setFlash(undefined);
    if (show(seq)) return;
    wish.current = seq;
    void now.current.timeline.jump(seq);
  }, [show]);

  const latest = useCallback(() => {
    atEnd.current = true;
    newest.current = now.current.state.newer;
    if (newest.current) void now.current.timeline.latest();
    else toEnd();
  }, [toEnd]);

  useEffect(() => {
    if (target) jump(target.seq);
  }, [target]);

  // After every change of rows: the first place, a wish, or the end again.
  useLayoutEffect(() => {
    if (!state.ready || rows.length < 2) {
      if (state.ready) placed.current = generation;
      return;
    }
    if (wish.current !== undefined && show(wish.current)) {
      wish.current = undefined;
      placed.current = generation;
    } else if (placed.current !== generation && wish.current === undefined) {
      const { mark, timeline, room } = now.current;
      const first = rows.find((row) => row.type === "message");
      const firstSeq = first?.item.type === "message" ? first.item.message.seq : 0;
      if (mark !== undefined && placed.current < 0 && state.older && firstSeq > mark + 1 && (!asked.current || state.loading)) {
        if (!asked.current) void timeline.jump(Math.max(1, room.entry.get()?.me.read ?? 1)); // the first unread one is further up
        asked.current = true;
        return; // nothing of what is here until then counts as read
      }
      placed.current = generation;
      const line = newest.current ? -1 : rows.findIndex((row) => row.type === "new");
      newest.current = false;
      if (line >= 0) move(line, "start", -12);
      else toEnd();
      atEnd.current = line < 0;
    } else if (atEnd.current && !state.newer) toEnd();
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

  const resized = useCallback(() => {
    if (atEnd.current && !now.current.state.newer) toEnd();
  }, [toEnd]);

  const hands = useMemo(() => {
    const leave = (): void => void (leaving.current = true);
    return {
      onWheel: leave, onTouchMove: leave, onKeyDownCapture: leave,
      onPointerDown: (event: PointerEvent) => event.target === scroller.current && leave(), // the scroll bar
    };
  }, []);

  return { scroller, list, hands, scrolled: look, resized, jump, latest, away, flash };
}

/** Whether a row is in view. */
function inView(list: VirtualizerHandle, scroller: HTMLElement, index: number): boolean {
  const top = list.getItemOffset(index) - scroller.scrollTop;
  return top < scroller.clientHeight && top + list.getItemSize(index) > 0;
}

/** The seq of the last message at or before a row. */
function lastSeen(rows: readonly Row[], index: number): number | undefined {
  for (let i = Math.min(index, rows.length - 1); i >= 0; i--) {
    const row = rows[i]!;
    if (row.type === "message" && row.item.type === "message") return (row.item.message as MessageObject).seq;
  }
  return undefined;
}

/** Which message has its tools shown: the one under the pointer or the focus. */
function useActive() {
  const [key, setKey] = useState<string>();
  const handlers = useMemo(() => {
    const message = (target: EventTarget): HTMLElement | null => (target as HTMLElement).closest<HTMLElement>("[data-key]");
    return {
      onPointerOver: (event: PointerEvent) => event.pointerType === "mouse" && setKey(message(event.target)?.dataset["key"]),
      onPointerLeave: (event: PointerEvent<HTMLElement>) => event.currentTarget.matches(":focus-within") || setKey(undefined),
      onClick: (event: MouseEvent) => (event.target as HTMLElement).closest("button, a") ?? setKey(message(event.target)?.dataset["key"]), // where nothing hovers
      onFocus: (event: FocusEvent) => setKey(message(event.target)?.dataset["key"]),
      onKeyDown: move,
    };
  }, []);
  return { key, handlers };
}

/** Arrow keys go from message to message. */
function move(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const from = event.target as HTMLElement;
  if (step === undefined || from.closest("[role=toolbar]")) return;
  const messages = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-key]")];
  const at = messages.indexOf(from.closest<HTMLElement>("[data-key]")!);
  const next = at < 0 ? messages.at(-1) : messages[at + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
