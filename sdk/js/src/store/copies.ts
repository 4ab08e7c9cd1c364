import type { Platform } from "../link.js";
import type { Storage } from "./storage.js";
import type { Window } from "./window.js";

/** The newest messages of a room, and of which epoch they are. */
export interface Copy {
  epoch: string;
  window: Window;
}

/** How long changes are gathered before they are stored, in milliseconds. */
const pause = 1000;
/** Rooms kept: those that changed last. */
const most = 20;
const prefix = "room/";

/** Copies of the newest messages of rooms, which are shown before there is a connection. */
export class Copies {
  readonly #storage: Storage;
  readonly #after: Platform["after"];
  /** in the order in which they changed */
  readonly #copies = new Map<string, Copy>();
  readonly #due = new Map<string, () => Copy | undefined>();

  constructor(storage: Storage, platform: Pick<Platform, "after">) {
    this.#storage = storage;
    this.#after = platform.after;
  }

  /** Reads what is kept. */
  async restore(): Promise<void> {
    for (const [key, value] of await this.#storage.list(prefix)) this.#copies.set(key.slice(prefix.length), value as Copy);
  }

  of(room: string): Copy | undefined {
    return this.#copies.get(room);
  }

  /** Makes the copy of a room anew, soon. */
  keep(room: string, make: () => Copy | undefined): void {
    if (this.#due.size === 0) this.#after(pause, () => this.#store());
    this.#due.set(room, make);
  }

  delete(room: string): void {
    this.#due.delete(room);
    this.#copies.delete(room);
    void this.#storage.delete(prefix + room).catch(() => {});
  }

  clear(): void {
    for (const room of [...this.#copies.keys(), ...this.#due.keys()]) this.delete(room);
  }

  #store(): void {
    for (const [room, make] of this.#due) {
      const copy = make();
      if (!copy) continue;
      this.#copies.delete(room);
      this.#copies.set(room, copy);
      void this.#storage.put(prefix + room, copy).catch(() => {});
    }
    this.#due.clear();
    for (const room of this.#copies.keys()) {
      if (this.#copies.size <= most) break;
      this.delete(room);
    }
  }
}
