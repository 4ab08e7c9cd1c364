// The inbox: the user's rooms with what is unread in each. Events keep it up to date; whatever they cannot tell (what was missed, a cursor that
// another device has moved into the middle of a room, settings) is asked of the server, which says what has changed since it was asked last. So all
// devices show the same counts.

import { ParleyError } from "../errors.js";
import type { Frame, Link, Platform } from "../link.js";
import type { Observable } from "../observable.js";
import { bounds } from "../protocol.js";
import type { Cursors, InboxEntry, Message, RoomEvent, SignalFrame } from "../protocol.js";
import { Derived } from "./derived.js";
import { changed, created, target } from "./message.js";
import type { Storage } from "./storage.js";

/** What the inbox shows. */
export interface InboxState {
  /** pinned ones first, then by their newest message; archived ones are among them */
  readonly rooms: readonly InboxEntry[];
  /** false until the server, or the local copy, has told the rooms */
  readonly ready: boolean;
  /** unread messages of all rooms that are not archived */
  readonly unread: number;
  /** those of them that name the user */
  readonly mentions: number;
  /** what an icon shows: unread of the rooms with notify `all`, mentions of those with `mentions`, nothing of archived ones */
  readonly badge: number;
}

/** The least time between two questions to the server. */
const pause = 1000;
const key = "inbox";
/** Rooms kept in the local copy. */
const kept = 500;

/** What the session brings that changes counts. It is recorded while a list is read, which may have it in or not. */
type Change = RoomEvent | SignalFrame<"receipt">;

/** What is kept of an inbox. */
interface Copy {
  entries: InboxEntry[];
  token?: string | undefined;
}

/** What an inbox is made with. */
export interface InboxParts {
  link: Link;
  platform: Pick<Platform, "after">;
  storage: Storage;
  me(): string | undefined;
  /** Rooms were listed: up to which seq they are known here. */
  listed(entries: readonly InboxEntry[]): void;
}

/** The user's rooms. */
export class Inbox implements Observable<InboxState> {
  readonly #parts: InboxParts;
  readonly #state: Derived<InboxState>;
  readonly #entries = new Map<string, InboxEntry>();
  /** reads of this device that the server has not confirmed */
  readonly #reads = new Map<string, number>();
  /** rooms that are followed and are none of the user's; and those of which that is yet to be asked */
  readonly #strangers = new Set<string>();
  #wondering = new Set<string>();
  #ready = false;
  #token: string | undefined;
  #tape: Change[] | undefined;
  #due = false;
  #pausing = false;
  #saving = false;

  /** For Parley: an application finds it at Parley.inbox. */
  constructor(parts: InboxParts) {
    this.#parts = parts;
    this.#state = new Derived<InboxState>({ rooms: [], ready: false, unread: 0, mentions: 0, badge: 0 }, () => this.#show());
  }

  /** What it shows now. */
  get(): InboxState {
    return this.#state.get();
  }

  subscribe(listener: () => void): () => void {
    return this.#state.subscribe(listener);
  }

  /** The entry of one room, undefined if it is none of the user's or not known yet. The same object until something in it changes. */
  entry(room: string): InboxEntry | undefined {
    return this.#entries.get(room);
  }

  /** Begins with the local copy, unless the server has told already. */
  async restore(): Promise<void> {
    const [found] = await this.#parts.storage.list(key);
    const copy = found?.[1] as Copy | undefined;
    if (!copy || this.#ready) return;
    for (const entry of copy.entries) this.#entries.set(entry.room.id, entry);
    this.#token = copy.token;
    this.#ready = true;
    this.#state.invalidate();
  }

  /** A session has opened. */
  live(): void {
    this.#tape = undefined; // what the session before was asked will not be answered
    this.#pausing = false;
    this.#due = true;
    void this.#sync();
  }

  /** Takes what the session brings, in order. */
  take(frame: Frame): void {
    const room = frame.room ?? "";
    switch (frame.event) {
      case "room.added":
        this.#strangers.delete(room);
        return this.#ask();
      case "room.removed":
        this.#set(room, undefined);
        return;
      case "reset":
        return this.#ask();
      case "skipped":
        return this.#skip(room, frame.data.to);
    }
    if ("seq" in frame || frame.event === "receipt") {
      this.#tape?.push(frame);
      this.#change(frame);
    }
  }

  /** The user has read a room up to seq on this device. */
  read(room: string, seq: number): void {
    const entry = this.#entries.get(room);
    if (entry && seq > entry.me.read) {
      this.#reads.set(room, seq);
      this.#set(room, readUpTo(entry, seq));
    }
  }

  /** The server has taken a read of this device, and counted. */
  confirmed(room: string, unread: number): void {
    const entry = this.#entries.get(room);
    if (entry && (entry.me.unread !== unread || inTheMiddle(entry))) this.#ask(); // the answer does not say which events it counts
  }

  /** Asks the server soon: something has changed that no event tells. */
  changed(): void {
    this.#ask();
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
    this.#reads.clear();
    this.#strangers.clear();
    this.#token = undefined;
    this.#ready = false;
    this.#state.invalidate();
  }

  #change(frame: Change): void {
    if (frame.event === "receipt") this.#moved(frame.room ?? "", frame.data.members);
    else this.#event(frame);
  }

