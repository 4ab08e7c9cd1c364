import { describe, expect, test } from "vitest";

import { memoryStorage, OutboxError, Parley, ParleyError, type Storage } from "../../src/index.js";
import { lines, look, Stage } from "./stage.js";

describe("two people talk", () => {
  test("both see the same, with ticks", async () => {
    const stage = new Stage();
    const { id } = stage.server.createRoom({ kind: "direct", members: ["alice", "bob"] });
    const alice = (await stage.connected("alice")).room(id);
    const bob = (await stage.connected("bob")).room(id);
    look(alice.timeline);
    look(bob.timeline);
    await stage.pass();

    const sending = alice.send({ text: "Noon?" });
    expect(lines(alice)).toEqual(["me: Noon? (pending)"]);
    await sending;
    await stage.pass(2000);
    expect(lines(bob)).toEqual(["alice: Noon?"]);
    expect(lines(alice)).toEqual(["me: Noon? (delivered)"]);

    bob.read();
    void bob.send({ text: "Yes" });
    await stage.pass(2000);
    expect(lines(alice)).toEqual(["me: Noon? (read)", "bob: Yes"]);
    expect(lines(bob)).toEqual(["alice: Noon?", "me: Yes (delivered)"]);
  });

  test("a message keeps its key from pending to sent, and is never there twice", async () => {
    const stage = new Stage();
    const { id } = stage.server.createRoom({ members: ["alice", "bob"] });
    const alice = (await stage.connected("alice")).room(id);
    const seen: string[][] = [];
    alice.timeline.subscribe(() => seen.push(alice.timeline.get().items.map((item) => item.key)));
    await stage.pass();
    await alice.send({ text: "once" });
    await stage.pass();
    const keys = new Set(seen.flat());
    expect(keys.size).toBe(1);
    expect(Math.max(...seen.map((now) => now.length))).toBe(1);
  });

  test("edits, reactions, deletions and threads", async () => {
    const stage = new Stage();
    const { id } = stage.server.createRoom({ members: ["alice", "bob"] });
    const alice = (await stage.connected("alice")).room(id);
    const bob = (await stage.connected("bob")).room(id);
    look(alice.timeline);
    look(bob.timeline);
    const { seq } = await alice.send({ text: "Lucnh?" });
    await alice.edit(seq, { text: "Lunch?" });
    await bob.react(seq, "👍");
    await alice.react(seq, "👍");
    await stage.pass();
    expect(lines(alice)).toEqual(["me: Lunch? (sent edited 👍2!)"]);
    await alice.react(seq, "👍", false);
    const thread = bob.thread(seq);
    look(thread);
    await bob.send({ text: "Where?", reply_to: seq });
    await bob.send({ text: "Elsewhere" });
    await stage.pass();
    expect(thread.get().items.map((item) => item.type === "message" && item.message.text)).toEqual(["Where?"]);
    await alice.delete(seq);
    await stage.pass();
    expect(lines(bob)).toEqual(["alice: – (edited)", "me: Where? (sent)", "me: Elsewhere (sent)"]);
  });

  test("typing is told at most every 3 seconds, and ends when it is sent, or by itself", async () => {
    const stage = new Stage();
    const { id } = stage.server.createRoom({ members: ["alice", "bob"] });
    const alice = (await stage.connected("alice")).room(id);
    const bob = (await stage.connected("bob")).room(id);
    for (let key = 0; key < 20; key++) {
      alice.type();
      await stage.pass();
    }
    expect(bob.typing.get()).toEqual(["alice"]);
    expect(stage.server.calls.filter((c) => c.method === "typing.start")).toHaveLength(1);
    await alice.send({ text: "done" });
    await stage.pass();
    expect(bob.typing.get()).toEqual([]);
    alice.type();
    await stage.pass();
    expect(bob.typing.get()).toEqual(["alice"]);
    await stage.pass(6000);
    expect(bob.typing.get()).toEqual([]);
  });
});

