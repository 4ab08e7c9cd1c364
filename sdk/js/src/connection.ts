import { judge, type Ending } from "./ending.js";
import { LinkEndedError, LinkLostError } from "./errors.js";
import { openEvents } from "./events.js";
import type { Callable, Frame, Link, LinkOptions, LinkState, ParamsOf, Platform, ResultOf, TransportName } from "./link.js";
import { initial, step, type Effect, type Event, type Slot, type State, type Timer } from "./machine.js";
import { missed, type CallOn } from "./missed.js";
import { Value } from "./observable.js";
import { platformOf } from "./platform.js";
import { openPoll } from "./poll.js";
import { bounds, type ClosingData, type HelloParams, type HelloResult, type Push, type Resume } from "./protocol.js";
import type { OpenSession, Session, Setting, Trail } from "./session.js";
import { openSocket } from "./socket.js";
import { Stream } from "./stream.js";

/** How long a session that was replaced may still answer calls, in milliseconds. The server ends it soon by itself. */
const retireTime = 5_000;

/**
 * Makes a link, which does nothing before start. Throws a TypeError for options that can never work.
 * Each link is a connection of its own; shareLink makes one that the tabs of a browser share.
 */
export function openLink(options: LinkOptions): Link {
  return new Connection(options);
}

/** One session and what goes on around it. */
interface Line {
  transport: TransportName;
  session?: Session;
  hello?: HelloResult;
  closing?: ClosingData;
  /** frames that wait for what came before them to be found out */
  held?: Frame[];
  /** calls that are not answered yet */
  calls: number;
  /** ended by its own successor, whose hello the server has taken: nobody is told while that is on its way */
  succeeded?: Ending;
  /** once another line has its place: stops the timer that ends it */
  retired?: () => void;
}

interface Waiter {
  go(session: Line): void;
  reject(error: Error): void;
}

class Connection implements Link {
  readonly state = new Value<LinkState>({ status: "idle" });
  readonly session = new Value<HelloResult | undefined>(undefined);

  readonly #options: LinkOptions;
  readonly #platform: Platform;
  readonly #transports: readonly TransportName[];
  readonly #base: URL;
  readonly #stream = new Stream();
  readonly #trail: Trail = {};
  readonly #listeners = new Set<{ call: (frame: Frame) => void }>();
  readonly #waiters = new Set<Waiter>();
  readonly #timers = new Map<Timer, () => void>();
  #machine: State = initial;
  #over = false; // stopped, or ended by the server: calls do not wait
  #lines: { [S in Slot]?: Line } = {};
  readonly #retired = new Set<Line>();
  #positions: () => Resume | undefined = () => undefined;
  #unaware: () => void = () => {};

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#platform = platformOf(options.platform);
    this.#base = baseOf(options.url);
    if (!/^[ -~]+$/.test(options.device) || options.device.length > bounds.maxDeviceBytes) {
      throw new TypeError(`device must be 1–${bounds.maxDeviceBytes} printable ASCII characters`);
    }
    const wanted = options.transports ?? ["websocket", "events", "poll"];
    this.#transports = wanted.filter((name) => name !== "websocket" || this.#platform.WebSocket !== undefined);
    if (this.#transports.length === 0) throw new TypeError("there is no WebSocket here: give platform.WebSocket, or allow another transport");
  }

  call<M extends Callable>(method: M, params: ParamsOf<M>, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<ResultOf<M>> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw signal.reason;
      if (this.#over) throw new LinkEndedError(this.#machine.ending?.message);
      const settled = (): void => signal?.removeEventListener("abort", aborted);
      const waiter: Waiter = {
        go: (line) => this.#send(line, method, params).then(resolve, reject).finally(settled),
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const aborted = (): void => {
        this.#waiters.delete(waiter);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", aborted, { once: true });
      const line = this.#lines.current;
      if (line?.hello && !line.succeeded) waiter.go(line);
      else this.#waiters.add(waiter);
    });
  }

  onFrame(listener: (frame: Frame) => void): () => void {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  resumeFrom(positions: () => Resume | undefined): void {
    this.#positions = positions;
  }

  start(): void {
    this.#do({ type: "start" });
  }

  stop(): void {
    this.#do({ type: "stop" });
  }

  /** Carries out an event: every effect first, then what observers see. */
  #do(event: Event): void {
    const before = this.#machine;
    const { now, random } = this.#platform;
    const [after, effects] = step(before, event, { now: now(), random, transports: this.#transports.length });
    this.#machine = after;
    this.#watch(before, after);
    for (const effect of effects) this.#carryOut(effect);
    this.#show(after);
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case "open":
        void this.#open(effect.slot, this.#transports[effect.transport] as TransportName);
        break;
      case "close":
        this.#lines[effect.slot]?.session?.close();
        delete this.#lines[effect.slot];
        break;
      case "promote":
        this.#promote();
        break;
      case "probe":
        this.#lines.current?.session?.probe();
        break;
      case "set":
        this.#timers.set(effect.timer, this.#platform.after(effect.ms, () => this.#do({ type: "timer", timer: effect.timer })));
        break;
      case "clear":
        this.#timers.get(effect.timer)?.();
        this.#timers.delete(effect.timer);
    }
  }

  /** Listens to the surroundings while the link is at work. */
  #watch(before: State, after: State): void {
    const works = (s: State): boolean => s.phase !== "idle" && s.phase !== "ended";
    if (works(before) === works(after)) return;
    this.#unaware();
    this.#unaware = () => {};
    if (!works(after)) return;
    const { awareness } = this.#platform;
    this.#unaware = awareness.subscribe(() => {
      const online = awareness.online();
      this.#do({ type: online === this.#machine.online ? "shown" : online ? "online" : "offline" });
    });
    if (awareness.online() !== this.#machine.online) this.#do({ type: awareness.online() ? "online" : "offline" });
  }

