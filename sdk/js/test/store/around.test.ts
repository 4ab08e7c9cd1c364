// What a room knows beside its timeline: who is in it, who the other one is, single messages, what is being written.

import { expect, test } from "vitest";

import { memoryStorage } from "../../src/index.js";
import { look, Stage } from "./stage.js";

test("the members of a room are asked for once somebody looks, and follow the log", async () => {
  const stage = new Stage();
  const { id } = stage.server.createRoom({ members: ["alice", "bob"] });
  const alice = await stage.connected("alice");
  const { members } = alice.room(id);
  expect(members.get()).toEqual({ members: [], ready: false, more: false });
  look(members);
  await stage.pass();
  const users = (): string[] => members.get().members.map((m) => m.user);
  expect(users()).toEqual(["alice", "bob"]);

  await alice.call("member.add", { room: id, users: ["carol"] });
  await stage.pass();
  expect(users()).toEqual(["alice", "bob", "carol"]);
  await alice.call("member.remove", { room: id, user: "bob" });
  await stage.pass();
  expect(users()).toEqual(["alice", "carol"]);
});

test("members are asked for anew by another session", async () => {
  const stage = new Stage();
  const room = stage.server.createRoom({ members: ["alice", "bob"] });
  const alice = await stage.connected("alice");
  const { members } = alice.room(room.id);
  look(members);
  await stage.pass();
  alice.stop();
  await stage.pass();
  const bob = await stage.connected("bob");
  await bob.call("member.add", { room: room.id, users: ["carol"] });
  alice.start();
  await stage.pass();
  expect(members.get().members.map((m) => m.user)).toEqual(["alice", "bob", "carol"]);
});

test("a direct room is called by the other one in it, whoever made it", async () => {
  const stage = new Stage();
  const alice = await stage.connected("alice");
  const bob = await stage.connected("bob");
  const { id } = await alice.direct("bob");
  await stage.pass(2000);
  for (const [client, other] of [[alice, "bob"], [bob, "alice"]] as const) {
    const { peer } = client.room(id);
    look(peer);
    await stage.pass();
    expect(peer.get()).toBe(other);
  }
  const group = stage.server.createRoom({ members: ["alice", "bob"] });
  await stage.pass(2000);
  look(alice.room(group.id).peer);
  await stage.pass();
  expect(alice.room(group.id).peer.get()).toBeUndefined();
});

test("a single message is known wherever the timeline stands, and kept up to date", async () => {
  const stage = new Stage();
  const { id } = stage.server.createRoom({ members: ["alice", "bob"] });
  const alice = (await stage.connected("alice")).room(id);
  const bob = (await stage.connected("bob")).room(id);
  const { seq } = await alice.send({ text: "one" });
  const message = bob.message(seq);
  expect(message.get()).toBeUndefined();
  const end = look(message);
  await stage.pass();
  expect(message.get()?.text).toBe("one");

  await alice.edit(seq, { text: "two" });
  await stage.pass();
  expect(message.get()?.text).toBe("two");
  await alice.delete(seq);
  await stage.pass();
  expect(message.get()).toMatchObject({ text: null, deleted_at: expect.any(String) as string });

  const none = bob.message(1); // the room's own beginning is no message
  look(none);
  await stage.pass();
  expect(none.get()).toBeNull();
  end();
  expect(message.get()).toMatchObject({ seq });
});

test("a draft waits in the storage, is not the next user's, and one without text is none", async () => {
  const stage = new Stage();
  const { id } = stage.server.createRoom({ members: ["alice", "bob"] });
  const storage = memoryStorage();
  const before = await stage.connected("alice", storage);
  before.room(id).keep({ text: "half a sent", reply_to: 3 });
  expect(before.room(id).draft.get()).toEqual({ text: "half a sent", reply_to: 3 });
  await stage.pass(1000);
  before.stop();

  const after = await stage.connected("alice", storage);
  expect(after.room(id).draft.get()).toEqual({ text: "half a sent", reply_to: 3 });
  after.room(id).keep({ text: "" });
  expect(after.room(id).draft.get()).toBeUndefined();
  await stage.pass(1000);
  expect(await storage.list("draft/")).toEqual([]);

  after.room(id).keep({ text: "secret" });
  await stage.pass(1000);
  after.stop();
  const other = await stage.connected("bob", storage);
  await stage.pass(1000);
  expect(other.room(id).draft.get()).toBeUndefined();
  expect(await storage.list("draft/")).toEqual([]);
});

test("a new name of one's own is known at once", async () => {
  const stage = new Stage();
  const alice = await stage.connected("alice");
  const profile = alice.users.get("alice");
  look(profile);
  await stage.pass();
  await alice.users.update({ name: "Alice A." });
  expect(profile.get()?.name).toBe("Alice A.");
});
