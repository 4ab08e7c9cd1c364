import { expect, test } from "vitest";
import type { Frame, TransportName } from "../../src/link.js";
import { follow, heard, isLive, Network, RealServer, until } from "./server.js";

const seqs = (frames: Frame[]): number[] => frames.flatMap((frame) => ("seq" in frame ? [frame.seq] : []));
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
const transports: TransportName[] = ["websocket", "events", "poll"];

test.each(transports)("%s: hello, calls, pushes and refusals", async (transport) => {
  const server = await RealServer.start();
  const bob = server.token("bob");
  await server.call(bob, "user.update", { name: "Bob" });
  const { link } = follow({ url: server.url, token: () => server.token("alice"), transports: [transport] });
  const { room } = await link.call("room.create", { kind: "direct", members: ["bob"] });
  expect(link.session.get()).toMatchObject({ user: "alice" });
  expect(link.state.get()).toEqual({ status: "live", transport });
  expect(await link.call("message.send", { room: room.id, client_id: "c1", text: "hello" })).toMatchObject({ seq: 2, n: 1 });
  expect(await link.call("message.send", { room: room.id, client_id: "c1", text: "hello" })).toMatchObject({ seq: 2, duplicate: true });
  const typing = heard(link, (frame) => frame.event === "typing");
  const said = heard(link, (frame) => frame.event === "message.created" && frame.user === "bob");
  await server.call(bob, "typing.start", { room: room.id });
  await server.call(bob, "message.send", { room: room.id, client_id: "c1", text: "hi" });
  expect(await typing).toMatchObject({ user: "bob", data: { active: true } });
  expect(await said).toMatchObject({ seq: 3, data: { text: "hi" } });
  await expect(link.call("room.get", { room: "r_none" })).rejects.toMatchObject({ name: "ParleyError", code: "not_found", field: "room" });
  expect(await link.call("presence.subscribe", { users: ["bob"] })).toMatchObject({ users: [{ user: "bob" }] });
});

test.each(transports)("%s: cuts and a kill -9 leave a stream without holes", async (transport) => {
  const server = await RealServer.start();
  const network = await Network.to(server);
  const [alice, bob] = [server.token("alice"), server.token("bob")];
  await server.call(alice, "user.update", { name: "Alice" });
  const { link, frames } = follow({ url: network.url, token: () => alice, transports: [transport] });
  await until(link.state, isLive);
  const first = heard(link, (frame) => frame.event === "room.created"); // a link goes on with the rooms that it has seen
  const { room } = await server.call(bob, "room.create", { kind: "group", members: ["alice"] });
  await first;
  for (let i = 2; i <= 60; i++) {
    if (i % 7 === 0) network.cut();
    if (i === 30) {
      await server.kill();
      await server.start();
    }
    await server.call(bob, "message.send", { room: room.id, client_id: `c${i}`, text: `${i}` });
  }
  if (Math.max(...seqs(frames)) < 60) await heard(link, (frame) => "seq" in frame && frame.seq === 60);
  expect(seqs(frames)).toEqual(upTo(60));
  expect(frames.filter((frame) => frame.event === "reset")).toEqual([]);
});

test.each(transports)("%s: a server that drains and comes back loses nothing", async (transport) => {
  const server = await RealServer.start();
  const [alice, bob] = [server.token("alice"), server.token("bob")];
  await server.call(alice, "user.update", { name: "Alice" });
  const { link, frames } = follow({ url: server.url, token: () => alice, transports: [transport] });
  await until(link.state, isLive);
  const first = heard(link, (frame) => frame.event === "room.created");
  const { room } = await server.call(bob, "room.create", { kind: "group", members: ["alice"] });
  await first;
  await server.drain();
  await server.start();
  await server.call(bob, "message.send", { room: room.id, client_id: "c2", text: "2" });
  await expect.poll(() => seqs(frames), { timeout: 40_000 }).toEqual([1, 2]);
});

test("a token that ends is refreshed on the session, which goes on", async () => {
  const server = await RealServer.start();
  const tokens = [server.token("alice", "30s"), server.token("alice")];
  const asked: string[] = [];
  const token = (): string => {
    asked.push("asked");
    return tokens.shift() ?? "";
  };
  const { link } = follow({ url: server.url, token });
  const { session } = await until(link.session, (session) => session !== undefined) ?? {};
  await expect.poll(() => asked.length).toBe(2); // token.expiring comes at once where less than 60 s are left
  await link.call("user.get", { users: ["alice"] });
  expect(link.session.get()?.session).toBe(session);
});

test("a token that ended is replaced by another, once it is refused", async () => {
  const server = await RealServer.start();
  const good = server.token("alice");
  const tokens = ["nonsense", good];
  const { link } = follow({ url: server.url, token: () => tokens.shift() ?? "" });
  await until(link.state, isLive);
  expect(tokens).toEqual([]);
});

test("a session that expires comes back with a new token", async () => {
  const server = await RealServer.start();
  let asked = 0;
  const short = server.token("alice", "2s");
  const token = (): string => {
    if (++asked === 2) throw new Error("not now"); // the refresh
    return asked === 1 ? short : server.token("alice");
  };
  const { link } = follow({ url: server.url, token });
  const first = await until(link.session, (session) => session !== undefined);
  const second = await until(link.session, (session) => session !== undefined && session.session !== first?.session);
  expect(second?.user).toBe("alice");
});

test("the same device elsewhere takes the session over, for good", async () => {
  const server = await RealServer.start();
  const options = { url: server.url, token: () => server.token("alice"), device: "one" };
  const { link: first } = follow(options);
  await until(first.state, isLive);
  follow(options);
  expect(await until(first.state, (state) => state.status === "ended")).toMatchObject({ reason: { code: 4409 } });
});

test("a session that is revoked ends for good", async () => {
  const server = await RealServer.start();
  const { link } = follow({ url: server.url, token: () => server.token("alice"), device: "one" });
  await until(link.state, isLive);
  await link.call("session.revoke", { device: "one" }).catch(() => {}); // the answer may be lost with the session
  expect(await until(link.state, (state) => state.status === "ended")).toMatchObject({ reason: { code: 4403 } });
});

test("where WebSockets are blocked, the link falls back and resumes positions that events could not be told", async () => {
  const server = await RealServer.start();
  const [alice, bob] = [server.token("alice"), server.token("bob")];
  await server.call(alice, "user.update", { name: "Alice" });
  const { room } = await server.call(bob, "room.create", { kind: "group", members: ["alice"] });
  const { epoch } = (await until(follow({ url: server.url, token: () => bob }).link.session, (session) => session !== undefined)) ?? { epoch: "" };
  await server.call(bob, "message.send", { room: room.id, client_id: "c", text: "missed" });
  const blocked = class {
    onopen = null;
    onmessage = null;
    onerror = null;
    onclose: ((event: { code: number; reason: string }) => void) | null = null;
    constructor() {
      queueMicrotask(() => this.onclose?.({ code: 1006, reason: "" }));
    }
    send(): void {}
    close(): void {}
  };
  const { link, frames } = follow({ url: server.url, token: () => alice, platform: { WebSocket: blocked } });
  link.resumeFrom(() => ({ epoch, rooms: { [room.id]: 1 } }));
  const reset = heard(link, (frame) => frame.event === "reset");
  expect(await until(link.state, isLive)).toMatchObject({ transport: "events" });
  expect(await reset).toMatchObject({ room: room.id, data: { head: 2 } });
  await link.call("message.send", { room: room.id, client_id: "c", text: "live" });
  await expect.poll(() => seqs(frames)).toEqual([3]);
});
