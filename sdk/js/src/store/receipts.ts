// Receipts, both ways: how far the other members of a room have got, which makes the ticks of one's own messages, and how far this device has got,
// which is told to the server. Cursors only go forward, so what comes twice or out of order is taken at its highest.

import { LinkEndedError, LinkLostError, ParleyError } from "../errors.js";
import type { Link, Platform } from "../link.js";
import { bounds } from "../protocol.js";
import type { Cursors, RoomEvent } from "../protocol.js";

/** Up to which seq all other members of a room have got; 0 where that is not known. */
export interface Ticks {
  readonly delivered: number;
  readonly read: number;
  /** everyone but the user, in rooms of up to 1,000 members that show receipts */
  readonly members: ReadonlyMap<string, Cursors>;
}

const none: Ticks = { delivered: 0, read: 0, members: new Map() };

/** How far the others in one room have got. */
export class RoomReceipts {
  readonly #room: string;
  readonly #link: Link;
  readonly #changed: () => void;
  #ticks = none;
  #loads = 0;

  constructor(room: string, link: Link, changed: () => void) {
    this.#room = room;
    this.#link = link;
    this.#changed = changed;
  }

  get(): Ticks {
    return this.#ticks;
  }

  /** Asks the server. In a room that has none (live, too large, hidden), there are none. */
  async load(): Promise<void> {
    const load = ++this.#loads;
    try {
      const page = await this.#link.call("receipt.list", { room: this.#room, limit: bounds.maxListMembers });
      if (load === this.#loads) this.#set(page.page === undefined ? page.members : []);
    } catch {
      // Ticks stay as they are; the next session asks again.
    }
  }

  /** Takes what a `receipt` signal tells. */
  moved(cursors: readonly Cursors[]): void {
    const known = [...this.#ticks.members.values()];
    const of = new Map(known.map((c) => [c.user, c]));
    for (const c of cursors) {
      const was = of.get(c.user);
      of.set(c.user, { user: c.user, delivered: Math.max(c.delivered, was?.delivered ?? 0), read: Math.max(c.read, was?.read ?? 0) });
    }
    this.#set([...of.values()]);
  }

  /** Takes an event that says who is a member. */
  take(event: RoomEvent): void {
    switch (event.event) {
      case "member.joined":
        this.moved(event.data.users.map((user) => ({ user, delivered: event.seq, read: event.seq })));
        break;
      case "member.left": {
        const { users } = event.data;
        if (this.#loads > 0) void this.load(); // one that is out may have been read before
        this.#set([...this.#ticks.members.values()].filter((c) => !users.includes(c.user)));
        break;
      }
      case "room.updated":
        if (event.data.settings) void this.load(); // receipts may have been switched on or off
        break;
    }
  }

  /** Forgets what was told. */
  clear(): void {
    this.#loads++;
    this.#set([]);
  }

  #set(cursors: readonly Cursors[]): void {
    const me = this.#link.session.get()?.user;
    const others = cursors.filter((c) => c.user !== me);
    this.#ticks = others.length === 0 ? none : { delivered: least(others, "delivered"), read: least(others, "read"), members: new Map(others.map((c) => [c.user, c])) };
    this.#changed();
  }
}

function least(cursors: readonly Cursors[], which: "delivered" | "read"): number {
  return cursors.reduce((low, c) => Math.min(low, c[which]), Infinity);
}

/** The least time between two reports of this device's cursors. */
const pause = 1000;

/** Reports how far this device has got: the newest of each room, at most once a second, and again what a lost connection did not answer. */
export class Reports {
  readonly #link: Link;
  readonly #platform: Pick<Platform, "after">;
  readonly #read: (room: string, unread: number) => void;
  #cursors = { delivered: new Map<string, number>(), read: new Map<string, number>() };
  #pausing = false;

  /** `read` is told what the server counts as unread after a read cursor has moved. */
  constructor(link: Link, platform: Pick<Platform, "after">, read: (room: string, unread: number) => void) {
    this.#link = link;
    this.#platform = platform;
    this.#read = read;
  }

  /** Everything of a room up to seq is on this device, or was read. */
  note(which: "delivered" | "read", room: string, seq: number): void {
    const cursors = this.#cursors[which];
    cursors.set(room, Math.max(cursors.get(room) ?? 0, seq));
    this.flush();
  }

  /** Sends what there is, unless it did so less than a second ago. Called when a session has opened. */
  flush(): void {
    const { delivered, read } = this.#cursors;
    if (this.#pausing || delivered.size + read.size === 0 || !this.#link.session.get()) return;
    this.#pausing = true;
    this.#platform.after(pause, () => {
      this.#pausing = false;
      this.flush();
    });
    this.#cursors = { delivered: new Map(), read: new Map() };
    for (const [room, seq] of read) {
      if ((delivered.get(room) ?? 0) <= seq) delivered.delete(room); // read carries delivered
      void this.#reportRead(room, seq);
    }
    const moved = [...delivered];
    for (let i = 0; i < moved.length; i += bounds.maxCursorsPerCall) void this.#reportDelivered(moved.slice(i, i + bounds.maxCursorsPerCall));
  }

  async #reportRead(room: string, seq: number): Promise<void> {
    try {
      const { unread } = await this.#link.call("receipt.read", { room, seq });
      this.#read(room, unread);
    } catch (error) {
      if (passing(error)) this.#again("read", [[room, seq]]);
    }
  }

  async #reportDelivered(cursors: [string, number][]): Promise<void> {
    try {
      await this.#link.call("receipt.delivered", { cursors: Object.fromEntries(cursors) });
    } catch (error) {
      if (passing(error)) return this.#again("delivered", cursors);
      if (cursors.length < 2) return; // a room that is gone
      const half = cursors.length >> 1; // one room makes the whole call fail: it is found by halves
      await Promise.all([this.#reportDelivered(cursors.slice(0, half)), this.#reportDelivered(cursors.slice(half))]);
    }
  }

  #again(which: "delivered" | "read", cursors: [string, number][]): void {
    for (const [room, seq] of cursors) this.note(which, room, seq);
  }

  /** Forgets everything, unreported. */
  clear(): void {
    this.#cursors = { delivered: new Map(), read: new Map() };
  }
}

/** Whether an error says nothing about the room. */
function passing(error: unknown): boolean {
  return error instanceof LinkLostError || error instanceof LinkEndedError || (error instanceof ParleyError && ["unavailable", "rate_limited", "internal", "unauthenticated"].includes(error.code));
}
