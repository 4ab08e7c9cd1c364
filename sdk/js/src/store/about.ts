// What a room is, for those who look at one that is none of theirs, too: a live room is watched without being in anybody's inbox.

import { ParleyError } from "../errors.js";
import type { Link } from "../link.js";
import type { Observable } from "../observable.js";
import type { InboxEntry, Room, RoomEvent } from "../protocol.js";
import { Derived } from "./derived.js";

/** The object of one room. */
export class About implements Observable<Room | null | undefined> {
  readonly #room: string;
  readonly #link: Link;
  readonly #shown: Derived<Room | null | undefined>;
  #value: Room | null | undefined;
  #watched = false;
  /** of the question that is under way: what the log has said meanwhile */
  #tape: RoomEvent[] | undefined;

  /** For Room: an application finds it at Room.about. */
  constructor(room: string, link: Link, entry: Observable<InboxEntry | undefined>) {
    this.#room = room;
    this.#link = link;
    this.#shown = new Derived<Room | null | undefined>(undefined, () => entry.get()?.room ?? this.#value, () => {
      this.#watched = true;
      const end = entry.subscribe(() => this.#shown.invalidate());
      this.#shown.invalidate();
      if (this.get() === undefined && !this.#tape) void this.#ask();
      return () => {
        this.#watched = false;
        end();
      };
    });
  }

  get(): Room | null | undefined {
    return this.#shown.get();
  }

  /** Tells of changes; it is asked for, and kept up to date, while anyone listens. */
  subscribe(listener: () => void): () => void {
    return this.#shown.subscribe(listener);
  }

  /** A session has opened, or its stream goes on elsewhere: what is known may have changed. Until it is told anew, it is shown. */
  stale(): void {
    this.#tape = undefined;
    if (this.#watched) void this.#ask();
    else this.#set(undefined);
  }

  /** Takes an event of the room, in order. */
  take(event: RoomEvent): void {
    if (event.event !== "room.updated") return;
    this.#tape?.push(event);
    if (this.#value) this.#set(after(this.#value, event));
  }

  /** The room is gone, for this user at least. */
  gone(): void {
    this.#tape = undefined;
    this.#set(null);
  }

  /** Forgets what was told. */
  clear(): void {
    this.#tape = undefined;
    this.#set(undefined);
  }

  async #ask(): Promise<void> {
    if (!this.#link.session.get()) return;
    const tape: RoomEvent[] = (this.#tape = []);
    try {
      const { room, head } = await this.#link.call("room.get", { room: this.#room });
      if (this.#tape === tape) this.#set(tape.filter((event) => event.seq > head).reduce(after, room));
    } catch (error) {
      if (this.#tape === tape && error instanceof ParleyError && error.code === "not_found") this.#set(null);
    }
    if (this.#tape === tape) this.#tape = undefined;
  }

  #set(value: Room | null | undefined): void {
    if (value === this.#value) return;
    this.#value = value;
    this.#shown.invalidate();
  }
}

/** The room after an event. */
function after(room: Room, event: RoomEvent): Room {
  return event.event === "room.updated" ? { ...room, ...event.data } : room;
}
