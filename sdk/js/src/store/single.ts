// Single messages that somebody looks at wherever a timeline stands: what a reply quotes, the root of a thread.

import type { Link } from "../link.js";
import type { Observable } from "../observable.js";
import type { Message, RoomEvent } from "../protocol.js";
import { Derived } from "./derived.js";
import { changed, target } from "./message.js";

interface Looked {
  value: Message | null | undefined;
  readonly shown: Derived<Message | null | undefined>;
  watched: boolean;
}

/** The single messages of one room that are looked at. */
export class Singles {
  readonly #room: string;
  readonly #link: Link;
  readonly #me: () => string | undefined;
  readonly #looked = new Map<number, Looked>();
  /** what the log has said while any of them is asked for */
  #tape: RoomEvent[] = [];
  #asking = 0;

  constructor(room: string, link: Link, me: () => string | undefined) {
    this.#room = room;
    this.#link = link;
    this.#me = me;
  }

  /** The message with this seq: undefined until it is known, null if there is none (any more). It is asked for once somebody subscribes. */
  get(seq: number): Observable<Message | null | undefined> {
    return this.#of(seq).shown;
  }

  #of(seq: number): Looked {
    const known = this.#looked.get(seq);
    if (known) return known;
    const made: Looked = {
      value: undefined,
      watched: false,
      shown: new Derived<Message | null | undefined>(undefined, () => made.value, () => {
        made.watched = true;
        this.#looked.set(seq, made);
        if (made.value === undefined) void this.#ask(seq, made);
        return () => {
          made.watched = false;
          if (this.#looked.get(seq) === made) this.#looked.delete(seq);
          made.value = undefined; // nobody keeps it up to date
        };
      }),
    };
    this.#looked.set(seq, made);
    return made;
  }

  /** Takes an event of the room, in order. */
  take(event: RoomEvent): void {
    if (this.#asking > 0) this.#tape.push(event);
    const looked = this.#looked.get(target(event) ?? 0);
    if (looked?.value) this.#set(looked, changed(looked.value, event, this.#me()));
  }

  /** A session has opened, or its stream goes on elsewhere: what is looked at is asked for anew. */
  stale(): void {
    for (const [seq, looked] of this.#looked) {
      if (looked.watched) void this.#ask(seq, looked);
    }
  }

  /** Forgets what was told. */
  clear(): void {
    for (const looked of this.#looked.values()) this.#set(looked, undefined);
  }

  async #ask(seq: number, looked: Looked): Promise<void> {
    const session = this.#link.session.get();
    if (!session) return; // the next one asks for all that are looked at
    this.#asking++;
    try {
      const { messages } = await this.#link.call("message.list", { room: this.#room, around: seq, limit: 1 });
      const found = messages.find((m) => m.seq === seq) ?? null;
      const about = this.#tape.filter((event) => target(event) === seq);
      if (this.#link.session.get() === session && looked.watched) {
        this.#set(looked, found && about.reduce((message, event) => changed(message, event, this.#me()), found));
      }
    } catch {
      // A lost connection: the next session asks again.
    }
    if (--this.#asking === 0) this.#tape = [];
  }

  #set(looked: Looked, value: Message | null | undefined): void {
    looked.value = value;
    looked.shown.invalidate();
  }
}
