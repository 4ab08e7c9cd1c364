import { WebSocket } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { memoryStorage, Parley, type Observable, type ParleyOptions, type WebSocketConstructor } from "../../src/index.js";
import { lines, look } from "../store/stage.js";
import { Network, RealServer, until } from "./server.js";

/** A client of a user that comes back at once. */
function client(server: { url: string }, token: string, options: Partial<ParleyOptions> = {}): Parley {
  const parley = new Parley({ url: server.url, token: () => token, platform: { WebSocket: WebSocket as unknown as WebSocketConstructor, random: () => 0 }, ...options });
  parley.start();
  onTestFinished(() => parley.stop());
  return parley;
}

/** Waits until something observed is so. */
async function sees<T, V>(observable: Observable<T>, read: (value: T) => V, want: V): Promise<void> {
  await until(observable, (value) => JSON.stringify(read(value)) === JSON.stringify(want));
  expect(read(observable.get())).toEqual(want);
}

/** A room of alice and bob, and their tokens. */
async function pair(server: RealServer): Promise<{ id: string; alice: string; bob: string }> {
  const [alice, bob] = [server.token("alice"), server.token("bob")];
  await server.call(bob, "user.update", { name: "Bob" });
  const { room } = await server.call(alice, "room.create", { kind: "direct", members: ["bob"] });
  return { id: room.id, alice, bob };
}

const texts = (n: number): string[] => Array.from({ length: n }, (_, i) => `m${i + 1}`);

test("two people talk both ways, with ticks", async () => {
  const server = await RealServer.start();
  const { id, ...tokens } = await pair(server);
  const [alice, bob] = [client(server, tokens.alice).room(id), client(server, tokens.bob).room(id)];
  look(alice.timeline);
  look(bob.timeline);
  const { seq } = await alice.send({ text: "Noon?" });
  await sees(bob.timeline, () => lines(bob), ["alice: Noon?"]);
  await sees(alice.timeline, () => lines(alice), ["me: Noon? (delivered)"]);
  bob.read();
  await sees(alice.timeline, () => lines(alice), ["me: Noon? (read)"]);
  await bob.react(seq, "👍");
  await bob.send({ text: "Yes", reply_to: seq });
  await sees(alice.timeline, () => lines(alice), ["me: Noon? (read 👍1)", "bob: Yes"]);
  await alice.edit(seq, { text: "One?" });
  await sees(bob.timeline, () => lines(bob), ["alice: One? (edited 👍1!)", "me: Yes (delivered)"]);
  await alice.delete(seq);
  await sees(bob.timeline, () => lines(bob)[0], "alice: – (edited)");
  alice.type();
  await sees(bob.typing, (users) => users, ["alice"]);
});

test("three messages written while the server is dead are there once each, in order, when it is back", async () => {
  const server = await RealServer.start();
  const { id, ...tokens } = await pair(server);
  const alice = client(server, tokens.alice);
  const room = alice.room(id);
  look(room.timeline);
  await room.send({ text: "before" });
  await server.kill();
  const sendings = ["one", "two", "three"].map((text) => room.send({ text }));
  expect(lines(room)).toEqual(["me: before (sent)", "me: one (pending)", "me: two (pending)", "me: three (pending)"]);
  await server.start();
  await Promise.all(sendings);
  await sees(room.timeline, () => lines(room), ["before", "one", "two", "three"].map((text) => `me: ${text} (sent)`));
  const { messages } = await server.call(tokens.bob, "message.list", { room: id });
  expect(messages.map((m) => m.text)).toEqual(["before", "one", "two", "three"]);
});

