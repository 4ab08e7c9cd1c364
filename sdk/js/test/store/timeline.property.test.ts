import fc from "fast-check";
import { expect, test } from "vitest";

import { LinkLostError } from "../../src/errors.js";
import type { Message, MessageListParams, MessageListResult } from "../../src/protocol.js";
import { Timeline } from "../../src/store/timeline.js";
import { Log, room, type Happening } from "./log.js";

const limit = 5; // small pages: a window of a few messages has ends

/** A timeline and the server that it asks, whose answers and events come when the test says so. */
class World {
  readonly log = new Log();
  readonly timeline: Timeline;
  /** questions that were asked, with the answer once the server has read it */
  readonly asked: { params: MessageListParams; page?: MessageListResult; settle(page: MessageListResult): void; fail(error: Error): void }[] = [];
  /** events before it were pushed */
  pushed = 0;
  session = true;

  constructor(readonly thread?: number) {
    this.timeline = new Timeline(room, thread, {
      list: (params) => new Promise((settle, fail) => this.asked.push({ params, settle, fail })),
      ready: () => this.session,
      me: () => "alice",
      outgoing: () => [],
      ticks: () => ({ delivered: 0, read: 0, members: new Map() }),
      watched: () => () => {},
      most: 12,
    });
  }

  read(): void {
    const question = this.asked.find((q) => !q.page);
    if (question) question.page = this.log.list({ ...question.params, limit: Math.min(question.params.limit ?? limit, limit) });
  }

  async answer(): Promise<void> {
    if (!this.asked[0]?.page) this.read();
    const question = this.asked.shift();
    if (question?.page) question.settle(question.page);
    await settled();
  }

  push(): void {
    const event = this.log.events[this.pushed];
    if (!event) return;
    this.pushed++;
    this.timeline.take(event);
  }

  /** The server gives up on the stream and tells where it goes on; or it does not even tell. */
  reset(told: boolean): void {
    this.pushed = this.log.head;
    if (told) {
      this.timeline.lost();
      void this.timeline.refresh();
    } else this.log.happen({ what: "joined", user: "carol" }); // the next event shows that something is missing
  }

  /** The connection is lost and a new one resumes, or cannot. */
  async reconnect(resumed: boolean): Promise<void> {
    this.session = false;
    for (const question of this.asked.splice(0)) question.fail(new LinkLostError());
    await settled();
    this.session = true;
    const position = this.timeline.position;
    if (resumed && position !== undefined) this.pushed = position;
    else this.reset(true);
    void this.timeline.refresh();
  }

  /** Everything that is on its way arrives. */
  async quiet(): Promise<void> {
    for (let i = 0; i < 1000 && (this.asked.length > 0 || this.pushed < this.log.head); i++) {
      this.read();
      await this.answer();
      this.push();
    }
  }

  check(): void {
    const state = this.timeline.get();
    expect(state.loading).toBeUndefined();
    expect(state.ready).toBe(true);
    const shown = state.items.flatMap((item) => (item.type === "message" ? [item.message] : []));
    const all = this.log.messages().filter((m) => this.thread === undefined || m.thread === this.thread);
    const from = state.older ? all.findIndex((m) => m.seq === shown[0]?.seq) : 0;
    const to = state.newer ? all.findIndex((m) => m.seq === shown.at(-1)?.seq) + 1 : all.length;
    expect(shown).toEqual(all.slice(from, to) as Message[]);
    expect(new Set(state.items.map((item) => item.key)).size).toBe(state.items.length);
  }
}

/** Lets promises that have settled tell. */
async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

const user = fc.constantFrom("alice", "bob");
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant("created" as const), user }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constantFrom("reply" as const, "edited" as const, "deleted" as const, "added" as const, "removed" as const), user, at: fc.nat(30) }) },
  fc.record({ what: fc.constant("joined" as const), user }),
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("happen" as const), happening }) },
  { weight: 5, arbitrary: fc.constant({ do: "push" as const }) },
  { weight: 3, arbitrary: fc.constant({ do: "read" as const }) },
  { weight: 3, arbitrary: fc.constant({ do: "answer" as const }) },
  fc.constant({ do: "older" as const }),
  fc.constant({ do: "newer" as const }),
  fc.constant({ do: "latest" as const }),
  fc.record({ do: fc.constant("reset" as const), told: fc.boolean() }),
  fc.record({ do: fc.constant("jump" as const), to: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ do: fc.constant("reconnect" as const), resumed: fc.boolean() }),
);

async function play(world: World, before: Happening[], steps: (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Promise<void> {
  for (const h of before) world.log.happen(h);
  world.pushed = world.log.head;
  void world.timeline.refresh();
  for (const s of steps) {
    switch (s.do) {
      case "happen": world.log.happen(s.happening); break;
      case "push": world.push(); break;
      case "read": world.read(); break;
      case "answer": await world.answer(); break;
      case "older": void world.timeline.older(); break;
      case "newer": void world.timeline.newer(); break;
      case "latest": void world.timeline.latest(); break;
      case "reset": world.reset(s.told); break;
      case "jump": void world.timeline.jump(s.to); break;
      case "reconnect": await world.reconnect(s.resumed); break;
    }
  }
  await world.quiet();
  world.check();
  for (const turn of ["older", "newer"] as const) {
    for (let pages = 0; world.timeline.get()[turn]; pages++) {
      expect(pages).toBeLessThan(50);
      void world.timeline[turn]();
      await world.quiet();
      world.check();
    }
  }
}

test("whatever comes in which order, a timeline shows a part of the log without holes and without doubles, as it stands", async () => {
  const given = fc.tuple(fc.array(happening, { maxLength: 60, size: "max" }), fc.array(step, { maxLength: 60, size: "max" }));
  await fc.assert(fc.asyncProperty(given, ([before, steps]) => play(new World(), before, steps)), { numRuns: 500 });
}, 60_000);

test("a thread shows its replies alone", async () => {
  const given = fc.tuple(fc.array(happening, { maxLength: 60, size: "max" }), fc.array(step, { maxLength: 60, size: "max" }));
  const root: Happening = { what: "created", user: "bob" };
  await fc.assert(fc.asyncProperty(given, ([before, steps]) => play(new World(1), [root, ...before], steps)), { numRuns: 200 });
}, 60_000);