  #event(event: RoomEvent): void {
    const entry = this.#entries.get(event.room);
    if (!entry) {
      if (this.#strangers.has(event.room)) return;
      this.#wondering.add(event.room); // it may be a room of the user's that was hidden
      return this.#ask();
    }
    if (entry.room.kind === "live" && event.event !== "room.updated" && event.event !== "member.updated") return this.#pass(entry, event.seq);
    const after = afterEvent(entry, event, this.#parts.me());
    if (after.entry !== entry) this.#set(event.room, after.entry);
    if (after.ask && !this.#tape) this.#ask(); // the answer that is on its way may have it in
  }

  #skip(room: string, to: number): void {
    const entry = this.#entries.get(room);
    if (entry) this.#pass(entry, to);
  }

  /** Notes how far a live room's log has come. That is nothing to show: a crowd that comments there must not make the inbox work. */
  #pass(entry: InboxEntry, to: number): void {
    if (to > entry.head) this.#entries.set(entry.room.id, { ...entry, head: to, room: { ...entry.room, head: to } });
  }

  #moved(room: string, cursors: readonly Cursors[]): void {
    const me = this.#parts.me();
    const own = cursors.find((c) => c.user === me);
    const entry = this.#entries.get(room);
    if (!own || !entry || own.read <= entry.me.read) return;
    const after = readUpTo(entry, own.read);
    this.#set(room, after);
    if (after.me.unread > 0) this.#ask();
  }

  #ask(): void {
    this.#due = true;
    void this.#sync();
  }

  /** Asks what has changed, at most once a second, and one question at a time. */
  async #sync(): Promise<void> {
    if (!this.#due || this.#tape || this.#pausing || !this.#parts.link.session.get()) return;
    this.#due = false;
    this.#pausing = true;
    const session = this.#parts.link.session.get();
    const tape: Change[] = (this.#tape = []);
    const wondering = this.#wondering;
    this.#wondering = new Set();
    try {
      const [entries, removed, token] = await this.#list();
      if (this.#tape !== tape) return;
      this.#tape = undefined;
      if (this.#token === undefined) this.#entries.clear();
      this.#token = token;
      this.#listed(entries, removed, tape);
      for (const room of wondering) if (!this.#entries.has(room)) this.#strangers.add(room);
    } catch (error) {
      if (this.#tape !== tape) return;
      this.#tape = undefined;
      if (error instanceof ParleyError && error.field === "since") this.#token = undefined;
      this.#due = true;
    }
    this.#parts.platform.after(pause, () => {
      if (this.#parts.link.session.get() !== session) return;
      this.#pausing = false;
      void this.#sync();
    });
  }

  async #list(): Promise<[InboxEntry[], string[], string]> {
    const entries: InboxEntry[] = [];
    const removed: string[] = [];
    let page: string | undefined;
    for (;;) {
      const since = this.#token === undefined ? {} : { since: this.#token };
      const result = await this.#parts.link.call("room.list", { ...since, limit: bounds.maxListRooms, ...(page === undefined ? {} : { page }) });
      entries.push(...result.rooms);
      removed.push(...result.removed);
      if (result.page === undefined) return [entries, removed, result.token];
      page = result.page;
    }
  }

  #listed(entries: readonly InboxEntry[], removed: readonly string[], tape: readonly Change[]): void {
    for (const room of removed) this.#set(room, undefined);
    for (const entry of entries) {
      const { id } = entry.room;
      const read = this.#reads.get(id) ?? 0;
      if (read <= entry.me.read) this.#reads.delete(id);
      this.#strangers.delete(id);
      this.#set(id, read > entry.me.read ? readUpTo(entry, read) : entry);
    }
    for (const frame of tape) if (this.#entries.has(frame.room ?? "")) this.#change(frame);
    this.#ready = true;
    this.#state.invalidate();
    this.#parts.listed(entries);
  }

  #set(room: string, entry: InboxEntry | undefined): void {
    if (entry) this.#entries.set(room, entry);
    else this.#entries.delete(room);
    this.#state.invalidate();
    this.#save();
  }

  /** Keeps a copy, soon. Without all of the rooms the server would not tell the others again, so then its token is not kept. */
  #save(): void {
    if (this.#saving) return;
    this.#saving = true;
    this.#parts.platform.after(pause, () => {
      this.#saving = false;
      const entries = this.get().rooms.slice(0, kept);
      const token = entries.length === this.#entries.size && this.#reads.size === 0 ? this.#token : undefined;
      void this.#parts.storage.put(key, { entries, token } satisfies Copy).catch(() => {});
    });
  }

  #show(): InboxState {
    const rooms = [...this.#entries.values()].sort((a, b) => Number(b.me.pinned) - Number(a.me.pinned) || (activity(a) < activity(b) ? 1 : -1));
    const sums = { unread: 0, mentions: 0, badge: 0 };
    for (const { me } of rooms) {
      if (me.archived) continue;
      sums.unread += me.unread;
      sums.mentions += me.mentions;
      sums.badge += me.notify === "all" ? me.unread : me.notify === "mentions" ? me.mentions : 0;
    }
    return { rooms, ready: this.#ready, ...sums };
  }
}