test("over a network that breaks all the time each message is sent once, in order, and seen so", async () => {
  const server = await RealServer.start();
  const { id, ...tokens } = await pair(server);
  const network = await Network.to(server);
  const [alice, bob] = [client(network, tokens.alice).room(id), client(network, tokens.bob).room(id)];
  look(alice.timeline);
  look(bob.timeline);
  let last: Promise<unknown> = Promise.resolve();
  for (const text of texts(60)) {
    last = alice.send({ text });
    if (text.endsWith("7")) {
      network.cut();
      await last;
    }
  }
  await last;
  await sees(bob.timeline, () => lines(bob), texts(60).map((text) => `alice: ${text}`));
  await sees(alice.timeline, () => lines(alice).length, 60);
});

test("a reload in the middle of a conversation goes on where it was", async () => {
  const server = await RealServer.start();
  const { id, ...tokens } = await pair(server);
  const storage = memoryStorage();
  const before = client(server, tokens.alice, { storage });
  look(before.room(id).timeline);
  await before.room(id).send({ text: "one" });
  await expect.poll(() => storage.list("room/").then((found) => found.length)).toBe(1);
  await server.kill();
  void before.room(id).send({ text: "two" });
  before.stop();
  await server.start();
  await server.call(tokens.bob, "message.send", { room: id, client_id: "b", text: "meanwhile" });
  const after = client(server, tokens.alice, { storage });
  look(after.room(id).timeline);
  await sees(after.room(id).timeline, () => lines(after.room(id)).length, 3);
  await sees(after.room(id).timeline, () => lines(after.room(id)), ["me: one (sent)", "bob: meanwhile", "me: two (sent)"]);
  await sees(after.inbox, (inbox) => inbox.unread, 0);
});

test("5,000 unread, on two devices that agree", async () => {
  const server = await RealServer.start();
  const { id, ...tokens } = await pair(server);
  const bob = client(server, tokens.bob);
  await Promise.all(texts(4999).map((text) => bob.call("message.send", { room: id, client_id: text, text })));
  await bob.call("message.send", { room: id, client_id: "last", text: "@alice", mentions: ["alice"] });
  const [phone, laptop] = [client(server, tokens.alice), client(server, tokens.alice)];
  for (const device of [phone, laptop]) await sees(device.inbox, (inbox) => [inbox.unread, inbox.mentions], [5000, 1]);

  const { timeline } = phone.room(id);
  look(timeline);
  await until(timeline, (state) => state.ready);
  for (let pages = 0; pages < 20; pages++) await timeline.older();
  expect(timeline.get()).toMatchObject({ older: true, newer: true });
  expect(timeline.get().items).toHaveLength(500);
  const middle = timeline.get().items.find((item) => item.type === "message");
  const seq = middle?.type === "message" ? middle.message.seq : 0;
  phone.room(id).read(seq);
  for (const device of [phone, laptop]) await sees(device.inbox, (inbox) => [inbox.unread, inbox.mentions], [5001 - seq, 1]);
  laptop.room(id).read();
  for (const device of [phone, laptop]) await sees(device.inbox, (inbox) => [inbox.unread, inbox.mentions], [0, 0]);
  await timeline.latest();
  expect(lines(phone.room(id)).at(-1)).toBe("bob: @alice");
});

test("a room may be left, joined, found and watched", async () => {
  const server = await RealServer.start();
  const { alice: token, bob: other } = await pair(server);
  const bob = client(server, other);
  const channel = await bob.create({ kind: "channel", name: "news" });
  const live = await bob.create({ kind: "live", name: "show" });
  const alice = client(server, token);
  const [news, show] = [alice.room(channel.id), alice.room(live.id)];
  look(show.timeline);
  look(live.timeline); // its maker watches it, too
  await until(show.timeline, (state) => state.ready);
  await live.send({ text: "we begin" });
  await sees(show.timeline, () => lines(show), ["bob: we begin"]);
  await sees(show.audience, (n) => n, 2);
  await alice.call("room.join", { room: news.id });
  await sees(news.entry, (entry) => entry?.room.name, "news");
  await channel.send({ text: "hear" });
  await sees(alice.inbox, (inbox) => inbox.unread, 1);
  await alice.call("room.leave", { room: news.id });
  await sees(news.entry, (entry) => entry, undefined);
});
