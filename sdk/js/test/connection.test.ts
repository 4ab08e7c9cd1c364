import { expect, test, vi } from "vitest";
import { LinkEndedError, LinkLostError, ParleyError } from "../src/errors.js";
import type { Awareness, Platform, TransportName } from "../src/link.js";
import { settle } from "../src/testing/index.js";
import { rig, Scripted, type Rig } from "./harness.js";

const transports: TransportName[] = ["websocket", "events", "poll"];

test.each(transports)("%s: says hello, calls, hears", async (transport) => {
  const { server, link, seqs, clock } = await rig({ transports: [transport] });
  expect(link.state.get()).toEqual({ status: "live", transport });
  expect(link.session.get()).toMatchObject({ user: "alice", epoch: "e1" });
  const { room } = await link.call("room.create", { kind: "group", members: ["bob"] });
  const sent = await link.call("message.send", { room: room.id, client_id: "c1", text: "hello" });
  expect(sent).toMatchObject({ seq: 2, n: 1 });
  server.say(server.rooms.get(room.id)!, "bob", "hi");
  await settle();
  expect(seqs()).toEqual([1, 2, 3]);
  link.stop();
  await settle();
  expect(link.state.get()).toEqual({ status: "idle" });
  if (transport === "poll") return; // a session that is polled ends on the server when polls stay away
  expect(server.sessions.size).toBe(0);
  expect(clock.pending).toBe(0);
});

test.each(transports)("%s: a cut loses nothing and repeats nothing", async (transport) => {
  const { server, link, seqs, clock, statuses } = await rig({ transports: [transport] });
  const room = server.createRoom({ members: ["alice", "bob"] });
  server.say(room, "bob", "1");
  await settle();
  server.cut();
  await settle();
  expect(link.state.get()).toMatchObject({ status: "waiting", reason: { code: "lost" } });
  server.say(room, "bob", "2");
  await clock.advance(3_000);
  server.say(room, "bob", "3");
  await settle();
  expect(seqs()).toEqual([1, 2, 3, 4]);
  expect(statuses).toEqual(["connecting", "live", "waiting", "connecting", "live"]);
});

test.each(transports)("%s: a refusal is a ParleyError, a lost answer a LinkLostError", async (transport) => {
  const { server, link } = await rig({ transports: [transport] });
  await expect(link.call("message.list", { room: "r_0" })).rejects.toMatchObject({ name: "ParleyError", code: "not_found", field: "room" });
  const room = server.createRoom({ members: ["alice"] });
  server.loseReply("message.send");
  await expect(link.call("message.send", { room: room.id, client_id: "c1", text: "x" })).rejects.toBeInstanceOf(LinkLostError);
  expect(room.count).toBe(1);
});

test("calls wait for a session in their order, until they are aborted or the link ends", async () => {
  const { server, link } = await rig({ start: false, prepare: (server) => server.createRoom({ members: ["alice"] }) });
  const before = link.call("user.get", { users: ["alice"] });
  const release = server.hold();
  link.start();
  const abort = new AbortController();
  const first = link.call("message.send", { room: "r_1", client_id: "c1", text: "1" });
  const aborted = link.call("message.send", { room: "r_1", client_id: "c2", text: "2" }, { signal: abort.signal });
  const last = link.call("message.send", { room: "r_1", client_id: "c3", text: "3" });
  abort.abort(new Error("never mind"));
  await expect(aborted).rejects.toThrow("never mind");
  release();
  expect(await before).toEqual({ users: [{ id: "alice", name: "", avatar: "", data: null }] });
  expect([(await first).seq, (await last).seq]).toEqual([2, 3]);
  server.hold();
  const unanswered = link.call("user.get", { users: [] });
  link.stop();
  await expect(unanswered).rejects.toBeInstanceOf(LinkLostError);
  await expect(link.call("user.get", { users: [] })).rejects.toBeInstanceOf(LinkEndedError);
});

test("a frame that the server would not take is refused before it is sent", async () => {
  const { link, server } = await rig();
  await expect(link.call("user.search", { query: "x".repeat(70_000) })).rejects.toMatchObject({ code: "too_large" } satisfies Partial<ParleyError>);
  expect(server.calls).toEqual([]);
});

test("where WebSockets are blocked, events serve, then polls; WebSockets are tried again", async () => {
  const { link, clock, server } = await rig({ prepare: (server) => server.block("websocket", "events") });
  await clock.advance(20_000);
  expect(link.state.get()).toEqual({ status: "live", transport: "poll" });
  server.unblock("events");
  server.cut();
  await clock.advance(3_000);
  expect(link.state.get().transport).toBe("poll");
  server.unblock("websocket");
  await clock.advance(60_000);
  expect(link.state.get()).toEqual({ status: "live", transport: "websocket" });
  expect(server.sessions.size).toBe(1);
});