/** When something was last said. Times of the protocol sort as texts. */
function activity(entry: InboxEntry): string {
  return entry.last_message?.at ?? entry.room.created_at;
}

/** An entry after its user has read up to seq. What is unread behind a cursor in the middle is the server's to count: until then it stays. */
function readUpTo(entry: InboxEntry, seq: number): InboxEntry {
  const me = { ...entry.me, read: Math.max(entry.me.read, seq), delivered: Math.max(entry.me.delivered, seq) };
  return { ...entry, me: inTheMiddle({ ...entry, me }) ? me : { ...me, unread: 0, mentions: 0 } };
}

/** Whether there are messages behind the read cursor, as far as they are known here. */
function inTheMiddle({ head, me, last_message }: InboxEntry): boolean {
  return me.read < (last_message?.seq ?? head);
}

/** An entry after an event; `ask` if the server must be asked what the event has changed. */
export function afterEvent(entry: InboxEntry, event: RoomEvent, user: string | undefined): { entry: InboxEntry; ask: boolean } {
  if (event.seq <= entry.head) return { entry, ask: false };
  if (event.seq > entry.head + 1) return { entry, ask: true };
  let { room, me, last_message } = entry;
  let ask = false;
  room = { ...room, head: event.seq };
  if (last_message && target(event) === last_message.seq) last_message = changed(last_message, event, user);
  switch (event.event) {
    case "message.created": {
      last_message = created(event);
      room = { ...room, messages: last_message.n };
      me = event.user === user && user !== undefined ? { ...me, unread: 0, mentions: 0 } : oneMore(entry, last_message, user);
      break;
    }
    case "message.deleted":
      ask = me.mentions > 0; // it may have been one that names the user
      break;
    case "room.updated":
      room = { ...room, ...event.data };
      break;
    case "member.updated":
      if (event.data.user === user) {
        const { muted_until, ...rest } = me;
        const mute = event.data.muted_until === undefined ? muted_until : (event.data.muted_until ?? undefined);
        me = { ...rest, role: event.data.role ?? me.role, ...(mute === undefined ? {} : { muted_until: mute }) };
      }
      break;
  }
  return { entry: { room, head: event.seq, me, ...(last_message ? { last_message } : {}) }, ask };
}

function oneMore({ room, me }: InboxEntry, message: Message, user: string | undefined): InboxEntry["me"] {
  if (room.kind === "live" || message.seq <= me.read) return me;
  const named = user !== undefined && message.mentions.includes(user);
  return { ...me, unread: me.unread + 1, mentions: me.mentions + (named ? 1 : 0) };
}