/** The storages of several pages of one browser, which can be closed. */
function pages(count: number): { tabs: Storage[]; close(page: number): void } {
  const entries = memoryStorage();
  const claims = new Map<string, number>();
  const claim = async (page: number, name: string): Promise<boolean> => {
    if (!claims.has(name)) claims.set(name, page);
    return claims.get(name) === page;
  };
  const tabs = Array.from({ length: count }, (_, page) => ({ ...entries, claim: (name: string) => claim(page, name) }));
  return { tabs, close: (page) => [...claims].forEach(([name, holder]) => holder === page && claims.delete(name)) };
}

describe("the outbox", () => {
  test("three messages without a connection are there once each, in order, after it is back", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const alice = await stage.connected("alice");
    const room = alice.room(fake.id);
    look(room.timeline);
    await stage.pass();
    stage.server.block("websocket", "events", "poll");
    stage.server.cut();
    await stage.pass();
    for (const text of ["one", "two", "three"]) void room.send({ text });
    expect(lines(room)).toEqual(["me: one (pending)", "me: two (pending)", "me: three (pending)"]);
    stage.server.unblock("websocket", "events", "poll");
    await stage.pass(60_000);
    expect(lines(room)).toEqual(["me: one (sent)", "me: two (sent)", "me: three (sent)"]);
    expect(fake.log.filter((e) => e.event === "message.created")).toHaveLength(3);
  });

  test("a lost answer is no second message", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const room = (await stage.connected("alice")).room(fake.id);
    look(room.timeline);
    await stage.pass();
    stage.server.loseReply("message.send");
    void room.send({ text: "once" });
    await stage.pass(60_000);
    expect(lines(room)).toEqual(["me: once (sent)"]);
    expect(fake.log.filter((e) => e.event === "message.created")).toHaveLength(1);
  });

  test("a rate limit is waited for, a refusal is shown, and does not hold up the next", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const room = (await stage.connected("alice")).room(fake.id);
    look(room.timeline);
    await stage.pass();
    stage.server.refuse("message.send", { code: "rate_limited", message: "Slow down.", retry_after_ms: 5000, scope: "user" });
    void room.send({ text: "patient" });
    const next = room.send({ text: "next" });
    await stage.pass(4000);
    expect(lines(room)).toEqual(["me: patient (pending)", "me: next (pending)"]);
    stage.server.refuse("message.send", { code: "forbidden", message: "You are muted." });
    await stage.pass(20_000);
    await next;
    expect(lines(room)).toEqual(["me: next (sent)", "me: patient (failed)"]);
    const failed = room.timeline.get().items.at(-1);
    expect(failed?.type === "outgoing" && failed.outgoing.error).toBeInstanceOf(ParleyError);
    room.retry(failed?.key ?? "");
    await stage.pass();
    expect(lines(room)).toEqual(["me: next (sent)", "me: patient (sent)"]);
  });

  test("what was cancelled is not sent, and a full outbox takes nothing more", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const alice = stage.client("alice");
    const room = alice.room(fake.id);
    const cancelled = room.send({ text: "never" });
    room.cancel(room.timeline.get().items[0]?.key ?? "");
    await expect(cancelled).rejects.toThrow(OutboxError);
    for (let i = 0; i < 1000; i++) void room.send({ text: String(i) });
    await expect(room.send({ text: "too much" })).rejects.toThrow("Too many");
    alice.start();
    for (let turn = 0; turn < 20; turn++) await stage.pass();
    expect(stage.server.calls.filter((c) => c.method === "message.send")).toHaveLength(1000);
  });

  test("outlives the page: what was written offline is sent by the next, once, from however many tabs", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const storage = memoryStorage();
    const before = await stage.connected("alice", storage);
    stage.server.block("websocket", "events", "poll");
    stage.server.cut();
    void before.room(fake.id).send({ text: "one" });
    void before.room(fake.id).send({ text: "two" });
    await stage.pass();
    before.stop();
    const [tab, other] = [stage.client("alice", { storage }), stage.client("alice", { storage })];
    look(tab.room(fake.id).timeline);
    tab.start();
    await stage.pass();
    expect(lines(tab.room(fake.id))).toEqual(["me: one (pending)", "me: two (pending)"]);
    stage.server.unblock("websocket", "events", "poll");
    other.start();
    await stage.pass(60_000);
    expect(lines(tab.room(fake.id))).toEqual(["me: one (sent)", "me: two (sent)"]);
    expect(fake.log.filter((e) => e.event === "message.created")).toHaveLength(2);
    expect(await storage.list("outbox/")).toEqual([]);
  });

  test("is the page's that it was written in: others send of it only what is left when that page is gone", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const { tabs, close } = pages(3);
    const [one, two, three] = tabs.map((storage) => stage.client("alice", { storage })) as [Parley, Parley, Parley];
    stage.server.block("websocket", "events", "poll");
    look(two.room(fake.id).timeline);
    one.start();
    two.start();
    const cancelled = one.room(fake.id).send({ text: "cancelled" });
    void one.room(fake.id).send({ text: "one" });
    void two.room(fake.id).send({ text: "two" });
    await stage.pass();
    const key = one.room(fake.id).timeline.get().items[0]?.key ?? "";
    one.stop();
    stage.server.unblock("websocket", "events", "poll");
    await stage.pass(60_000);
    expect(lines(two.room(fake.id))).toEqual(["me: two (sent)"]);
    one.room(fake.id).cancel(key);
    await expect(cancelled).rejects.toThrow(OutboxError);
    await stage.pass();
    close(0);
    three.start();
    await stage.pass(5000);
    expect(lines(two.room(fake.id))).toEqual(["me: two (sent)", "me: one (sent)"]);
    expect(stage.server.calls.filter(({ method }) => method === "message.send")).toHaveLength(2);
    expect(await tabs[2]?.list("outbox/")).toEqual([]);
  });

  test("another user's page sends nothing of it, and shows nothing", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const storage = memoryStorage();
    const alice = await stage.connected("alice", storage);
    look(alice.room(fake.id).timeline);
    await alice.room(fake.id).send({ text: "mine" });
    await stage.pass(5000);
    alice.stop();
    void alice.room(fake.id).send({ text: "unsent" });
    const bob = await stage.connected("bob", storage);
    await stage.pass(5000);
    expect(fake.log.filter((e) => e.event === "message.created").map((e) => e.user)).toEqual(["alice"]);
    expect(bob.inbox.get().unread).toBe(1);
    expect(await storage.list("outbox/")).toEqual([]);
  });

  test("a client whose token becomes another user's shows that user's", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    stage.server.createRoom({ members: ["alice"], name: "secret" });
    stage.server.say(fake, "bob", "hello");
    let user = "alice";
    const client = stage.client("alice", { token: () => user });
    client.start();
    look(client.room(fake.id).timeline);
    await stage.pass();
    expect(lines(client.room(fake.id))).toEqual(["bob: hello"]);
    user = "bob";
    stage.server.cut();
    await stage.pass(10_000);
    expect(lines(client.room(fake.id))).toEqual(["me: hello (delivered)"]);
    expect(client.inbox.get().rooms.map((entry) => entry.room.id)).toEqual([fake.id]);
  });

  test("a message that was tried for 30 days is given up", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const alice = stage.client("alice");
    const room = alice.room(fake.id);
    const old = room.send({ text: "old" });
    await stage.pass(31 * 24 * 3600_000);
    alice.start();
    await expect(old).rejects.toThrow("30 days");
    await stage.pass();
    expect(lines(room)).toEqual(["me: old (failed)"]);
  });
});

