// A timeline: the window over a room's log that an application shows, and behind it the user's own messages that are on their way.
//
// There is one load at a time. What the stream brings while a page is being read may be in the page or not; it is recorded and applied to the page
// when that has come, so nothing falls between the two. A window that has lost its connection with the stream is `stale`: it stays as it was, for
// everyone to see, until the page that takes its place is there.

import { LinkEndedError, LinkLostError } from "../errors.js";
import type { Observable } from "../observable.js";
import { bounds } from "../protocol.js";
import type { Message, MessageListParams, MessageListResult, RoomEvent, SignalFrame } from "../protocol.js";
import { Derived } from "./derived.js";
import type { Outgoing } from "./outbox.js";
import type { Ticks } from "./receipts.js";
import * as windows from "./window.js";
import type { Gap, Window } from "./window.js";

/** How far a message of one's own has got: with the server, with the devices of all other members, with their eyes. */
export type SentStatus = "sent" | "delivered" | "read";

/** One line of a timeline. `key` stays the same while a message of one's own goes from pending to read. */
export type Item<Data = unknown> =
  | {
      readonly type: "message";
      readonly key: string;
      readonly message: Message & { data: Data | null };
      /** of one's own messages */
      readonly status: SentStatus | undefined;
    }
  | {
      /** a message of one's own that waits in the outbox, or that the server has refused; see Room.retry and Room.cancel */
      readonly type: "outgoing";
      readonly key: string;
      readonly outgoing: Outgoing;
      readonly status: "pending" | "failed";
    }
  | {
      /** events that the server has left out of a crowded live room; see Timeline.fill */
      readonly type: "gap";
      readonly key: string;
      readonly gap: Gap;
    };

/** What a timeline shows. */
export interface TimelineState<Data = unknown> {
  /** in the order of the log; what is on its way comes last, and is shown only where the newest messages are */
  readonly items: readonly Item<Data>[];
  /** false until there is something to show, from the server or from the local copy */
  readonly ready: boolean;
  /** there may be older messages: Timeline.older */
  readonly older: boolean;
  /** these are not the newest messages: Timeline.newer or Timeline.latest */
  readonly newer: boolean;
  /** while it is held, how many messages have come since; undefined while it is not: Timeline.hold */
  readonly waiting: number | undefined;
  /** what is being loaded */
  readonly loading: Loading | undefined;
  /** why the last load came to nothing; gone with the next */
  readonly error: Error | undefined;
}

/** What a timeline is loading: all of it, its next page at either end, or a gap. */
export type Loading = "window" | "older" | "newer" | "gap";

/** What a timeline is made with. */
export interface Surroundings {
  list(params: MessageListParams): Promise<MessageListResult>;
  /** whether there is a session to ask */
  ready(): boolean;
  /** the user, undefined before the first session */
  me(): string | undefined;
  /** the user's messages to the room that wait or were refused */
  outgoing(): readonly Outgoing[];
  ticks(): Ticks;
  /** told when the first listener comes; what it returns, when the last has gone */
  watched(): () => void;
  /** messages held at most */
  most: number;
}

interface Load {
  readonly kind: Loading;
  readonly tape: (RoomEvent | SignalFrame<"skipped">)[];
}

const page = bounds.defaultListMessages;

/** The messages of a room, or of one thread of it. */
export class Timeline<Data = unknown> implements Observable<TimelineState<Data>> {
  readonly #room: string;
  readonly #thread: number | undefined;
  readonly #around: Surroundings;
  readonly #state: Derived<TimelineState<Data>>;
  readonly #items = new WeakMap<Message | Outgoing | Gap, Item<Data>>();

  #shown: readonly Item<Data>[] = [];
  #window: Window | undefined;
  /** what is shown instead while somebody reads, and by whom it is held */
  #held: { window: Window; readonly holders: Set<object> } | undefined;
  #stale = true;
  #load: Load | undefined;
  #error: Error | undefined;
  /** answered, and not yet in the stream */
  #sent: Message[] = [];

  /** For Room and tests: an application finds timelines at Room.timeline and Room.thread. */
  constructor(room: string, thread: number | undefined, surroundings: Surroundings) {
    this.#room = room;
    this.#thread = thread;
    this.#around = surroundings;
    const nothing = { items: [], ready: false, older: false, newer: false, waiting: undefined, loading: undefined, error: undefined };
    this.#state = new Derived<TimelineState<Data>>(nothing, () => this.#show(), () => surroundings.watched());
  }

  /** What it shows now. */
  get(): TimelineState<Data> {
    return this.#state.get();
  }

  /** Tells of changes, and keeps the timeline up to date for as long as anyone listens. */
  subscribe(listener: () => void): () => void {
    return this.#state.subscribe(listener);
  }

  /** Loads the page before the oldest message, if there is one. What is too much for memory goes at the other end. */
  async older(): Promise<void> {
    const window = this.#window;
    if (window && window.low > 0 && !this.#busy()) {
      await this.#read("older", { before: window.low + 1 }, (page, now) => windows.trim(windows.older(now ?? window, page), this.#around.most, "oldest"));
    }
  }

