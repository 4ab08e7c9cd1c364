// Holding live comments in their place while somebody reads: the pointer rests on them while they run, they are scrolled back, or the keyboard is in them.

import type { Timeline, TimelineState } from "@parley-im/client";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type FocusEvent, type KeyboardEvent, type PointerEvent, type RefObject } from "react";

import { busy, looked, type Look } from "./pace.js";

/** Why comments are held. */
type Why = "pointer" | "scroll" | "keyboard";

/** So close to the end one is there, in pixels. */
const near = 32;

/** What is held, and what one does about it. */
export interface Hold {
  readonly held: boolean;
  /** comments that have come since */
  readonly waiting: number;
  /** comments come faster than one reads */
  readonly running: boolean;
  /** lets go of everything, and goes to the newest comment */
  go(): void;
  /** of the list with what lies over it: who moves to the button that goes on shall find it there */
  readonly under: {
    onPointerEnter(event: PointerEvent): void;
    onPointerLeave(): void;
  };
  /** of the list itself */
  readonly handlers: {
    onScroll(): void;
    onFocus(event: FocusEvent<HTMLElement>): void;
    onBlur(event: FocusEvent<HTMLElement>): void;
    onKeyDown(event: KeyboardEvent<HTMLElement>): void;
  };
}

/** Holds a timeline for as long as there is a reason to. `lines` is what the list in `scroller` shows of it: it is kept at its end unless it is held. */
export function useHold(timeline: Timeline, state: TimelineState, lines: unknown, scroller: RefObject<HTMLElement | null>): Hold {
  const [reasons, setReasons] = useState<ReadonlySet<Why>>(new Set());
  const [over, setOver] = useState(false);
  const looks = useRef<readonly Look[]>([]);
  const last = state.items.findLast((item) => item.type === "message");
  looks.current = looked(looks.current, { at: performance.now(), n: (last?.type === "message" ? last.message.n : 0) + (state.waiting ?? 0) });
  const running = busy(looks.current);
  const because = useCallback((why: Why, holds: boolean) => {
    setReasons((was) => (was.has(why) === holds ? was : new Set(holds ? [...was, why] : [...was].filter((other) => other !== why))));
  }, []);

  useEffect(() => {
    if (over && running) because("pointer", true); // in a quiet room a pointer may rest where it is
    if (!over) because("pointer", false);
  }, [over, running]);

  const wanted = reasons.size > 0;
  useLayoutEffect(() => (wanted ? timeline.hold() : undefined), [wanted, timeline]);

  const top = useRef(0);
  const toEnd = useCallback(() => {
    const element = scroller.current;
    if (!element) return; // taken away between a change of size and its news
    element.scrollTop = element.scrollHeight;
    top.current = element.scrollTop;
  }, [scroller]);
  useLayoutEffect(() => {
    if (!wanted) toEnd();
  }, [lines, wanted]);
  useEffect(() => {
    if (wanted) return;
    const observer = new ResizeObserver(toEnd); // names come later than comments, and so does a phone's keyboard
    observer.observe(scroller.current!);
    observer.observe(scroller.current!.firstElementChild!);
    return () => observer.disconnect();
  }, [wanted, toEnd]);

  const go = useCallback(() => {
    setReasons(new Set());
    setOver(false);
  }, []);

  const under = useMemo(() => ({
    onPointerEnter: (event: PointerEvent) => event.pointerType === "mouse" && setOver(true),
    onPointerLeave: () => setOver(false),
  }), []);
  const handlers = useMemo(() => ({
    onScroll: () => {
      const { scrollHeight, scrollTop, clientHeight } = scroller.current!;
      const left = scrollHeight - scrollTop - clientHeight;
      if (left <= near || scrollTop < top.current) because("scroll", left > near); // what has grown below has not scrolled up
      top.current = scrollTop;
    },
    onFocus: (event: FocusEvent<HTMLElement>) => event.target !== event.currentTarget && event.target.matches(":focus-visible") && because("keyboard", true),
    onBlur: (event: FocusEvent<HTMLElement>) => event.currentTarget.contains(event.relatedTarget as Node | null) || because("keyboard", false),
    onKeyDown: (event: KeyboardEvent<HTMLElement>) => {
      if (move(event)) because("keyboard", true);
      else if (event.key === "Escape" || (event.key === "End" && !event.defaultPrevented)) {
        event.currentTarget.focus();
        go();
      }
    },
  }), [because, go, scroller]);

  return { held: wanted, waiting: state.waiting ?? 0, running, go, under, handlers };
}

/** Arrow keys go from comment to comment; whether one did. */
function move(event: KeyboardEvent<HTMLElement>): boolean {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const from = event.target as HTMLElement;
  if (step === undefined || from.closest("[role=toolbar]")) return false;
  const comments = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-key]")];
  const at = comments.indexOf(from.closest<HTMLElement>("[data-key]")!);
  const next = at < 0 ? comments.at(-1) : comments[at + step];
  if (!next) return false;
  event.preventDefault();
  next.focus();
  return true;
}