describe("timelines", () => {
  test("an open room is resumed; after a reset it is loaded anew, and shown all the while", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    stage.server.say(fake, "bob", "before");
    const alice = await stage.connected("alice");
    const room = alice.room(fake.id);
    let shown = 0;
    room.timeline.subscribe(() => {
      expect(room.timeline.get().items.length).toBeGreaterThanOrEqual(shown);
      shown = room.timeline.get().items.length;
    });
    await stage.pass();
    stage.server.cut("alice");
    stage.server.say(fake, "bob", "missed");
    const lists = () => stage.server.calls.filter((c) => c.method === "message.list").length;
    const before = lists();
    await stage.pass(10_000);
    expect(lines(room)).toEqual(["bob: before", "bob: missed"]);
    expect(lists()).toBe(before);

    stage.server.replay = 1;
    stage.server.cut("alice");
    for (let i = 0; i < 5; i++) stage.server.say(fake, "bob", `far ${i}`);
    await stage.pass(10_000);
    expect(lines(room)).toHaveLength(7);
    expect(lists()).toBe(before + 1);
  });

  test("scrolls up, jumps, and returns", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    for (let i = 1; i <= 300; i++) stage.server.say(fake, "bob", `m${i}`);
    const { timeline } = (await stage.connected("alice")).room(fake.id);
    look(timeline);
    await stage.pass();
    const texts = () => timeline.get().items.map((item) => item.type === "message" && item.message.text);
    expect(timeline.get()).toMatchObject({ older: true, newer: false, ready: true, loading: undefined });
    expect([texts()[0], texts().at(-1)]).toEqual(["m251", "m300"]);
    const loading = timeline.older();
    expect(timeline.get().loading).toBe("older");
    await loading;
    expect(texts()[0]).toBe("m201");
    await timeline.jump(31);
    expect(texts()).toContain("m30");
    expect(timeline.get()).toMatchObject({ older: true, newer: true });
    stage.server.say(fake, "bob", "live");
    await stage.pass();
    expect(texts()).not.toContain("live");
    while (timeline.get().newer) await timeline.newer();
    expect(texts().at(-1)).toBe("live");
    await timeline.jump(31);
    await timeline.latest();
    expect(texts().at(-1)).toBe("live");
  });

  test("a room that is none of the user's is followed while it is open", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ kind: "live", members: ["bob"] });
    const alice = await stage.connected("alice");
    const room = alice.room(fake.id);
    look(room.timeline);
    await stage.pass();
    stage.server.say(fake, "bob", "hello");
    await stage.pass();
    expect(lines(room)).toEqual(["bob: hello"]);
    stage.server.tell("alice", { event: "skipped", room: fake.id, data: { from: fake.head + 1, to: fake.head + 3 } });
    for (let i = 0; i < 3; i++) fake.append("message.created", "bob", { n: fake.count + 1, client_id: `s${i}`, text: `left out ${i}` });
    await stage.pass();
    const gap = room.timeline.get().items.at(-1);
    expect(lines(room)).toEqual(["bob: hello", "… 3–5"]);
    stage.server.say(fake, "bob", "on");
    await stage.pass();
    if (gap?.type === "gap") await room.timeline.fill(gap.gap);
    expect(lines(room)).toEqual(["bob: hello", "bob: left out 0", "bob: left out 1", "bob: left out 2", "bob: on"]);
    expect(stage.server.calls.filter((c) => c.method === "receipt.delivered" && c.user === "alice")).toEqual([]);
    expect(stage.server.calls.filter((c) => c.method === "room.list" && c.user === "alice").length).toBeLessThan(4);
  });

  test("starts offline with what was seen last, then goes on from there", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"], name: "Lunch" });
    for (let i = 1; i <= 80; i++) stage.server.say(fake, "bob", `m${i}`);
    const storage = memoryStorage();
    const before = await stage.connected("alice", storage);
    look(before.room(fake.id).timeline);
    await stage.pass(5000);
    before.stop();
    stage.server.block("websocket", "events", "poll");
    const after = stage.client("alice", { storage });
    const room = after.room(fake.id);
    look(room.timeline);
    after.start();
    await stage.pass();
    expect(after.inbox.get().rooms.map((entry) => entry.room.name)).toEqual(["Lunch"]);
    expect(lines(room)).toHaveLength(50);
    stage.server.say(fake, "bob", "meanwhile");
    stage.server.unblock("websocket", "events", "poll");
    const lists = stage.server.calls.filter((c) => c.method === "message.list").length;
    await stage.pass(60_000);
    expect(lines(room).at(-1)).toBe("bob: meanwhile");
    expect(stage.server.calls.filter((c) => c.method === "message.list")).toHaveLength(lists);
  });

  test("holds no more than it is told to, however much is said", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const { timeline } = (await stage.connected("alice")).room(fake.id);
    look(timeline);
    await stage.pass();
    for (let i = 1; i <= 700; i++) stage.server.say(fake, "bob", `m${i}`);
    await stage.pass();
    expect(timeline.get().items).toHaveLength(500);
    expect(timeline.get().older).toBe(true);
  });

  test("a live room is known, and watched, for as long as somebody looks", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ kind: "live", by: "bob", name: "The final" });
    const alice = await stage.connected("alice");
    const room = alice.room(fake.id);
    const [end, leave] = [look(room.about), look(room.timeline)];
    expect(room.about.get()).toBeUndefined();
    await stage.pass();
    expect(room.about.get()).toMatchObject({ kind: "live", name: "The final" });
    stage.server.write(fake, "room.updated", "bob", { name: "The replay" });
    await stage.pass();
    expect(room.about.get()?.name).toBe("The replay");
    leave();
    look(room.timeline)(); // as a view that is made anew
    const left = () => stage.server.calls.filter((c) => c.method === "room.unsubscribe").length;
    await stage.pass(4000);
    expect(left()).toBe(0);
    await stage.pass(2000);
    expect(left()).toBe(1);
    end();
    const nowhere = alice.room("r_0000000000000000000000000000");
    look(nowhere.about);
    await stage.pass();
    expect(nowhere.about.get()).toBeNull();
    const own = stage.server.createRoom({ members: ["alice", "bob"], name: "Lunch" });
    await stage.pass(2000);
    look(alice.room(own.id).about);
    expect(alice.room(own.id).about.get()?.name).toBe("Lunch");
  });

  test("what is shown can be held while somebody reads it, in a room where much is said", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ kind: "live", members: ["bob"] });
    const room = (await stage.connected("alice")).room(fake.id);
    const { timeline } = room;
    look(timeline);
    await stage.pass();
    for (let i = 1; i <= 3; i++) stage.server.say(fake, "bob", `m${i}`);
    await stage.pass();
    const [first] = timeline.get().items;
    const release = timeline.hold();
    const other = timeline.hold();
    for (let i = 4; i <= 903; i++) stage.server.say(fake, "bob", `m${i}`);
    stage.server.write(fake, "message.deleted", "bob", { target: 3 });
    stage.server.write(fake, "reaction.added", "bob", { target: 4, emoji: "👍" });
    await stage.pass();
    expect(lines(room)).toEqual(["bob: m1", "bob: –", "bob: m3 (👍1)"]);
    expect(timeline.get()).toMatchObject({ waiting: 900, newer: false });
    expect(timeline.get().items[0]).toBe(first);
    release();
    release();
    expect(timeline.get().waiting).toBe(900);
    const lists = stage.server.calls.filter((c) => c.method === "message.list").length;
    other();
    expect(timeline.get().waiting).toBeUndefined();
    expect(lines(room)).toHaveLength(500);
    expect(lines(room).at(-1)).toBe("bob: m903");
    await room.send({ text: "mine" });
    expect(stage.server.calls.filter((c) => c.method === "message.list")).toHaveLength(lists);
    timeline.hold();
    stage.server.say(fake, "bob", "newest");
    stage.server.tell("alice", { event: "reset", room: fake.id, data: { head: fake.head } });
    await stage.pass();
    expect(timeline.get().waiting).toBeUndefined();
    expect(lines(room).at(-1)).toBe("bob: newest");
  });

  test("what is left out of a crowded room makes no more gaps than there are messages", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ kind: "live", members: ["bob"] });
    const room = (await stage.connected("alice")).room(fake.id);
    look(room.timeline);
    await stage.pass();
    stage.server.say(fake, "bob", "hello");
    for (let i = 0; i < 100; i++) {
      stage.server.write(fake, i % 2 ? "reaction.removed" : "reaction.added", "bob", { target: 2, emoji: "👍" });
      fake.append("message.created", "bob", { n: fake.count + 1, client_id: `s${i}`, text: `left out ${i}` });
      stage.server.tell("alice", { event: "skipped", room: fake.id, data: { from: fake.head, to: fake.head } });
    }
    await stage.pass();
    expect(lines(room)).toEqual(["bob: hello", "… 4–202"]);
    stage.server.say(fake, "bob", "on");
    await stage.pass();
    const gap = room.timeline.get().items[1];
    if (gap?.type === "gap") await room.timeline.fill(gap.gap);
    expect(lines(room)).toHaveLength(102);
  });

  test("a message that comes too early says when it goes out", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ kind: "live", members: ["bob"] });
    const room = (await stage.connected("alice")).room(fake.id);
    look(room.timeline);
    await stage.pass();
    stage.server.refuse("message.send", { code: "rate_limited", message: "Slow mode.", retry_after_ms: 5000, scope: "slow_mode" });
    void room.send({ text: "too early" });
    await stage.pass();
    const [item] = room.timeline.get().items;
    const outgoing = item?.type === "outgoing" ? item.outgoing : undefined;
    expect(outgoing).toMatchObject({ status: "pending", error: { scope: "slow_mode" } });
    expect(outgoing!.retryAt).toBeGreaterThanOrEqual(stage.clock.now() + 4900);
    await stage.pass(7000);
    expect(lines(room)).toEqual(["me: too early (sent)"]);
  });

  test("what is said in a live room is nothing to an inbox", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ kind: "live", members: ["alice", "bob"], name: "The final" });
    const alice = await stage.connected("alice");
    look(alice.room(fake.id).timeline);
    await stage.pass(2000);
    let told = 0;
    alice.inbox.subscribe(() => told++);
    for (let i = 0; i < 10; i++) stage.server.say(fake, "bob", `m${i}`);
    await stage.pass(2000);
    expect([told, alice.inbox.entry(fake.id)?.head]).toEqual([0, fake.head]);
    stage.server.write(fake, "room.updated", "bob", { name: "The replay" });
    await stage.pass();
    expect(alice.inbox.entry(fake.id)?.room.name).toBe("The replay");
  });
});