test("events that could not be told positions tell what they missed as resets", async () => {
  const { link, clock, server, frames } = await rig({ start: false });
  const room = server.createRoom({ members: ["alice", "bob"] });
  const quiet = server.createRoom({ members: ["alice", "bob"] });
  const live = server.createRoom({ kind: "live", by: "bob", members: ["bob"] });
  for (let i = 0; i < 5; i++) server.say(room, "bob", `${i}`);
  server.say(live, "bob", "x");
  link.resumeFrom(() => ({ epoch: "e1", rooms: { [room.id]: 3, [quiet.id]: 1, [live.id]: 1, r_gone: 7 } }));
  server.block("websocket");
  link.start();
  await clock.advance(20_000);
  expect(link.state.get().transport).toBe("events");
  server.say(room, "bob", "live");
  await settle();
  expect(frames.map((frame) => [frame.event, frame.room, "seq" in frame ? frame.seq : frame.data])).toEqual([
    ["reset", room.id, { head: 6 }],
    ["room.removed", "r_gone", { reason: "gone" }],
    ["message.created", live.id, 2],
    ["message.created", room.id, 7],
  ]);
});

test("a drained node is left without a break: the new session is live before the old one ends", async () => {
  const { link, clock, server, seqs, statuses } = await rig();
  const room = server.createRoom({ members: ["alice", "bob"] });
  await settle();
  const old = link.session.get();
  server.drain(3_000);
  await clock.advance(1_999);
  server.say(room, "bob", "before");
  expect(link.session.get()).toBe(old);
  await clock.advance(1);
  server.say(room, "bob", "after");
  await settle();
  expect(link.session.get()?.session).not.toBe(old?.session);
  expect(seqs()).toEqual([1, 2, 3]);
  expect(statuses).toEqual(["connecting", "live"]);
});

test("a drain whose turn comes before the new session waits for it", async () => {
  const { link, clock, server, statuses } = await rig();
  server.drain(100);
  const release = server.hold();
  await clock.advance(100);
  release();
  server.close(1012);
  await clock.advance(3_000);
  expect(link.state.get().status).toBe("live");
  expect(statuses.at(-1)).toBe("live");
});

/** A link whose server says what the test has it say, live on the first of the sockets. */
async function scripted(platform: Partial<Platform> = {}): Promise<Rig & { sockets: Scripted[]; greet: (socket: Scripted | undefined) => void }> {
  const sockets: Scripted[] = [];
  class Noted extends Scripted {
    constructor() {
      super();
      sockets.push(this);
    }
  }
  const greet = (socket: Scripted | undefined): void => {
    socket?.say({ id: 1, result: { session: `s${sockets.length}`, user: "alice", epoch: "e", heartbeat_ms: 25_000, limits: { frame_bytes: 0 } } });
  };
  const made = await rig({ platform: { ...platform, WebSocket: Noted } });
  greet(sockets[0]);
  return { ...made, sockets, greet };
}

const reconnect = { event: "reconnect", data: { delay_ms: 10 } };

test("4409 on a session that is being replaced by the link's own next one is no other window", async () => {
  const { link, clock, sockets, greet, statuses } = await scripted();
  sockets[0]?.say(reconnect);
  await clock.advance(10);
  sockets[0]?.onclose?.({ code: 4409, reason: "" });
  const call = link.call("user.get", { users: ["bob"] });
  await settle();
  greet(sockets[1]);
  expect(sockets[1]?.sent.map(({ method }) => method)).toEqual(["hello", "user.get"]);
  sockets[1]?.say({ id: 2, result: { users: [] } });
  expect(await call).toEqual({ users: [] });
  expect(statuses).toEqual(["connecting", "live"]);
  sockets[1]?.onclose?.({ code: 4409, reason: "" });
  expect(link.state.get()).toMatchObject({ status: "ended", reason: { code: 4409 } });
});

test("what both a session and its successor bring is told once", async () => {
  const { link, clock, sockets, greet, seqs } = await scripted();
  void link.call("user.get", { users: ["bob"] }).catch(() => {}); // so the first session stays for its answer
  const event = (seq: number) => ({ event: "message.created", room: "r", seq, at: "", user: "bob", data: { client_id: `c${seq}`, n: seq, text: "" } });
  sockets[0]?.say(event(1));
  sockets[0]?.say(reconnect);
  await clock.advance(10);
  greet(sockets[1]);
  sockets[0]?.say(event(2));
  sockets[1]?.say(event(2), event(3));
  expect(seqs()).toEqual([1, 2, 3]);
});