  /** Loads the page after the newest message shown, if that is not the newest of the room. */
  async newer(): Promise<void> {
    const window = this.#window;
    if (window && !window.live && !this.#busy()) {
      await this.#read("newer", { after: window.high }, (page, now) => windows.trim(windows.newer(now ?? window, page), this.#around.most, "newest"));
    }
  }

  /** Shows the part of the room where a message is, unless it is shown already. */
  async jump(seq: number): Promise<void> {
    if (this.#window?.messages.some((m) => m.seq === seq)) {
      return;
    }
    await this.#read("window", { around: seq }, (page) => windows.around(page));
    const window = this.#window;
    if (window && !window.live && window.messages.filter((m) => m.seq > seq).length < page / 2 - 1) {
      await this.newer(); // so few behind it: these may be the newest, which only a page that ends there can tell
    }
  }

  /** Returns to the newest messages. */
  async latest(): Promise<void> {
    if (!this.#window?.live) {
      await this.#read("window", {}, windows.newest);
    }
  }

  /** Loads what the server has left out, up to 200 messages; what remains stays a gap. */
  async fill(gap: Gap): Promise<void> {
    if (!this.#busy()) {
      const from = { after: gap.from - 1, limit: bounds.maxListMessages };
      await this.#read("gap", from, (page, now) => windows.trim(windows.fill(now!, gap.from, page), this.#around.most, "newest"));
    }
  }

  /**
   * Keeps what is shown in its place while somebody reads it, until the function that is returned is called: messages that come are counted in `waiting`, and
   * shown afterwards without being asked for. Edits, deletions and reactions are shown all the same; pages and gaps are not loaded meanwhile. Does nothing
   * where the newest messages are not shown, and ends by itself when everything is loaded anew.
   */
  hold(): () => void {
    const window = this.#window;
    if (!window?.live) {
      return () => {};
    }
    const held = (this.#held ??= { window, holders: new Set() });
    const holder = {};
    held.holders.add(holder);
    this.changed();
    return () => {
      if (held.holders.delete(holder) && held.holders.size === 0 && this.#held === held) {
        this.#held = undefined;
        this.changed();
      }
    };
  }

  /** Loads anew what is stale, if it can be done now. */
  async refresh(): Promise<void> {
    if (!this.#stale || this.#load || !this.#around.ready()) {
      return;
    }
    const window = this.#window;
    const limit = Math.min(Math.max(window?.messages.length ?? 0, page), bounds.maxListMessages);
    if (!window || window.live || window.messages.length === 0) {
      await this.#read("window", { limit }, windows.newest);
    } else {
      const middle = window.messages[window.messages.length >> 1]!.seq;
      await this.#read("window", { around: middle, limit }, windows.around);
    }
  }

  /** The position that a session may resume this timeline from; undefined where there is none. */
  get position(): number | undefined {
    return this.#stale ? undefined : this.#window?.position;
  }

  /** Takes an event of the room, in order. */
  take(frame: RoomEvent | SignalFrame<"skipped">): void {
    this.#load?.tape.push(frame);
    if (this.#window && !this.#stale) {
      this.#advance(this.#window, [frame]);
      this.changed();
    }
  }

  /** The stream goes on elsewhere: what is shown stays until refresh has loaded it anew. */
  lost(): void {
    this.#stale = true;
    this.#load = undefined;
  }

  /** A message of one's own has its place. */
  answered(message: Message): void {
    this.#sent.push(message);
    this.#settle();
    this.changed();
  }

  /** Something else that is shown has changed: the outbox, or how far the others have read. */
  changed(): void {
    this.#state.invalidate();
  }

  /** Begins with what was kept from earlier, of which it is not known what has become. `followed` says that the next session goes on right behind it. */
  restore(window: Window): void {
    if (!this.#window) {
      this.#window = window;
      this.#stale = false;
      this.changed();
    }
  }

  /** Forgets everything: nobody looks. */
  drop(): void {
    this.#window = undefined;
    this.#held = undefined;
    this.#stale = true;
    this.#load = undefined;
    this.#sent = [];
    this.changed();
  }

  /** The newest messages, to be kept; undefined where the timeline does not have them. */
  kept(most: number): Window | undefined {
    return this.#window?.live && !this.#stale ? windows.trim(this.#window, most, "newest") : undefined;
  }

  #busy(): boolean {
    return this.#load !== undefined || this.#stale || this.#held !== undefined;
  }