describe("the inbox", () => {
  test("two devices agree on what is unread", async () => {
    const stage = new Stage();
    const [lunch, work] = [stage.server.createRoom({ members: ["alice", "bob"] }), stage.server.createRoom({ members: ["alice", "bob"] })];
    const phone = await stage.connected("alice");
    const laptop = await stage.connected("alice");
    for (let i = 0; i < 5; i++) stage.server.say(lunch, "bob", `${i}`);
    stage.server.write(work, "message.created", "bob", { n: 1, text: "@alice", mentions: ["alice"], client_id: "w" });
    await stage.pass(2000);
    for (const device of [phone, laptop]) expect(device.inbox.get()).toMatchObject({ unread: 6, mentions: 1, badge: 6 });
    phone.room(lunch.id).read(3);
    await stage.pass(5000);
    for (const device of [phone, laptop]) expect(device.inbox.entry(lunch.id)?.me).toMatchObject({ read: 3, unread: 3 });
    phone.room(lunch.id).read();
    laptop.room(work.id).read();
    expect(phone.inbox.entry(lunch.id)?.me.unread).toBe(0);
    await stage.pass(5000);
    for (const device of [phone, laptop]) expect(device.inbox.get()).toMatchObject({ unread: 0, mentions: 0, badge: 0 });
    await phone.room(work.id).set({ notify: "none" });
    await phone.room(work.id).send({ text: "busy" });
    await stage.pass(5000);
    expect(laptop.inbox.get().rooms[0]?.room.id).toBe(work.id);
  });

  test("rooms come and go", async () => {
    const stage = new Stage();
    const alice = await stage.connected("alice");
    expect(alice.inbox.get()).toMatchObject({ ready: true, rooms: [] });
    const room = stage.server.createRoom({ by: "bob", members: ["alice"], name: "new" });
    await stage.pass(2000);
    expect(alice.inbox.get().rooms.map((entry) => entry.room.name)).toEqual(["new"]);
    stage.server.write(room, "room.updated", "bob", { name: "renamed" });
    await stage.pass();
    expect(alice.inbox.get().rooms[0]?.room.name).toBe("renamed");
    look(alice.room(room.id).timeline);
    stage.server.say(room, "bob", "before");
    await stage.pass();
    stage.server.remove(room, ["alice"], "removed");
    stage.server.say(room, "bob", "unseen");
    await stage.pass();
    expect(alice.inbox.get().rooms).toEqual([]);
    expect(lines(alice.room(room.id))).toEqual(["bob: before"]);
    stage.server.add(room, ["alice"], "bob");
    stage.server.say(room, "bob", "again");
    await stage.pass(2000);
    expect(lines(alice.room(room.id))).toEqual(["bob: before", "bob: unseen", "bob: again"]);
  });

  test("receipts go out once a second, the newest of each room", async () => {
    const stage = new Stage();
    const fake = stage.server.createRoom({ members: ["alice", "bob"] });
    const alice = await stage.connected("alice");
    await stage.pass(2000);
    for (let i = 0; i < 50; i++) {
      stage.server.say(fake, "bob", `${i}`);
      await stage.pass();
      alice.room(fake.id).read();
    }
    await stage.pass(3000);
    const reports = stage.server.calls.filter((c) => c.user === "alice" && c.method.startsWith("receipt.") && c.method !== "receipt.list");
    expect(reports.length).toBeLessThanOrEqual(12);
    expect(reports.at(-1)).toMatchObject({ method: "receipt.read", params: { seq: fake.head } });
  });
});

