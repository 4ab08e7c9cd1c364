/**
 * The life of a link as a pure state machine: a state and an event make the next state and the effects to carry out. It knows two sessions: the
 * `current` one, and a `next` that is opened while the current one goes on, to move to another node or to a better transport.
 */
import { pause, pauses } from "./backoff.js";
import { isMiss, judge, type Ending } from "./ending.js";

/** Which of the two sessions. */
export type Slot = "current" | "next";

/** The timers: the next attempt, and the next move. */
export type Timer = "retry" | "move";

/** What happens to a link. */
export type Event =
  | { type: "start" | "stop" | "online" | "offline" | "shown" }
  | { type: "opened"; slot: Slot }
  | { type: "ended"; slot: Slot; ending: Ending }
  | { type: "timer"; timer: Timer }
  | { type: "drain"; delayMs: number };

/** What is to be done, in order. */
export type Effect =
  | { do: "open"; slot: Slot; transport: number }
  | { do: "close"; slot: Slot }
  /** the next session takes the place of the current one, which hears no more and ends soon */
  | { do: "promote" }
  /** look whether the current session was silent for too long, now */
  | { do: "probe" }
  | { do: "set"; timer: Timer; ms: number }
  | { do: "clear"; timer: Timer };

/** Where a link stands. */
export interface State {
  readonly phase: "idle" | "connecting" | "live" | "waiting" | "ended";
  /** the transport of the current session: 0 is the best */
  readonly transport: number;
  /** attempts of this transport in a row that opened no session */
  readonly misses: number;
  /** attempts since the last stable session */
  readonly attempt: number;
  /** a refused token has been replaced once since the last session */
  readonly renewed: boolean;
  readonly online: boolean;
  /** since when the current session is live */
  readonly since: number;
  /** when the next attempt comes, if one is set */
  readonly retryAt: number | undefined;
  /** the transport of the next session while it is being opened */
  readonly moving: number | undefined;
  /** the server has asked to leave, and to come back after so many milliseconds */
  readonly drainMs: number | undefined;
  /** the machine was offline and is online again, perhaps over another network: the current session may be dead, and is to be replaced */
  readonly stale: boolean;
  /** attempts of this move */
  readonly moves: number;
  readonly ending: Ending | undefined;
}

/** What a step may ask. */
export interface Context {
  now: number;
  random: () => number;
  /** how many transports there are */
  transports: number;
}

/** After so many misses in a row the next transport is tried. */
const missesToFall = 2;
/** While a lesser transport serves, the best is tried again after so long; doubled with every try that fails, up to the second. */
const upgrade = { first: 60_000, cap: 600_000 } as const;

/** How long before its turn a session on a node that drains is replaced, in milliseconds; of a short time, half. */
const ahead = 1_000;

/** Where every link begins. */
export const initial: State = {
  phase: "idle", transport: 0, misses: 0, attempt: 0, renewed: false, online: true, since: 0,
  retryAt: undefined, moving: undefined, drainMs: undefined, stale: false, moves: 0, ending: undefined,
};

type Step = [State, Effect[]];

/** Makes the next state. An event that does not fit the state, such as the end of a session that is not there, changes nothing. */
export function step(s: State, event: Event, c: Context): Step {
  switch (event.type) {
    case "start":
      return s.phase === "idle" || s.phase === "ended" ? connect({ ...initial, transport: s.transport, online: s.online }) : [s, []];
    case "stop":
      return [{ ...initial, transport: s.transport, online: s.online }, [...quiet(s), ...(s.phase === "connecting" || s.phase === "live" ? [close("current")] : [])]];
    case "opened":
      return event.slot === "current" ? opened(s, c) : moved(s, c);
    case "ended":
      return event.slot === "current" ? ended(s, event.ending, c) : notMoved(s, event.ending, c);
    case "timer":
      if (event.timer === "retry") return s.phase === "waiting" ? connect(s) : [s, []];
      return s.phase === "live" && s.moving === undefined ? move(s) : [s, []];
    case "drain":
      return drained(s, event.delayMs);
    default:
      return surroundings(s, event.type);
  }
}

const close = (slot: Slot): Effect => ({ do: "close", slot });
const unset: Effect = { do: "clear", timer: "move" };

/** The effects that end what goes on beside the current session. */
function quiet(s: State): Effect[] {
  const effects: Effect[] = [];
  if (s.phase === "waiting") effects.push({ do: "clear", timer: "retry" });
  if (s.phase === "live") effects.push(s.moving === undefined ? unset : close("next"));
  return effects;
}

function connect(s: State): Step {
  return [{ ...s, phase: "connecting", retryAt: undefined }, [{ do: "open", slot: "current", transport: s.transport }]];
}

function opened(s: State, c: Context): Step {
  if (s.phase !== "connecting") return [s, []];
  return live(s, s.transport, [], c);
}

