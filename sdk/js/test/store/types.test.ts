import { expectTypeOf, test } from "vitest";
import type { Content, InboxState, Item, Observable, Parley, RoomObject, TimelineState } from "../../src/index.js";

interface Poll {
  options: string[];
}

test("the application's own type of data goes in and comes out", () => {
  expectTypeOf<Parameters<ReturnType<Parley<Poll>["room"]>["send"]>[0]>().toEqualTypeOf<Content<Poll>>();
  expectTypeOf<Content<Poll>["data"]>().toEqualTypeOf<Poll | undefined>();
  expectTypeOf<ReturnType<ReturnType<Parley<Poll>["room"]>["timeline"]["get"]>>().toEqualTypeOf<TimelineState<Poll>>();
  expectTypeOf<Extract<Item<Poll>, { type: "message" }>["message"]["data"]>().toEqualTypeOf<Poll | null>();
  expectTypeOf<Parley<Poll>>().toExtend<Parley>();
});

test("what changes is observable, and a room object is not a room", () => {
  expectTypeOf<Parley["inbox"]>().toExtend<Observable<InboxState>>();
  expectTypeOf<ReturnType<Parley["room"]>>().not.toExtend<RoomObject>();
});
