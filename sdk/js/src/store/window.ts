// A window over the log of a room: which messages a timeline holds, and what it knows about where they stand. Pure: every function returns the window
// after it, the same object where nothing changes.
//
// The rules:
//   - Every message of the log with low < seq <= high is in `messages`, but for those that a gap names.
//   - Every event up to `position` is in the messages. A later one is applied to those whose rev is smaller (promise 8).
//   - A window that is `live` touches the head: what the stream brings extends it, and high >= position.

import type { Message, MessageListResult, RoomEvent } from "../protocol.js";
import { changed, created, target } from "./message.js";

/** A stretch of which the server has left events out of a sampled live room, from and to included: no message in it is held. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** What a timeline holds of a room's log. */
export interface Window {
  /** ascending by seq */
  readonly messages: readonly Message[];
  /** ascending, with messages between them: however much is left out, there are no more of them than of those, and one */
  readonly gaps: readonly Gap[];
  /** 0 where the window reaches to the beginning of what the user may see */
  readonly low: number;
  readonly high: number;
  readonly position: number;
  readonly live: boolean;
}

/** Who looks, and at what part of the room. */
export interface View {
  /** the user, whose reactions are `mine`; undefined before the first session */
  readonly me: string | undefined;
  /** only replies below this message */
  readonly thread: number | undefined;
}

/** The window that the newest page of a room opens. */
export function newest(page: MessageListResult): Window {
  return { messages: page.messages, gaps: [], low: bottom(page), high: page.head, position: page.head, live: true };
}

/** The window that a page around a message opens. It is known to be live only if it is seen to reach the head. */
export function around(page: MessageListResult): Window {
  const last = page.messages.at(-1)?.seq ?? page.head;
  const live = !page.more || last === page.head;
  return { messages: page.messages, gaps: [], low: bottom(page), high: live ? page.head : last, position: page.head, live };
}

function bottom(page: MessageListResult): number {
  return page.more ? (page.messages[0]?.seq ?? 1) - 1 : 0;
}

/** The window with the page before it. */
export function older(window: Window, page: MessageListResult): Window {
  const messages = page.messages.filter((m) => m.seq <= window.low);
  return { ...window, messages: [...messages, ...window.messages], low: bottom(page) };
}

/** The window with the page after it, which makes it live if there is no further one. */
export function newer(window: Window, page: MessageListResult): Window {
  const messages = page.messages.filter((m) => m.seq > window.high);
  const high = page.more ? (messages.at(-1)?.seq ?? window.high) : Math.max(page.head, window.high);
  return { ...window, messages: [...window.messages, ...messages], high, live: !page.more };
}

/** The window after an event; "hole" if the stream has lost its connection with the window, which must be loaded anew. */
export function apply(window: Window, event: RoomEvent, view: View): Window | "hole" {
  if (event.seq > window.position + 1) {
    return "hole";
  }
  let next = touch(window, event, view.me);
  const append = window.live && event.seq > window.high;
  if (append && event.event === "message.created" && (view.thread === undefined || event.data.thread === view.thread)) {
    next = { ...next, messages: [...next.messages, created(event)] };
  }
  return event.seq <= next.position && !append
    ? next
    : { ...next, position: Math.max(next.position, event.seq), high: append ? event.seq : next.high };
}

/** The window with what an event says about a message in it. */
export function touch(window: Window, event: RoomEvent, me: string | undefined): Window {
  const seq = target(event);
  const at = seq === undefined ? -1 : find(window.messages, seq);
  const before = window.messages[at];
  const after = before && changed(before, event, me);
  return after === before || !after ? window : { ...window, messages: replaced(window.messages, at, 1, after) };
}

/** The window after the server has left out events; "hole" as with apply. */
export function skip(window: Window, from: number, to: number): Window | "hole" {
  if (from > window.position + 1) {
    return "hole";
  }
  const next = to <= window.position ? window : { ...window, position: to };
  if (!window.live || to <= window.high) {
    return next;
  }
  const gap = { from: Math.max(from, window.high + 1), to };
  const last = window.gaps.at(-1);
  const joined = last && last.to >= (next.messages.at(-1)?.seq ?? 0); // what lies between is no message, and is missing to nobody
  return { ...next, high: to, gaps: joined ? [...window.gaps.slice(0, -1), { from: last.from, to }] : [...window.gaps, gap] };
}

/** The window with what a page that was read from `from` on, the first event of a gap, says about the gap. */
export function fill(window: Window, from: number, page: MessageListResult): Window {
  const gap = window.gaps.find((g) => g.from === from);
  if (!gap) {
    return window;
  }
  const upTo = page.more ? Math.min(page.messages.at(-1)?.seq ?? gap.to, gap.to) : gap.to;
  const rest = upTo < gap.to ? [{ from: upTo + 1, to: gap.to }] : [];
  const inside = page.messages.filter((m) => m.seq >= from && m.seq <= upTo);
  const gaps = window.gaps.flatMap((g) => (g === gap ? rest : [g]));
  return inside.reduce(put, { ...window, gaps });
}

/** The window with a message that belongs within it: into its place, or over an older copy of it. A gap that holds it is split around it. */
export function put(window: Window, message: Message): Window {
  const { seq } = message;
  if (seq <= window.low || seq > window.high) {
    return window;
  }
  const at = find(window.messages, seq);
  if (at >= 0) {
    return window.messages[at]!.rev >= message.rev ? window : { ...window, messages: replaced(window.messages, at, 1, message) };
  }
  const gaps = window.gaps.flatMap((g) => (seq < g.from || seq > g.to ? [g] : [{ from: g.from, to: seq - 1 }, { from: seq + 1, to: g.to }].filter((p) => p.from <= p.to)));
  return { ...window, gaps, messages: replaced(window.messages, ~at, 0, message) };
}

/** The window cut to its `most` newest messages, or to its `most` oldest ones, after which it is not live any more. */
export function trim(window: Window, most: number, keep: "newest" | "oldest"): Window {
  if (window.messages.length <= most) {
    return window;
  }
  if (keep === "newest") {
    const messages = window.messages.slice(-most);
    const low = messages[0]!.seq - 1;
    return { ...window, messages, low, gaps: window.gaps.filter((g) => g.from > low) };
  }
  const messages = window.messages.slice(0, most);
  const high = messages.at(-1)!.seq;
  return { ...window, messages, high, live: false, gaps: window.gaps.filter((g) => g.to <= high) };
}

function replaced(messages: readonly Message[], at: number, count: number, message: Message): Message[] {
  return [...messages.slice(0, at), message, ...messages.slice(at + count)];
}

/** The index of a message, or the complement of where it would be. */
function find(messages: readonly Message[], seq: number): number {
  let from = 0;
  let to = messages.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (messages[middle]!.seq < seq) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return messages[from]?.seq === seq ? from : ~from;
}