function live(s: State, transport: number, effects: Effect[], c: Context): Step {
  const next: State = {
    ...s, phase: "live", transport, since: c.now, misses: 0, renewed: false, moving: undefined, drainMs: undefined, stale: false, moves: 0,
    ending: undefined,
  };
  return [next, transport === 0 ? effects : [...effects, { do: "set", timer: "move", ms: upgrade.first }]];
}

function move(s: State): Step {
  const to = mustMove(s) ? s.transport : 0;
  return [{ ...s, moving: to }, [{ do: "open", slot: "next", transport: to }]];
}

function moved(s: State, c: Context): Step {
  if (s.phase !== "live" || s.moving === undefined) return [s, []];
  // What was called on a dead session is called again the sooner.
  return live(s, s.moving, s.stale ? [close("current"), { do: "promote" }] : [{ do: "promote" }], c);
}

/** Opens another session shortly before the server ends this one, so that nothing comes to a halt. */
function drained(s: State, delayMs: number): Step {
  if (s.phase !== "live" || s.drainMs !== undefined) return [s, []];
  const next = { ...s, drainMs: delayMs, moves: 0 };
  return [next, s.moving === undefined ? [unset, { do: "set", timer: "move", ms: delayMs - Math.min(ahead, delayMs / 2) }] : []];
}

/** Whether the current session is to be left, rather than its transport. */
function mustMove(s: State): boolean {
  return s.drainMs !== undefined || s.stale;
}

function notMoved(s: State, ending: Ending, c: Context): Step {
  if (s.phase !== "live" || s.moving === undefined) return [s, []];
  const ms = mustMove(s)
    ? (ending.retryAfterMs ?? 0) + pause(s.moves + 1, c.random)
    : Math.min(upgrade.cap, upgrade.first * 2 ** Math.min(s.moves + 1, 16));
  return [{ ...s, moving: undefined, moves: s.moves + 1 }, [{ do: "set", timer: "move", ms }]];
}

function ended(s: State, ending: Ending, c: Context): Step {
  if (s.phase !== "connecting" && s.phase !== "live") return [s, []];
  const verdict = judge(ending);
  if (verdict === "stop") return [{ ...s, phase: "ended", moving: undefined, ending }, quiet(s)];
  if (s.moving !== undefined) {
    // The session that was to replace it is on its way already.
    return [{ ...s, phase: "connecting", transport: s.moving, moving: undefined, attempt: lasted(s, c), ending }, [{ do: "promote" }]];
  }
  const effects = quiet(s);
  const next: State = { ...s, ...fall(s, ending, c), moving: undefined, ending, attempt: lasted(s, c) };
  if (verdict === "token" && !s.renewed) {
    const [state, open] = connect({ ...next, renewed: true });
    return [state, [...effects, ...open]];
  }
  const first = { ...next, phase: "waiting", retryAt: undefined } as const;
  if (!s.online) return [first, effects];
  const told = ending.retryAfterMs ?? (s.moves === 0 ? s.drainMs : undefined) ?? 0;
  const ms = told + pause(s.phase === "live" ? next.attempt : next.attempt + 1, c.random);
  return [{ ...first, attempt: next.attempt + 1, retryAt: c.now + ms }, [...effects, { do: "set", timer: "retry", ms }]];
}

/** The attempts that count: a session that lasted long enough forgives those before it. */
function lasted(s: State, c: Context): number {
  return s.phase === "live" && c.now - s.since >= pauses.stable ? 0 : s.attempt;
}

/** The transport to try next: the one after a transport that missed too often, the best again after the last. */
function fall(s: State, ending: Ending, c: Context): Pick<State, "transport" | "misses"> {
  if (s.phase !== "connecting" || !isMiss(ending)) return { transport: s.transport, misses: s.misses };
  const misses = s.misses + 1;
  return misses < missesToFall ? { transport: s.transport, misses } : { transport: (s.transport + 1) % c.transports, misses: 0 };
}

function surroundings(s: State, what: "online" | "offline" | "shown"): Step {
  if (what === "offline") {
    const next = { ...s, online: false };
    return s.phase === "waiting" ? [{ ...next, retryAt: undefined }, [{ do: "clear", timer: "retry" }]] : [next, []];
  }
  const next = what === "online" ? { ...s, online: true } : s;
  if (s.phase === "live") {
    if (what === "shown" || s.online || s.moving !== undefined) return [next, [{ do: "probe" }]];
    const [state, open] = move({ ...next, stale: true, moves: 0 });
    return [state, [unset, ...open]];
  }
  if (s.phase !== "waiting" || !next.online || overloaded(s)) return [next, []];
  const [state, open] = connect(next);
  return [state, [{ do: "clear", timer: "retry" }, ...open]];
}

/** Whether the server has asked for a pause, which nobody may cut short. */
function overloaded(s: State): boolean {
  return s.retryAt !== undefined && (s.ending?.retryAfterMs ?? 0) > 0;
}
