import fc from "fast-check";
import { expect, test } from "vitest";

import { Value } from "../../src/observable.js";
import type { Frame, HelloResult, InboxEntry, Link, RoomListResult } from "../../src/index.js";
import { Inbox } from "../../src/store/inbox.js";
import { memoryStorage } from "../../src/store/storage.js";
import { Log, room, type Happening } from "./log.js";

/** Alice's inbox of one room, and the server, whose answers and pushes come when the test says so. */
class World {
  readonly log = new Log();
  readonly pushes: Frame[] = [];
  readonly asked: { answer?: RoomListResult; settle(result: RoomListResult): void }[] = [];
  readonly timers: (() => void)[] = [];
  readonly inbox: Inbox;
  read = 0;

  constructor() {
    const link = {
      session: new Value<HelloResult | undefined>({ user: "alice", epoch: "e" } as HelloResult),
      call: () => new Promise((settle) => this.asked.push({ settle })),
    } as unknown as Link;
    const after = (_ms: number, call: () => void) => (this.timers.push(call), () => {});
    this.inbox = new Inbox({ link, platform: { after }, storage: memoryStorage(), me: () => "alice", listed: () => {} });
    this.log.happen({ what: "joined", user: "alice" });
    this.inbox.live();
  }

  /** The entry as the server counts (§4.4). */
  entry(): InboxEntry {
    const messages = this.log.messages();
    const seen = Math.max(this.read, ...messages.filter((m) => m.user === "alice").map((m) => m.seq));
    const unread = messages.filter((m) => m.seq > seen);
    const last = messages.at(-1);
    return {
      room: { id: room, created_at: "", head: this.log.head, messages: messages.length } as InboxEntry["room"],
      head: this.log.head,
      me: {
        role: "member", read: this.read, delivered: this.read, unread: unread.length, notify: "all", pinned: false, archived: false,
        mentions: unread.filter((m) => m.mentions.includes("alice")).length,
      },
      ...(last ? { last_message: last } : {}),
    };
  }

  happen(h: Happening): void {
    const event = this.log.happen(h);
    if (event) this.pushes.push(event);
  }

  /** Another device of alice's has read. */
  elsewhere(share: number): void {
    this.move(Math.ceil(this.log.head * share));
    this.pushes.push({ event: "receipt", room, data: { members: [{ user: "alice", read: this.read, delivered: this.read }] } });
  }

  /** This device reads, as far as it has seen. */
  here(share: number): void {
    const head = this.inbox.entry(room)?.head ?? 0;
    const seq = Math.ceil(head * share);
    this.inbox.read(room, seq);
    this.move(seq);
    this.inbox.confirmed(room, this.entry().me.unread);
  }

  move(seq: number): void {
    this.read = Math.max(this.read, seq);
  }

  push(): void {
    const push = this.pushes.shift();
    if (push) this.inbox.take(push);
  }

  ask(): void {
    const question = this.asked.find((q) => !q.answer);
    if (question) question.answer = structuredClone({ rooms: [this.entry()], removed: [], token: "t" });
  }

  async answer(): Promise<void> {
    if (!this.asked[0]?.answer) this.ask();
    const question = this.asked.shift();
    if (question?.answer) question.settle(question.answer);
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }

  tick(): void {
    for (const call of this.timers.splice(0)) call();
  }

  async quiet(): Promise<void> {
    for (let i = 0; i < 200 && this.pushes.length + this.asked.length + this.timers.length > 0; i++) {
      this.push();
      await this.answer();
      this.tick();
    }
  }
}

const at = fc.nat(30);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ what: fc.constant("created" as const), user: fc.constantFrom("bob", "bob", "alice"), mentions: fc.constantFrom<string[]>([], [], ["alice"]) }),
  fc.record({ what: fc.constantFrom("reply" as const, "edited" as const, "deleted" as const, "added" as const), user: fc.constant("bob"), at }),
);
const share = fc.constantFrom(0.2, 0.5, 0.9, 1);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("happen" as const), happening }) },
  { weight: 5, arbitrary: fc.constant({ do: "push" as const }) },
  { weight: 2, arbitrary: fc.constantFrom({ do: "ask" as const }, { do: "answer" as const }, { do: "tick" as const }) },
  fc.record({ do: fc.constantFrom("here" as const, "elsewhere" as const), share }),
);

test("a read into the middle is counted, though as many came meanwhile", async () => {
  const world = new World();
  await world.answer();
  for (let i = 0; i < 3; i++) world.happen({ what: "created", user: "bob", mentions: [] });
  world.push();
  world.push();
  world.here(0.5);
  await world.quiet();
  expect(world.inbox.entry(room)?.me.unread).toBe(2);
});

test("what was read here before the list came that does not know it yet stays read", async () => {
  const world = new World();
  world.happen({ what: "created", user: "bob", mentions: [] });
  world.push();
  await world.answer();
  world.tick();
  world.ask(); // the list that is under way has the first message alone
  world.happen({ what: "created", user: "bob", mentions: [] });
  world.push();
  world.here(1);
  await world.quiet();
  expect(world.inbox.entry(room)?.me.unread).toBe(0);
});

test("whatever comes in which order, the inbox counts what the server counts", async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
    const world = new World();
    for (const s of steps) {
      if (s.do === "happen") world.happen(s.happening);
      else if (s.do === "here" || s.do === "elsewhere") world[s.do](s.share);
      else await world[s.do]();
    }
    await world.quiet();
    expect(world.inbox.entry(room)).toEqual(world.entry());
  }), { numRuns: 500 });
}, 60_000);