  /** Shows the state to those who observe the link. They may start and stop it meanwhile. */
  #show(s: State): void {
    if (s !== this.#machine) return; // carrying out its effects has led on
    const line = s.phase === "live" ? this.#lines.current : undefined;
    this.#over = s.phase === "idle" || s.phase === "ended";
    const waiters = (line && !line.succeeded) || this.#over ? this.#take() : [];
    if (this.#over) for (const line of this.#retired) this.#release(line);
    if (line) for (const waiter of waiters) waiter.go(line);
    this.session.set(line?.hello);
    const shown: LinkState = { status: s.phase };
    if (s.phase === "connecting" || s.phase === "live") shown.transport = this.#transports[s.transport] as TransportName;
    if (s.phase === "waiting" && s.retryAt !== undefined) shown.retryAt = s.retryAt;
    if (s.ending) shown.reason = { code: s.ending.code, message: s.ending.message };
    if (s === this.#machine && !same(shown, this.state.get())) this.state.set(shown);
    if (!line) for (const waiter of waiters) waiter.reject(new LinkEndedError(s.ending?.message));
  }

  #take(): Waiter[] {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    return waiters;
  }

  async #open(slot: Slot, transport: TransportName): Promise<void> {
    const line: Line = { transport, calls: 0 };
    this.#lines[slot] = line;
    let token: string;
    try {
      token = await this.#options.token();
    } catch (error) {
      return this.#ended(line, { code: "token", message: `No token could be had: ${textOf(error)}` });
    }
    if (this.#slotOf(line) === undefined) return;
    const { device, client, rooms } = this.#options;
    if (transport !== "events") delete this.#trail.id;
    const resume = this.#resume();
    const hello: HelloParams = {
      token, device, ...(client !== undefined && { client }), ...(rooms !== undefined && { rooms }), ...(resume && { resume }),
    };
    if (transport === "events" && resume && this.#trail.id === undefined) line.held = [];
    const setting: Setting = {
      platform: this.#platform,
      address: (path) => new URL(`v1/${path}`, this.#base),
      hello,
      trail: this.#trail,
      on: {
        opened: (answer) => this.#opened(line, answer, resume),
        push: (push) => this.#push(line, push),
        ended: (ending) => this.#ended(line, ending),
      },
    };
    try {
      line.session = open[transport](setting);
    } catch (error) { // a browser forbids some addresses
      this.#ended(line, { code: "unreachable", message: textOf(error) });
    }
  }

  /** The positions to say hello with. They are those that frames are held against from now on. */
  #resume(): Resume | undefined {
    const told = this.#positions();
    if (told) this.#stream.adopt(told);
    return this.#stream.resume();
  }

  #opened(line: Line, hello: HelloResult, resume: Resume | undefined): void {
    const slot = this.#slotOf(line);
    if (slot === undefined) return;
    line.hello = hello;
    if (resume?.epoch !== hello.epoch) this.#stream.enter(hello.epoch);
    if (line.held && resume) this.#join(line, line.held, resume);
    this.#do({ type: "opened", slot });
  }

  /** Finds what a session that could not be told the positions has left out, and lets its frames go on. */
  #join(line: Line, held: Frame[], resume: Resume): void {
    const { session, hello } = line;
    if (!session || !hello) return;
    const call = ((method, params) => session.call(method, params)) as CallOn;
    missed(call, hello.epoch, resume, this.#options.rooms ?? "all", held).then(
      (found) => {
        if (this.#slotOf(line) === undefined) return;
        delete line.held;
        for (const frame of [...found, ...held]) this.#tell(line, frame);
      },
      (error: unknown) => {
        session.close();
        this.#ended(line, { code: "lost", message: textOf(error) });
      },
    );
  }

  #slotOf(line: Line): Slot | undefined {
    return this.#lines.current === line ? "current" : this.#lines.next === line ? "next" : undefined;
  }