test("presence is subscribed to for what is in view, in one call, and let go of later", async () => {
  const stage = new Stage();
  stage.server.createRoom({ members: ["alice", "bob", "carol"] });
  await stage.connected("bob");
  const alice = await stage.connected("alice");
  const away = [look(alice.presence("bob")), look(alice.presence("bob")), look(alice.presence("carol"))];
  await stage.pass();
  expect(alice.presence("bob").get()?.status).toBe("online");
  expect(alice.presence("carol").get()?.status).toBe("offline");
  const of = (method: string) => stage.server.calls.filter((c) => c.method === method);
  expect(of("presence.subscribe")).toHaveLength(1);
  await stage.connected("carol");
  expect(alice.presence("carol").get()?.status).toBe("online");
  for (const end of away) end();
  await stage.pass(5000);
  expect(of("presence.unsubscribe")).toHaveLength(0);
  await stage.pass(10_000);
  expect(of("presence.unsubscribe").map((c) => c.params)).toEqual([{ users: ["bob", "carol"] }]);
});

test("profiles are asked for together, when somebody looks", async () => {
  const stage = new Stage();
  stage.server.user("bob").name = "Bob";
  const alice = await stage.connected("alice");
  look(alice.users.get("bob"));
  look(alice.users.get("nobody"));
  await stage.pass();
  expect(alice.users.get("bob").get()?.name).toBe("Bob");
  expect(alice.users.get("nobody").get()).toBeUndefined();
  expect(stage.server.calls.filter((c) => c.method === "user.get")).toHaveLength(1);
});
