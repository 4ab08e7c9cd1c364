import { expect, test } from "vitest";
import { LinkLostError } from "../src/errors.js";
import type { Frame, Link } from "../src/link.js";
import { shareLink, type Tabs } from "../src/tabs.js";
import { FakeServer, settle, TestClock } from "../src/testing/index.js";

/** A browser: its locks and its channels, in memory. */
class Browser {
  readonly #queue: (() => Promise<void>)[] = [];
  readonly #channels = new Set<FakeChannel>();
  #busy = false;
  #lastTab = 0;

  tabs(): Tabs {
    const browser = this;
    return {
      id: () => `tab${++this.#lastTab}`,
      channel: () => new FakeChannel(this.#channels) as unknown as BroadcastChannel,
      locks: {
        request(_name: string, { signal }: LockOptions, granted: () => unknown): Promise<void> {
          return new Promise((resolve, reject) => {
            const turn = async (): Promise<void> => {
              if (signal?.aborted) return reject(signal.reason);
              await granted();
              resolve();
            };
            browser.#queue.push(turn);
            void browser.#next();
          });
        },
      } as unknown as Tabs["locks"],
    };
  }

  async #next(): Promise<void> {
    const turn = this.#busy ? undefined : this.#queue.shift();
    if (!turn) return;
    this.#busy = true;
    await turn();
    this.#busy = false;
    void this.#next();
  }
}

class FakeChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly #all: Set<FakeChannel>;

  constructor(all: Set<FakeChannel>) {
    this.#all = all.add(this);
  }

  postMessage(word: unknown): void {
    const data: unknown = structuredClone(word);
    for (const other of this.#all) if (other !== this) queueMicrotask(() => this.#all.has(other) && other.onmessage?.({ data }));
  }

  close(): void {
    this.#all.delete(this);
  }
}

const clock = new TestClock();

function open(server: FakeServer, browser: Browser): { link: Link; frames: Frame[]; seqs: () => number[] } {
  const link = shareLink({ url: "http://fake", device: "d1", token: () => "alice", platform: { ...server.platform, ...clock } }, browser.tabs());
  const frames: Frame[] = [];
  link.onFrame((frame) => frames.push(frame));
  return { link, frames, seqs: () => frames.flatMap((frame) => ("seq" in frame ? [frame.seq] : [])) };
}

test("tabs share one session: all of them call and hear", async () => {
  const server = new FakeServer(clock);
  const browser = new Browser();
  const [a, b] = [open(server, browser), open(server, browser)];
  a.link.start();
  b.link.start();
  await settle();
  expect(server.sessions.size).toBe(1);
  expect(b.link.state.get()).toEqual({ status: "live", transport: "websocket" });
  const { room } = await b.link.call("room.create", { kind: "group" });
  await b.link.call("message.send", { room: room.id, client_id: "c1", text: "hello" });
  await settle();
  expect([a.seqs(), b.seqs()]).toEqual([[1, 2], [1, 2]]);
  await expect(b.link.call("room.get", { room: "r_0" })).rejects.toMatchObject({ name: "ParleyError", code: "not_found", field: "room" });
});

test("when the leader is closed another tab goes on from where it was", async () => {
  const server = new FakeServer(clock);
  const browser = new Browser();
  const tabs = [open(server, browser), open(server, browser), open(server, browser)] as const;
  for (const { link } of tabs) link.start();
  await settle();
  const room = server.createRoom({ members: ["alice", "bob"] });
  await settle();
  const release = server.hold();
  const unanswered = tabs[1].link.call("user.get", { users: [] });
  await settle();
  tabs[0].link.stop();
  server.say(room, "bob", "while nobody leads");
  await expect(unanswered).rejects.toBeInstanceOf(LinkLostError);
  release();
  await settle();
  server.say(room, "bob", "to the next");
  await settle();
  expect(tabs[1].seqs()).toEqual([1, 2, 3]);
  expect(tabs[2].seqs()).toEqual([1, 2, 3]);
  expect(server.sessions.size).toBe(1);
  expect(tabs[0].link.state.get().status).toBe("idle");
});

test("a tab that comes later is told what lies between its positions and the session", async () => {
  const server = new FakeServer(clock);
  const browser = new Browser();
  const [a, b] = [open(server, browser), open(server, browser)];
  const room = server.createRoom({ members: ["alice", "bob"] });
  a.link.start();
  await settle();
  server.say(room, "bob", "1");
  server.say(room, "bob", "2");
  await settle();
  b.link.resumeFrom(() => ({ epoch: "e1", rooms: { [room.id]: 1 } }));
  b.link.start();
  await settle();
  server.say(room, "bob", "3");
  await settle();
  expect(b.frames.map((frame) => [frame.event, "seq" in frame ? frame.seq : frame.data])).toEqual([["reset", { head: 3 }], ["message.created", 4]]);
});

test("a room that two tabs watch goes on when one of them leaves it, and with another leader", async () => {
  const server = new FakeServer(clock);
  const browser = new Browser();
  const [a, b, c] = [open(server, browser), open(server, browser), open(server, browser)];
  const room = server.createRoom({ kind: "live", by: "bob" });
  for (const { link } of [a, b, c]) link.start();
  await settle();
  await a.link.call("room.subscribe", { room: room.id });
  await c.link.call("room.subscribe", { room: room.id });
  await a.link.call("room.unsubscribe", { room: room.id });
  server.say(room, "bob", "still here");
  await settle();
  expect(c.seqs()).toEqual([2]);
  a.link.stop();
  await settle();
  server.say(room, "bob", "and here");
  await settle();
  expect(c.seqs()).toEqual([2, 3]);
});

test("without what sharing takes every tab has a device of its own", async () => {
  const server = new FakeServer(clock);
  const options = { url: "http://fake", device: "d".repeat(64), token: () => "alice", platform: { ...server.platform, ...clock } };
  const links = [shareLink(options, undefined), shareLink(options, undefined)];
  for (const link of links) link.start();
  await settle();
  expect(new Set([...server.sessions].map(({ device }) => device)).size).toBe(2);
  expect([...server.sessions].every(({ device }) => device.length <= 64)).toBe(true);
});