  /** The next session takes the place of the current one, which may answer its calls for a while if it still can. */
  #promote(): void {
    const { current: old, next } = this.#lines;
    this.#lines = next ? { current: next } : {};
    if (!old) return;
    this.#retired.add(old);
    old.retired = this.#platform.after(retireTime, () => this.#release(old));
    if (old.calls === 0) this.#release(old);
  }

  #release(line: Line): void {
    this.#retired.delete(line);
    line.retired?.();
    line.session?.close();
  }

  #ended(line: Line, ending: Ending): void {
    const slot = this.#slotOf(line);
    if (slot === undefined) return;
    const { closing } = line; // proxies lose close codes
    const told: Ending = closing && judge(ending) !== "token"
      ? { code: closing.code, message: closing.reason, ...(closing.retry_after_ms !== undefined && { retryAfterMs: closing.retry_after_ms }) }
      : ending;
    // A session that is being replaced by one of its own link has not lost its place to another window.
    if (told.code === 4409 && slot === "current" && this.#lines.next) {
      line.succeeded = { code: "lost", message: told.message };
      delete line.closing;
      return;
    }
    delete this.#lines[slot];
    this.#do({ type: "ended", slot, ending: told });
    const { current } = this.#lines;
    if (current?.succeeded && !this.#lines.next) this.#ended(current, current.succeeded); // and its successor never came
  }

  #push(line: Line, push: Push): void {
    switch (push.event) {
      case "hello":
        return;
      case "closing":
        line.closing = push.data;
        return;
      case "reconnect":
        if (this.#slotOf(line) === "current") this.#do({ type: "drain", delayMs: push.data.delay_ms });
        return;
      case "token.expiring":
        void this.#refresh(line);
        return;
      default:
        if (line.held) line.held.push(push);
        else this.#tell(line, push);
    }
  }

  #tell(line: Line, frame: Frame): void {
    if (line.retired) return; // its successor brings it: what is noted as seen here would be missing there
    for (const accepted of this.#stream.accept(frame)) {
      for (const entry of [...this.#listeners]) {
        if (line.retired) return;
        if (this.#listeners.has(entry)) entry.call(accepted);
      }
    }
  }

  /** Brings the server a fresh token. If that fails, the session ends with its token and the link comes back with another. */
  async #refresh(line: Line): Promise<void> {
    try {
      const token = await this.#options.token();
      await line.session?.call("session.refresh", { token });
    } catch {
      // The end of the session tells.
    }
  }

  async #send<M extends Callable>(line: Line, method: M, params: ParamsOf<M>): Promise<ResultOf<M>> {
    if (!line.session) throw new LinkLostError();
    line.calls++;
    try {
      const result = (await line.session.call(method, params)) as ResultOf<M>;
      this.#note(method, params, result);
      return result;
    } finally {
      line.calls--;
      if (line.retired && line.calls === 0) this.#release(line);
    }
  }

  /** Notes which rooms are followed by a call's doing, so that they are resumed, too. */
  #note(method: Callable, params: object, result: object): void {
    const { room, after } = params as { room: string; after?: number };
    if (method === "room.subscribe") this.#stream.follow(room, after ?? (result as { head: number }).head);
    if (method === "room.unsubscribe") this.#stream.drop(room);
  }
}

const open: Record<TransportName, OpenSession> = { websocket: openSocket, events: openEvents, poll: openPoll };

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The address that endpoints are relative to. */
function baseOf(url: string | URL): URL {
  const base = new URL(url);
  if (base.protocol === "ws:") base.protocol = "http:";
  if (base.protocol === "wss:") base.protocol = "https:";
  if (base.protocol !== "http:" && base.protocol !== "https:") throw new TypeError(`url must begin with http, https, ws or wss: ${base.href}`);
  base.search = base.hash = "";
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return base;
}

function same(a: LinkState, b: LinkState): boolean {
  return a.status === b.status && a.transport === b.transport && a.retryAt === b.retryAt && a.reason?.code === b.reason?.code
    && a.reason?.message === b.reason?.message;
}