  /** Reads a page, and makes it the window or a part of it. */
  async #read(kind: Loading, params: Omit<MessageListParams, "room">, join: (page: MessageListResult, now: Window | undefined) => Window): Promise<void> {
    const load: Load = { kind, tape: [] };
    this.#load = load;
    this.#error = undefined;
    this.changed();
    try {
      const thread = this.#thread === undefined ? {} : { thread: this.#thread };
      const page = await this.#around.list({ room: this.#room, ...thread, ...params });
      if (this.#load === load) {
        this.#load = undefined;
        this.#stale = false;
        if (kind === "window") this.#held = undefined;
        this.#advance(join(page, this.#window), load.tape);
      }
    } catch (error) {
      if (this.#load === load) {
        this.#load = undefined;
        const again = error instanceof LinkLostError || error instanceof LinkEndedError; // by the next session
        this.#error = again ? undefined : (error as Error);
      }
    }
    this.changed();
  }

  /** Makes a window the timeline's, after what the stream has brought. */
  #advance(window: Window, frames: readonly (RoomEvent | SignalFrame<"skipped">)[]): void {
    const view = { me: this.#around.me(), thread: this.#thread };
    for (const frame of frames) {
      const next = frame.event === "skipped" ? windows.skip(window, frame.data.from, frame.data.to) : windows.apply(window, frame, view);
      if (next === "hole") {
        this.#window = window;
        this.lost();
        void this.refresh();
        return;
      }
      window = next;
      if (this.#held && frame.event !== "skipped") this.#held.window = windows.touch(this.#held.window, frame, view.me);
    }
    // What is being read joins the oldest messages: these stay until it is there.
    this.#window = this.#load?.kind === "older" ? window : windows.trim(window, this.#around.most, window.live ? "newest" : "oldest");
    this.#settle();
  }

  /** Works out what is shown. */
  #show(): TimelineState<Data> {
    const window = this.#held?.window ?? this.#window;
    const items = this.#lines(window);
    const was = this.#shown;
    const same = items.length === was.length && items.every((item, i) => item === was[i]);
    if (!same) this.#shown = items;
    return {
      items: this.#shown,
      ready: window !== undefined,
      older: window !== undefined && window.low > 0,
      newer: window !== undefined && !window.live,
      waiting: this.#held && this.#count() - last(this.#held.window),
      loading: this.#load?.kind,
      error: this.#error,
    };
  }

  /** Lets go of what was answered and is in the window now. What the stream has left out of a crowded room is put there: one's own is never missing. */
  #settle(): void {
    const window = this.#window;
    if (window?.live) {
      const [inside, ahead] = [this.#sent.filter((m) => m.seq <= window.high), this.#sent.filter((m) => m.seq > window.high)];
      this.#sent = ahead;
      const left = inside.filter((m) => window.gaps.some((g) => m.seq >= g.from && m.seq <= g.to));
      this.#window = left.reduce(windows.put, window);
    }
  }

  /** How many messages the room has, as far as they are known here. */
  #count(): number {
    return Math.max(last(this.#window), ...this.#sent.map((m) => m.n));
  }

  #lines(window: Window | undefined): Item<Data>[] {
    const items: Item<Data>[] = [];
    const gaps = window?.gaps ?? [];
    let at = 0;
    for (const message of window?.messages ?? []) {
      while (at < gaps.length && gaps[at]!.to < message.seq) items.push(this.#gap(gaps[at++]!));
      items.push(this.#message(message));
    }
    items.push(...gaps.slice(at).map((gap) => this.#gap(gap)));
    if (!this.#held && (!window || window.live)) {
      items.push(...this.#sent.map((m) => this.#message(m)), ...this.#outgoing(window));
    }
    return items;
  }

  #gap(gap: Gap): Item<Data> {
    return this.#line(gap, (was) => was, { type: "gap", key: `gap ${gap.from}`, gap });
  }

  #message(message: Message): Item<Data> {
    const { delivered, read } = this.#around.ticks();
    const own = message.user !== null && message.user === this.#around.me();
    const status = !own ? undefined : message.seq <= read ? "read" : message.seq <= delivered ? "delivered" : "sent";
    const key = own && message.client_id ? message.client_id : String(message.seq);
    const typed = message as Message & { data: Data | null };
    return this.#line(message, (was) => was.type === "message" && was.status === status && was.key === key, { type: "message", key, message: typed, status });
  }

  #outgoing(window: Window | undefined): Item<Data>[] {
    const here = (o: Outgoing) =>
      this.#thread === undefined || o.draft.reply_to === this.#thread || (window?.messages.some((m) => m.seq === o.draft.reply_to) ?? false);
    const arrived = new Set([...(window?.messages.slice(-page) ?? []), ...this.#sent].map((m) => m.user === this.#around.me() && m.client_id));
    return this.#around
      .outgoing()
      .filter((o) => here(o) && !arrived.has(o.draft.client_id))
      .map((o) => this.#line(o, () => true, { type: "outgoing", key: o.draft.client_id, outgoing: o, status: o.status }));
  }

  /** The line of before, if it still holds. */
  #line(of: Message | Outgoing | Gap, holds: (was: Item<Data>) => unknown, now: Item<Data>): Item<Data> {
    const was = this.#items.get(of);
    if (was && holds(was)) {
      return was;
    }
    this.#items.set(of, now);
    return now;
  }
}

/** The number of the last message in a window, 0 where there is none. */
function last(window: Window | undefined): number {
  return window?.messages.at(-1)?.n ?? 0;
}