test("after 4409 a next session that never comes is waited for no longer than any", async () => {
  const { link, clock, sockets, greet } = await scripted();
  sockets[0]?.say(reconnect);
  await clock.advance(10);
  sockets[0]?.say({ event: "closing", data: { code: 4409, reason: "a newer session took its place" } });
  sockets[0]?.onclose?.({ code: 1006, reason: "" });
  sockets[1]?.onclose?.({ code: 1006, reason: "" });
  expect(link.state.get()).toMatchObject({ status: "waiting", reason: { code: "lost" } });
  await clock.advance(10_000);
  greet(sockets.at(-1));
  expect(link.state.get().status).toBe("live");
});

test("a session that was replaced still answers its calls, and nothing else of it is heard", async () => {
  const { link, frames, clock, sockets, greet } = await scripted();
  const answer = link.call("user.get", { users: [] });
  sockets[0]?.say(reconnect);
  await clock.advance(10);
  greet(sockets[1]);
  const typing = { event: "typing", room: "r", user: "bob", data: { active: true, expires_ms: 1 } };
  sockets[0]?.say(typing, { id: 2, result: { users: [] } });
  sockets[1]?.say(typing);
  expect(await answer).toEqual({ users: [] });
  expect(frames).toEqual([typing]);
  expect(sockets[0]?.closed).toBe(true);
  const lost = link.call("user.get", { users: [] });
  sockets[1]?.say(reconnect);
  await clock.advance(10);
  greet(sockets[2]);
  await clock.advance(5_000);
  await expect(lost).rejects.toBeInstanceOf(LinkLostError);
});

test("who observes the session may call on it at once, and stop the link", async () => {
  const { link, clock, sockets, greet } = await scripted();
  link.session.subscribe(() => void link.call("user.get", { users: ["a"] }).catch(() => {}));
  sockets[0]?.say(reconnect);
  await clock.advance(10);
  greet(sockets[1]);
  expect(sockets.map(({ sent }) => sent.map(({ method }) => method))).toEqual([["hello"], ["hello", "user.get"]]);
  link.state.subscribe(() => link.stop());
  sockets[1]?.onclose?.({ code: 1001, reason: "" });
  expect(link.state.get()).toEqual({ status: "idle" });
  await expect(link.call("user.get", { users: [] })).rejects.toBeInstanceOf(LinkEndedError);
  expect(clock.pending).toBe(0);
});

test("an event stream does not go on from where it was before a WebSocket served", async () => {
  const { link, clock, server, frames } = await rig({ prepare: (server) => server.block("websocket") });
  await clock.advance(20_000);
  expect(link.state.get().transport).toBe("events");
  server.unblock("websocket");
  await clock.advance(60_000);
  expect(link.state.get().transport).toBe("websocket");
  const room = server.createRoom({ members: ["alice", "bob"] });
  await settle();
  server.block("websocket");
  server.cut();
  server.say(room, "bob", "missed");
  await clock.advance(20_000);
  expect(link.state.get().transport).toBe("events");
  expect(frames.at(-1)).toEqual({ event: "reset", room: room.id, data: { head: 2 } });
});

test.each(transports)("%s: heartbeats keep a quiet session", async (transport) => {
  const { link, clock } = await rig({ transports: [transport] });
  const session = link.session.get();
  await clock.advance(500_000);
  expect(link.session.get()).toBe(session);
});

test.each([
  [4403, "ended"],
  [4409, "ended"],
  [4400, "ended"],
  [1012, "waiting"],
  [4408, "waiting"],
])("after %i the link is %s", async (code, status) => {
  const { link, server, clock } = await rig();
  server.close(code);
  await settle();
  expect(link.state.get()).toMatchObject({ status, reason: { code } });
  await clock.advance(60_000);
  expect(link.state.get().status).toBe(status === "ended" ? "ended" : "live");
  link.stop();
});

test("an overloaded server is left alone for as long as it says", async () => {
  const { link, server, clock } = await rig();
  server.close(1013, { retryAfterMs: 10_000 });
  await clock.advance(9_999);
  expect(link.state.get().status).toBe("waiting");
  await clock.advance(3_001);
  expect(link.state.get().status).toBe("live");
});

