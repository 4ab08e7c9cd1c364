import fc from "fast-check";
import { expect, test } from "vitest";
import { pause, pauses } from "../src/backoff.js";
import { judge, type Ending } from "../src/ending.js";
import { initial, step, type Context, type Effect, type Event, type Slot, type State, type Timer } from "../src/machine.js";
import { closes } from "../src/protocol.js";

const codes: Ending["code"][] = [
  ...Object.keys(closes).map(Number), 4999, "token", "unreachable", "lost", "silent", "unauthenticated", "unavailable", "rate_limited", "internal",
  "bad_request", "forbidden", "not_found", "conflict", "too_large",
];

test("every close code is followed by what the protocol's table says", () => {
  const stop = [1002, 1003, 1007, 1009, 4400, 4403, 4409];
  for (const code of Object.keys(closes).map(Number)) {
    expect([code, judge({ code, message: "" })]).toEqual([code, code === 4401 ? "token" : stop.includes(code) ? "stop" : "again"]);
  }
  expect(judge({ code: 4999, message: "" })).toBe("again");
});

test("pauses are jittered in full, doubled and bounded", () => {
  const most = (attempt: number): number => pause(attempt, () => 0.999999);
  expect([0, 1, 2, 3, 7, 8, 1_000].map(most)).toEqual([2999, 499, 999, 1999, 29_999, 29_999, 29_999]);
  expect(pause(5, () => 0)).toBe(0);
});

const ending = fc.record({ code: fc.constantFrom(...codes), message: fc.constant("why"), retryAfterMs: fc.constantFrom(0, 5_000) });
const slot = fc.constantFrom<Slot>("current", "next");
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ type: fc.constantFrom("start", "stop", "online", "offline", "shown") }),
  fc.record({ type: fc.constant("opened"), slot }),
  fc.record({ type: fc.constant("ended"), slot, ending }),
  fc.record({ type: fc.constant("timer"), timer: fc.constantFrom<Timer>("retry", "move") }),
  fc.record({ type: fc.constant("drain"), delayMs: fc.constantFrom(0, 1_000) }),
) as fc.Arbitrary<Event>;

/** The world around the machine: what is open and what is set, as its effects make it. It allows only events that can happen. */
class World {
  state: State = initial;
  now = 0;
  readonly open = new Map<Slot, "opening" | "live">();
  readonly timers = new Set<Timer>();

  possible(event: Event): boolean {
    switch (event.type) {
      case "opened": return this.open.get(event.slot) === "opening";
      case "ended": return this.open.has(event.slot);
      case "timer": return this.timers.has(event.timer);
      case "drain": return this.open.get("current") === "live";
      default: return true;
    }
  }

  happen(event: Event, context: Partial<Context> = {}): Effect[] {
    if (event.type === "timer") this.timers.delete(event.timer);
    if (event.type === "opened") this.open.set(event.slot, "live");
    if (event.type === "ended") this.open.delete(event.slot);
    const [state, effects] = step(this.state, event, { now: this.now, random: () => 0.5, transports: 3, ...context });
    this.state = state;
    for (const effect of effects) this.carryOut(effect);
    return effects;
  }

  carryOut(effect: Effect): void {
    switch (effect.do) {
      case "open":
        expect(this.open.has(effect.slot)).toBe(false);
        this.open.set(effect.slot, "opening");
        break;
      case "close":
        this.open.delete(effect.slot);
        break;
      case "promote": {
        const next = this.open.get("next");
        expect(next).toBeDefined();
        this.open.set("current", next as "live");
        this.open.delete("next");
        break;
      }
      case "set":
        expect(effect.ms).toBeGreaterThanOrEqual(0);
        expect(this.timers.has(effect.timer)).toBe(false);
        this.timers.add(effect.timer);
        break;
      case "clear":
        this.timers.delete(effect.timer);
    }
  }

  /** What is open and set is what the state says, and something always leads on. */
  check(): void {
    const { phase, moving, transport, retryAt } = this.state;
    const expected = {
      idle: undefined, ended: undefined, waiting: undefined, connecting: "opening", live: "live",
    }[phase];
    expect(this.open.get("current")).toBe(expected);
    expect(this.open.get("next")).toBe(moving === undefined ? undefined : "opening");
    expect(this.timers.has("retry")).toBe(phase === "waiting" && retryAt !== undefined);
    if (phase === "waiting" && retryAt === undefined) expect(this.state.online).toBe(false);
    if (phase !== "live") expect(this.timers.has("move")).toBe(false);
    expect(transport).toBeLessThan(3);
  }
}

