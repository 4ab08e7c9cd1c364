import { readFileSync } from "node:fs";
import { expect, expectTypeOf, test } from "vitest";
import type { Callable, Frame, Link, ParamsOf, ResultOf } from "../src/link.js";
import { openLink } from "../src/connection.js";
import { ParleyError } from "../src/errors.js";
import type { EventFrame, HelloResult, MessageCreatedData, Method, Methods, Push, RoomEvent, Signal } from "../src/protocol.js";
import { settle, TestClock } from "../src/testing/index.js";
import { Scripted } from "./harness.js";

/** The frames that the Go types of the protocol are tested with, too. */
function golden<T>(file: string): T[] {
  const text = readFileSync(new URL(`../../../protocol/testdata/${file}.jsonl`, import.meta.url), "utf8");
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as T);
}

/** Every name of the unions, so that the compiler tells when one is missing here and the test when none is golden. */
const events: Record<RoomEvent["event"], true> = {
  "room.created": true, "room.updated": true, "room.deleted": true, "member.joined": true, "member.left": true, "member.updated": true,
  "member.unbanned": true, "message.created": true, "message.edited": true, "message.deleted": true, "reaction.added": true, "reaction.removed": true,
};
const signals: Record<Signal["event"], true> = {
  receipt: true, typing: true, presence: true, "room.added": true, "room.removed": true, reset: true, skipped: true, "token.expiring": true, reconnect: true,
  closing: true, audience: true, hello: true,
};

interface Case {
  method: Method;
  params: object;
  result: object;
}

async function scripted(): Promise<Link> {
  const link = openLink({ url: "http://fake", device: "d", token: () => "alice", platform: { WebSocket: Scripted, ...new TestClock() } });
  link.start();
  await settle();
  const hello = golden<Case>("methods").find(({ method }) => method === "hello");
  Scripted.last.say({ id: Scripted.last.sent[0]?.id, result: hello?.result });
  await settle();
  return link;
}

test("every golden push reaches a listener as one of the unions, or is the link's own", async () => {
  const pushes = golden<Push>("pushes");
  expect(new Set(pushes.map(({ event }) => event))).toEqual(new Set([...Object.keys(events), ...Object.keys(signals)]));
  const own = ["hello", "closing", "reconnect", "token.expiring"];
  for (const push of pushes) {
    const link = await scripted();
    const heard: Frame[] = [];
    link.onFrame((frame) => heard.push(frame));
    Scripted.last.say({}, push, {});
    expect(heard).toEqual(own.includes(push.event) ? [] : [push]);
    expect("seq" in push).toBe(push.event in events);
    expect(Scripted.last.sent.filter((frame) => Object.keys(frame).length === 0).length).toBe(2); // heartbeats are answered
    link.stop();
  }
});

test("every golden call goes out as it stands, and its result and every error come back", async () => {
  const link = await scripted();
  for (const { method, params, result } of golden<Case>("methods")) {
    if (method === "hello") continue;
    const answer = link.call(method as Callable, params as never);
    const sent = Scripted.last.sent.at(-1);
    expect(sent).toMatchObject({ method, params });
    Scripted.last.say({ id: sent?.id, result });
    expect(await answer).toEqual(result);
  }
  for (const { error } of golden<{ error: { code: string; field?: string; retry_after_ms?: number; scope?: string; message: string } }>("errors")) {
    const answer = link.call("user.get", { users: [] });
    Scripted.last.say({ id: Scripted.last.sent.at(-1)?.id, error });
    const refused = await answer.catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ParleyError);
    expect(refused).toMatchObject({ code: error.code, message: error.message, field: error.field, retryAfterMs: error.retry_after_ms, scope: error.scope });
  }
});

test("what the server says beyond this version is ignored", async () => {
  const link = await scripted();
  Scripted.last.say({ event: "thing.new", data: { a: 1 } }, { id: 999, result: {} }, { event: "typing", room: "r", user: "bob", data: { active: true, expires_ms: 1, more: 1 } });
  expect(link.state.get().status).toBe("live");
});

test("the types at the boundary say what the protocol says", () => {
  expectTypeOf<ParamsOf<"message.send">["text"]>().toEqualTypeOf<string | undefined>();
  expectTypeOf<ResultOf<"message.send">["seq"]>().toEqualTypeOf<number>();
  expectTypeOf<Callable>().not.toExtend<"hello">();
  expectTypeOf<Methods["hello"]["result"]>().toEqualTypeOf<HelloResult>();
  expectTypeOf<Link["call"]>().returns.toExtend<Promise<unknown>>();
  expectTypeOf<Extract<Frame, { event: "message.created" }>>().toEqualTypeOf<EventFrame<"message.created">>();
  expectTypeOf<Extract<Frame, { event: "message.created" }>["data"]>().toEqualTypeOf<MessageCreatedData>();
  expectTypeOf<Extract<Frame, { event: "closing" }>>().toBeNever();
  const narrow = (frame: Frame): number => (frame.event === "message.created" ? frame.data.n : frame.event === "reset" ? frame.data.head : 0);
  expectTypeOf(narrow).returns.toBeNumber();
  const wrong = (link: Link): void => {
    // @ts-expect-error client_id is required
    void link.call("message.send", { room: "r", text: "x" });
    // @ts-expect-error hello is the link's own
    void link.call("hello", { token: "", device: "" });
  };
  expectTypeOf(wrong).toBeFunction();
});
