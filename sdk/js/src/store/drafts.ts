// What the user has begun to write, by room: it waits in the storage until it is sent or given up.

import type { Platform } from "../link.js";
import { Value, type Observable } from "../observable.js";
import type { Storage } from "./storage.js";

/** A message that is being written. */
export interface Draft {
  readonly text: string;
  /** the seq of the message that it answers */
  readonly reply_to?: number;
}

/** How long keys are gathered before a draft is stored, in milliseconds. */
const pause = 500;
const prefix = "draft/";

/** The drafts of all rooms. */
export class Drafts {
  readonly #storage: Storage;
  readonly #after: Platform["after"];
  readonly #drafts = new Map<string, Value<Draft | undefined>>();
  readonly #due = new Set<string>();

  constructor(storage: Storage, platform: Pick<Platform, "after">) {
    this.#storage = storage;
    this.#after = platform.after;
  }

  /** What was begun in a room; undefined where nothing was. */
  of(room: string): Observable<Draft | undefined> {
    return this.#of(room);
  }

  /** Keeps a draft; one without text that answers nothing is none. */
  set(room: string, draft: Draft): void {
    this.#of(room).set(draft.text === "" && draft.reply_to === undefined ? undefined : draft);
    if (this.#due.size === 0) this.#after(pause, () => this.#store());
    this.#due.add(room);
  }

  /** Reads what is kept. What is written meanwhile stays. */
  async restore(): Promise<void> {
    for (const [key, draft] of await this.#storage.list(prefix)) {
      const room = key.slice(prefix.length);
      if (!this.#due.has(room)) this.#of(room).set(draft as Draft);
    }
  }

  /** Forgets everything. */
  clear(): void {
    for (const room of this.#drafts.keys()) this.set(room, { text: "" });
  }

  #of(room: string): Value<Draft | undefined> {
    let value = this.#drafts.get(room);
    if (!value) this.#drafts.set(room, (value = new Value<Draft | undefined>(undefined)));
    return value;
  }

  #store(): void {
    for (const room of this.#due) {
      const draft = this.#of(room).get();
      const stored = draft ? this.#storage.put(prefix + room, draft) : this.#storage.delete(prefix + room);
      void stored.catch(() => {}); // a full disk: it lives as long as the page
    }
    this.#due.clear();
  }
}