test("whatever happens, sessions and timers are those of the state, and the machine never stalls", () => {
  fc.assert(fc.property(fc.array(fc.tuple(event, fc.integer({ min: 0, max: 90_000 })), { maxLength: 60 }), (script) => {
    const world = new World();
    world.happen({ type: "start" });
    for (const [event, ms] of script) {
      world.now += ms;
      if (world.possible(event)) world.happen(event);
      world.check();
    }
  }), { numRuns: 2_000 });
});

test("an event that cannot be is ignored in every state", () => {
  for (const phase of ["idle", "ended", "waiting"] as const) {
    const state: State = { ...initial, phase };
    const context: Context = { now: 0, random: () => 0, transports: 3 };
    for (const event of [
      { type: "opened", slot: "current" }, { type: "opened", slot: "next" }, { type: "timer", timer: "move" }, { type: "drain", delayMs: 1 },
      { type: "ended", slot: "current", ending: { code: "lost", message: "" } }, { type: "ended", slot: "next", ending: { code: "lost", message: "" } },
    ] as Event[]) {
      expect(step(state, event, context)).toEqual([state, []]);
    }
  }
});

function live(): World {
  const world = new World();
  world.happen({ type: "start" });
  world.happen({ type: "opened", slot: "current" });
  return world;
}

const lost: Event = { type: "ended", slot: "current", ending: { code: "lost", message: "" } };

test("a session that was stable is followed by a first pause, others by growing ones", () => {
  const world = live();
  const pausesOf = (): number[] => [lost, lost, lost].map((event) => {
    const set = world.happen(event).find((effect) => effect.do === "set");
    world.happen({ type: "timer", timer: "retry" });
    world.happen({ type: "opened", slot: "current" });
    return set?.do === "set" ? set.ms : -1;
  });
  expect(pausesOf()).toEqual([1_500, 250, 500]);
  world.now += pauses.stable;
  expect(pausesOf()).toEqual([1_500, 250, 500]);
});

test("a transport that misses twice makes way for the next; a server's refusal does not", () => {
  const world = new World();
  world.happen({ type: "start" });
  const transports: number[] = [];
  for (const code of ["unreachable", "unavailable", "silent", "unreachable", "unreachable", "unreachable", "unreachable"] as const) {
    world.happen({ type: "ended", slot: "current", ending: { code, message: "" } });
    world.happen({ type: "timer", timer: "retry" });
    transports.push(world.state.transport);
  }
  expect(transports).toEqual([0, 0, 1, 1, 2, 2, 0]);
});

test("from a lesser transport the best is tried again, ever more rarely", () => {
  const world = live();
  world.state = { ...world.state, transport: 2 };
  world.happen(lost);
  world.happen({ type: "timer", timer: "retry" });
  const waits: number[] = [];
  let effects = world.happen({ type: "opened", slot: "current" });
  for (let i = 0; i < 6; i++) {
    for (const effect of effects) if (effect.do === "set") waits.push(effect.ms);
    expect(world.happen({ type: "timer", timer: "move" })).toEqual([{ do: "open", slot: "next", transport: 0 }]);
    effects = world.happen({ type: "ended", slot: "next", ending: { code: "unreachable", message: "" } });
    world.check();
  }
  expect(waits).toEqual([60_000, 120_000, 240_000, 480_000, 600_000, 600_000]);
});

test("a drain and the way back to the best transport are one move", () => {
  const world = live();
  world.state = { ...world.state, transport: 2 };
  world.happen(lost);
  world.happen({ type: "timer", timer: "retry" });
  world.happen({ type: "opened", slot: "current" });
  world.happen({ type: "drain", delayMs: 1_000 });
  expect(world.happen({ type: "timer", timer: "move" })).toEqual([{ do: "open", slot: "next", transport: 2 }]);
});

test("a session that may be of another network is replaced over the same transport, with as many attempts as it takes", () => {
  const world = live();
  world.happen({ type: "offline" });
  expect(world.happen({ type: "online" })).toContainEqual({ do: "open", slot: "next", transport: 0 });
  world.happen({ type: "ended", slot: "next", ending: { code: "unreachable", message: "" } });
  expect(world.happen({ type: "timer", timer: "move" })).toEqual([{ do: "open", slot: "next", transport: 0 }]);
  expect(world.happen({ type: "opened", slot: "next" })).toEqual([{ do: "close", slot: "current" }, { do: "promote" }]);
  expect(world.happen({ type: "online" })).toEqual([{ do: "probe" }]);
});
