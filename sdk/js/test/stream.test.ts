import fc from "fast-check";
import { expect, test } from "vitest";
import { eventParser } from "../src/events.js";
import type { Frame } from "../src/link.js";
import { Stream } from "../src/stream.js";

const event = (seq: number, room = "r"): Frame => ({ event: "message.created", room, seq, at: "", user: "bob", data: { n: seq, text: `${seq}` } });
const seqs = (frames: Frame[]): unknown[] => frames.map((frame) => ("seq" in frame ? frame.seq : [frame.event, frame.data]));

test("what comes next passes, what came before is dropped, a hole is told as a reset", () => {
  const stream = new Stream();
  expect(seqs([5, 6, 6, 4, 7, 10, 11].flatMap((seq) => stream.accept(event(seq))))).toEqual([5, 6, 7, ["reset", { head: 9 }], 10, 11]);
});

test("resets, skips and removals move a stream", () => {
  const stream = new Stream();
  stream.adopt({ epoch: "e", rooms: { r: 10, s: 3 } });
  const told = [
    event(11),
    { event: "skipped", room: "r", data: { from: 12, to: 20 } },
    event(21),
    { event: "reset", room: "r", data: { head: 15 } },
    event(16),
    { event: "room.removed", room: "r", data: { reason: "left" } },
    event(40),
  ] satisfies Frame[];
  expect(told.flatMap((frame) => stream.accept(frame))).toEqual(told);
  expect(stream.resume()).toEqual({ epoch: "e", rooms: { s: 3, r: 40 } });
});

test("0 is the beginning of what one may see, wherever that is", () => {
  const stream = new Stream();
  stream.adopt({ epoch: "e", rooms: { r: 0 } });
  expect(seqs(stream.accept(event(7)))).toEqual([7]);
});

test("another epoch voids what was seen", () => {
  const stream = new Stream();
  stream.adopt({ epoch: "e1", rooms: { r: 10 } });
  stream.enter("e2");
  expect(stream.resume()).toBeUndefined();
  expect(seqs(stream.accept(event(2)))).toEqual([2]);
});

test("a resume names the thousand rooms that moved last", () => {
  const stream = new Stream();
  stream.enter("e");
  for (let i = 0; i < 1_200; i++) stream.accept(event(1, `r${i}`));
  stream.accept(event(2, "r0"));
  const rooms = Object.keys(stream.resume()?.rooms ?? {});
  expect(rooms.length).toBe(1_000);
  expect(rooms).toContain("r0");
  expect(rooms).not.toContain("r1");
});

test("of sessions that overlap in any way, every event passes once and in order", () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 10 }), (overlaps) => {
    const stream = new Stream();
    stream.adopt({ epoch: "e", rooms: { r: 5 } });
    let head = 5;
    const passed: unknown[] = [];
    for (const [back, on] of overlaps) {
      for (let seq = Math.max(1, head - back); seq <= head + on; seq++) passed.push(...seqs(stream.accept(event(seq))));
      head += on;
    }
    expect(passed).toEqual(Array.from({ length: head - 5 }, (_, i) => i + 6));
  }));
});

test("an event stream is read the same in whatever pieces it comes", () => {
  const text = ': hi\r\n\r\nid: a\r\ndata: {"a":"é"}\r\n\r\ndata:1\ndata: 2\n\n:\n\nid: x\nevent: y\n\ndata: last\nid: b\n\nretry: 3\ndata: cut';
  fc.assert(fc.property(fc.array(fc.nat(text.length)), (cuts) => {
    const told: unknown[] = [];
    const parse = eventParser((data, id) => told.push([data, id]));
    const marks = [0, ...cuts.sort((a, b) => a - b), text.length];
    marks.forEach((mark, i) => parse(text.slice(mark, marks[i + 1])));
    expect(told).toEqual([['{"a":"é"}', "a"], ["1\n2", undefined], ["last", "b"]]);
  }));
});
