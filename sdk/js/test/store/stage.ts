// What the stories of the stores are played on: a server in memory, a clock that the story moves, and clients with their storages.

import { Parley, memoryStorage, type Item, type ParleyOptions, type Room, type Storage } from "../../src/index.js";
import { FakeServer, TestClock } from "../../src/testing/index.js";

/** A server, and who talks to it. */
export class Stage {
  readonly clock = new TestClock();
  readonly server = new FakeServer(this.clock);

  /** A client that is not started. Everything of a platform is the stage's. */
  client(user: string, options: Partial<ParleyOptions> = {}): Parley {
    const platform = { ...this.server.platform, now: this.clock.now, random: this.clock.random, after: this.clock.after };
    return new Parley({ url: "http://fake", token: () => user, platform, ...options });
  }

  /** A client that is connected. */
  async connected(user: string, storage: Storage = memoryStorage()): Promise<Parley> {
    const client = this.client(user, { storage });
    client.start();
    await this.pass();
    return client;
  }

  /** Lets time pass, a tenth of a second by default: reports and questions that are gathered go out. */
  pass(ms = 100): Promise<void> {
    return this.clock.advance(ms);
  }
}

/** What a room shows, a line for each item: who, what, and how far it has got. */
export function lines(room: Room): string[] {
  return room.timeline.get().items.map(line);
}

function line(item: Item): string {
  switch (item.type) {
    case "gap":
      return `… ${item.gap.from}–${item.gap.to}`;
    case "outgoing":
      return `me: ${item.outgoing.draft.text} (${item.status})`;
    case "message": {
      const { user, text, edited_at, reactions, deleted_at } = item.message;
      const marks = [...(item.status ? [item.status] : []), ...(edited_at ? ["edited"] : []), ...reactions.map((r) => `${r.emoji}${r.count}${r.mine ? "!" : ""}`)];
      return `${item.status ? "me" : user}: ${deleted_at ? "–" : text}${marks.length ? ` (${marks.join(" ")})` : ""}`;
    }
  }
}

/** Looks at something until the function that is returned is called. */
export function look(observable: { subscribe(listener: () => void): () => void }): () => void {
  return observable.subscribe(() => {});
}