test("an expired token is replaced at once, and once only", async () => {
  const token = vi.fn(() => "alice");
  const { link, server, clock } = await rig({ token });
  server.close(4401);
  await settle();
  expect(link.state.get().status).toBe("live");
  expect(token).toHaveBeenCalledTimes(2);
  server.userOf = () => undefined;
  server.close(4401);
  await settle();
  expect(token).toHaveBeenCalledTimes(3);
  expect(link.state.get()).toMatchObject({ status: "waiting", reason: { code: "unauthenticated" } });
  server.userOf = (token) => token;
  await clock.advance(5_000);
  expect(link.state.get().status).toBe("live");
});

test("a token that is about to end is refreshed on the open session", async () => {
  const tokens = ["alice", "alice"];
  const { link, server } = await rig({ token: () => tokens.shift() ?? "" });
  server.tell("alice", { event: "token.expiring", data: { expires_at: "" } });
  await settle();
  expect(server.calls.map(({ method }) => method)).toEqual(["session.refresh"]);
  expect(link.state.get().status).toBe("live");
});

test("a token provider that fails is asked again after a pause", async () => {
  let fails = true;
  const { link, clock } = await rig({ token: () => (fails ? Promise.reject(new Error("signed out")) : "alice") });
  expect(link.state.get()).toMatchObject({ status: "waiting", reason: { code: "token", message: "No token could be had: signed out" } });
  fails = false;
  await clock.advance(30_000);
  expect(link.state.get().status).toBe("live");
});

test("a server that is silent for two heartbeats is given up", async () => {
  const { link, server, clock } = await rig();
  server.hold();
  await clock.advance(49_999);
  expect(link.state.get().status).toBe("live");
  await clock.advance(1);
  expect(link.state.get()).toMatchObject({ status: "waiting", reason: { code: "silent" } });
});

test("another epoch resets the rooms", async () => {
  const { server, frames, clock } = await rig();
  const room = server.createRoom({ members: ["alice"] });
  await settle();
  server.epoch = "e2";
  server.cut();
  await clock.advance(3_000);
  expect(frames.at(-1)).toEqual({ event: "reset", room: room.id, data: { head: 1 } });
});

test("a room that was subscribed to is resumed although nothing came from it", async () => {
  const { server, link, seqs, clock } = await rig();
  const room = server.createRoom({ kind: "live", by: "bob" });
  await link.call("room.subscribe", { room: room.id });
  server.cut();
  await settle();
  server.say(room, "bob", "missed");
  await clock.advance(3_000);
  expect(seqs()).toEqual([2]);
});

/** A machine whose network comes and goes as the test says. */
function network(): { awareness: Awareness; listeners: Set<() => void>; turn(to: boolean): void } {
  let online = true;
  const listeners = new Set<() => void>();
  const awareness = {
    online: () => online,
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const turn = (to: boolean): void => {
    online = to;
    for (const listener of listeners) listener();
  };
  return { awareness, listeners, turn };
}

test("no attempt is made while the machine is offline; being online again makes one", async () => {
  const { awareness, listeners, turn } = network();
  const { link, server, clock } = await rig({ platform: { awareness } });
  turn(false);
  server.cut();
  await clock.advance(100_000);
  expect(link.state.get()).toEqual({ status: "waiting", reason: { code: "lost", message: "The connection was lost." } });
  turn(true);
  await settle();
  expect(link.state.get().status).toBe("live");
  link.stop();
  expect(listeners.size).toBe(0);
});

test("a session over a network that is gone is replaced once the machine is online again, and its calls with it", async () => {
  const { awareness, turn } = network();
  const { link, sockets, greet, statuses } = await scripted({ awareness });
  turn(false);
  const call = link.call("user.get", { users: ["bob"] });
  await settle();
  expect(sockets).toHaveLength(1);
  turn(true);
  await settle();
  expect(link.session.get()?.session).toBe("s1");
  greet(sockets[1]);
  await expect(call).rejects.toBeInstanceOf(LinkLostError);
  expect(link.session.get()?.session).toBe("s2");
  expect(sockets[0]?.closed).toBe(true);
  expect(statuses).toEqual(["connecting", "live"]);
});

test("options that can never work are refused", async () => {
  await expect(rig({ url: "ftp://x" })).rejects.toBeInstanceOf(TypeError);
  await expect(rig({ device: "é" })).rejects.toBeInstanceOf(TypeError);
  await expect(rig({ transports: ["websocket"], platform: { WebSocket: undefined } })).rejects.toBeInstanceOf(TypeError);
});
