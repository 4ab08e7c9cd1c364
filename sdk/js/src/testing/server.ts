import { ParleyError } from "../errors.js";
import type { Callable, Platform, TransportName, WebSocketConstructor } from "../link.js";
import {
  closes, type ErrorBody, type EventFrame, type Events, type HelloParams, type HelloResult, type Kind, type LeaveReason, type PresenceData, type Push,
  type Role, type Status, type User,
} from "../protocol.js";
import { answerHTTP, PollCarrier } from "./carriers.js";
import { methods, type FakeMethod, type FakeMethods } from "./methods.js";
import { FakeRoom } from "./room.js";
import { FakeSession, type Carrier } from "./session.js";
import { FakeSocket } from "./socket.js";

export { FakeSession } from "./session.js";

/** A new room, in a test's words. */
export interface NewRoom {
  kind?: Kind | undefined;
  members?: readonly string[];
  /** who makes it; its owner. The first member if not said */
  by?: string;
  name?: string | undefined;
  topic?: string | undefined;
  data?: unknown;
}

/** How a call is spoilt: it is refused, or carried out while its reply is lost together with the connection. */
type Spoiler = { error: ErrorBody } | { lose: true };

/**
 * A server in memory that speaks the protocol over WebSockets, server-sent events and polls. See the header of index.ts for how to use and extend it.
 * Everything that it sends goes out in order, in microtasks: `settle` waits for them.
 */
export class FakeServer {
  readonly users = new Map<string, User>();
  readonly rooms = new Map<string, FakeRoom>();
  readonly sessions = new Set<FakeSession>();
  /** The sessions that were opened by a poll, by their id, also those that have ended. */
  readonly polls = new Map<string, PollCarrier>();
  /** Every call that arrived, in order. */
  readonly calls: { user: string; method: string; params: object }[] = [];
  /** The epoch that hello tells; a new one voids all positions. */
  epoch = "e1";
  heartbeatMs = 25_000;
  /** The most missed events of a room that a resume brings; more is a reset. */
  replay = 1_000;
  /** Whose token it is: by default a token is the user's id. Undefined refuses it. */
  userOf: (token: string) => string | undefined = (token) => token || undefined;

  readonly #methods: FakeMethods = { ...methods };
  readonly #spoilers = new Map<string, Spoiler[]>();
  readonly #blocked = new Set<TransportName>();
  readonly #left = new Map<string, Set<string>>();
  readonly #statuses = new Map<string, Status>();
  readonly #time: Pick<Platform, "now" | "after">;
  readonly #typists = new Map<string, () => void>();
  #lastId = 0;
  #held: (() => void)[] | undefined;

  /** What time it is and when timers are due, a TestClock's say. */
  constructor(time: Pick<Platform, "now" | "after">) {
    this.#time = time;
  }

  /** What a link needs to talk to this server instead of the network: `openLink({…, platform: server.platform})`. */
  get platform(): Pick<Platform, "WebSocket" | "fetch"> {
    return { WebSocket: this.WebSocket, fetch: this.fetch };
  }

  /** A WebSocket constructor whose sockets lead here, whatever their address. */
  get WebSocket(): WebSocketConstructor {
    const server = this;
    return class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(server, url, protocols);
      }
    };
  }

  /** A fetch that leads here, whatever the address. */
  readonly fetch: typeof globalThis.fetch = (input, init) => answerHTTP(this, new Request(input, init));

  /** The time as the protocol writes it. */
  readonly at = (): string => new Date(this.#time.now()).toISOString();

  /** Calls once after so many milliseconds, unless the function that is returned is called before. */
  after(ms: number, call: () => void): () => void {
    return this.#time.after(ms, call);
  }

  /** An id that was not used before. */
  id(prefix: string): string {
    return `${prefix}_${++this.#lastId}`;
  }

  /** When a token that is used now will end. */
  expiry(): string {
    return new Date(this.#time.now() + 3_600_000).toISOString();
  }

  /** The user of that id, who exists from now on. */
  user(id: string): User {
    let user = this.users.get(id);
    if (!user) this.users.set(id, (user = { id, name: "", avatar: "", data: null }));
    return user;
  }

  // Rooms

  /** Makes a room and tells its members. */
  createRoom({ kind = "group", members = [], by = members[0] ?? "alice", name, topic, data }: NewRoom): FakeRoom {
    const room = new FakeRoom(this.id("r"), kind, by, this.at);
    Object.assign(room, { name: name ?? "", topic: topic ?? "", data: data ?? null });
    this.rooms.set(room.id, room);
    const roles = [...new Set([by, ...members])].map((user): { user: string; role: Role } => {
      return { user: this.user(user).id, role: user === by || kind === "direct" ? "owner" : "member" };
    });
    for (const { user, role } of roles) room.join(user, role, 1);
    this.#welcome(room, roles.map(({ user }) => user));
    this.write(room, "room.created", by, { room: room.object(), members: roles });
    return room;
  }

  /** Adds members. */
  add(room: FakeRoom, users: string[], by: string | null): EventFrame<"member.joined"> {
    for (const user of users) this.user(user);
    this.#welcome(room, users);
    return this.write(room, "member.joined", by, { users, role: "member" });
  }

  /** Writes an event into a room's log and pushes it to who follows the room. */
  write<N extends keyof Events>(room: FakeRoom, event: N, user: string | null, data: Events[N]): EventFrame<N> {
    const frame = room.append(event, user, data);
    for (const session of this.sessions) session.event(room, frame as unknown as Push);
    return frame;
  }

  /** Sends a message as a user, as if over another client. */
  say(room: FakeRoom, user: string, text: string): EventFrame<"message.created"> {
    return this.write(room, "message.created", user, { client_id: this.id("c"), n: room.count + 1, text });
  }

  /** Ends a room for users who are no longer members. */
  remove(room: FakeRoom, users: string[], reason: LeaveReason): void {
    for (const user of users) {
      room.members.delete(user);
      this.#leftOf(user).add(room.id);
      this.tell(user, { event: "room.removed", room: room.id, data: { reason } }, (session) => session.unfollow(room));
    }
  }

  /** The rooms that a user has left. */
  leftBy(user: string): string[] {
    return [...this.#leftOf(user)].filter((id) => !this.rooms.get(id)?.members.has(user));
  }

  // People

  /** Moves a member's cursors and tells the others. */
  advance(room: FakeRoom, user: string, to: { delivered?: number; read?: number }): void {
    if (!room.members.has(user) || !room.advance(user, to)) return;
    for (const member of room.members.keys()) this.tell(member, { event: "receipt", room: room.id, data: { members: [room.cursors(user)] } });
  }

  /** Tells the other members that a user is typing, or has stopped, which is so 5 s after the last start. */
  typing(room: FakeRoom, user: string, active: boolean): void {
    const key = `${room.id} ${user}`;
    this.#typists.get(key)?.();
    this.#typists.delete(key);
    if (active) this.#typists.set(key, this.after(5_000, () => this.typing(room, user, false)));
    for (const member of room.members.keys()) {
      if (member !== user) this.tell(member, { event: "typing", room: room.id, user, data: { active, expires_ms: 5_000 } });
    }
  }

  /** How a user is seen. */
  presence(user: string): PresenceData {
    const status = this.#statuses.get(user) ?? "online";
    const live = [...this.sessions].some((session) => session.user === user);
    return { status: !live || status === "invisible" ? "offline" : status };
  }

  /** Sets a user's status and tells who watches. */
  setPresence(user: string, status: Status): void {
    this.#statuses.set(user, status);
    this.presenceChanged(user);
  }

  /** Tells who watches a user how the user is seen now. */
  presenceChanged(user: string): void {
    for (const session of this.sessions) if (session.watched.has(user)) session.push({ event: "presence", user, data: this.presence(user) });
  }

  /** Pushes a signal to all sessions of a user. */
  tell(user: string, push: Push, also: (session: FakeSession) => void = () => {}): void {
    for (const session of this.sessions) {
      if (session.user !== user) continue;
      session.push(push);
      also(session);
    }
  }

  // Extending

  /** Answers a method in another way, or one that the fake does not know. */
  on<M extends Callable>(method: M, answer: FakeMethod<M>): void {
    (this.#methods as Record<string, unknown>)[method] = answer;
  }

  // Faults

  /** Breaks connections off without a word: those of one user, or all. */
  cut(user?: string): void {
    for (const session of this.#of(user)) session.end(1006, "");
  }

  /** Closes sessions with a code, as the server does: `closing` first. */
  close(code: number, options: { user?: string; reason?: string; retryAfterMs?: number } = {}): void {
    const reason = options.reason ?? (code in closes ? closes[code as keyof typeof closes].reason : "");
    const { retryAfterMs } = options;
    for (const session of this.#of(options.user)) {
      session.push({ event: "closing", data: { code, reason, ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }) } });
      session.end(code, reason);
    }
  }

  /** Refuses new connections over a transport, until unblock. A blocked transport is one that a firewall does not let through. */
  block(...transports: TransportName[]): void {
    for (const transport of transports) this.#blocked.add(transport);
  }

  /** Lets connections over a transport through again. */
  unblock(...transports: TransportName[]): void {
    for (const transport of transports) this.#blocked.delete(transport);
  }

  /** Whether connections over a transport are let through. */
  reachable(transport: TransportName): boolean {
    return !this.#blocked.has(transport);
  }

  /** Refuses the next call of a method. */
  refuse(method: Callable | "hello", error: ErrorBody): void {
    this.#spoil(method, { error });
  }

  /** Carries the next call of a method out and loses its reply together with the connection. */
  loseReply(method: Callable): void {
    this.#spoil(method, { lose: true });
  }

  /** Keeps back everything that is sent to clients until the function that is returned is called. */
  hold(): () => void {
    const held: (() => void)[] = (this.#held ??= []);
    return () => {
      if (this.#held === held) this.#held = undefined;
      for (const send of held) send();
    };
  }

  /** Does something as part of what is sent to clients, in order, later. */
  later(send: () => void): void {
    if (this.#held) this.#held.push(send);
    else queueMicrotask(send);
  }

  /** Asks sessions to go elsewhere after a delay. */
  drain(delayMs: number, user?: string): void {
    for (const session of this.#of(user)) session.push({ event: "reconnect", data: { delay_ms: delayMs } });
  }

  // For the carriers

  /** Opens a session, or throws a refusal. */
  hello(params: Omit<HelloParams, "token">, token: string, carrier: Carrier): FakeSession {
    const spoiler = this.#spoilers.get("hello")?.shift();
    if (spoiler && "error" in spoiler) throw new ParleyError(spoiler.error);
    const user = this.userOf(token);
    if (user === undefined) throw new ParleyError({ code: "unauthenticated", message: "The token is not valid." });
    this.user(user);
    const session = new FakeSession(this, user, params, carrier);
    this.sessions.add(session);
    this.presenceChanged(user);
    return session;
  }

  /** The answer to hello. Once it is given, an older session of the same device is closed. */
  greeting(session: FakeSession): HelloResult {
    this.later(() => {
      for (const other of this.#of(session.user)) {
        if (other === session || other.device !== session.device) continue;
        other.push({ event: "closing", data: { code: 4409, reason: closes[4409].reason } });
        other.end(4409, closes[4409].reason);
      }
    });
    return {
      session: session.id, user: session.user, epoch: this.epoch, node: "fake", server_time: this.at(), heartbeat_ms: this.heartbeatMs,
      limits: { text_bytes: 8_192, frame_bytes: 65_536, messages_per_second: 0, burst: 0, replay: this.replay }, token_expires_at: this.expiry(),
    };
  }

  /** Carries out a call. What is in `after` follows the answer. Undefined is an answer that is lost. */
  call(user: string, session: FakeSession | undefined, method: string, params: object): { answer: { result: object } | { error: ErrorBody } | undefined; after: (() => void)[] } {
    const after: (() => void)[] = [];
    this.calls.push({ user, method, params });
    const spoiler = this.#spoilers.get(method)?.shift();
    if (spoiler && "error" in spoiler) return { answer: spoiler, after };
    try {
      const known = this.#methods[method as Callable] as FakeMethod<Callable> | undefined;
      if (!known) throw new ParleyError({ code: "bad_request", message: `The fake server does not know ${method}: teach it with on().`, field: "method" });
      const result = known({ server: this, user, session, then: (what) => after.push(what) }, params as never);
      return { answer: spoiler ? undefined : { result }, after };
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      const { code, message, field, retryAfterMs, scope } = error;
      const body: ErrorBody = { code, message };
      if (field !== undefined) body.field = field;
      if (retryAfterMs !== undefined) body.retry_after_ms = retryAfterMs;
      if (scope !== undefined) body.scope = scope;
      return { answer: { error: body }, after };
    }
  }

  #of(user: string | undefined): FakeSession[] {
    return [...this.sessions].filter((session) => user === undefined || session.user === user);
  }

  #leftOf(user: string): Set<string> {
    let left = this.#left.get(user);
    if (!left) this.#left.set(user, (left = new Set()));
    return left;
  }

  #spoil(method: string, spoiler: Spoiler): void {
    this.#spoilers.set(method, [...(this.#spoilers.get(method) ?? []), spoiler]);
  }

  #welcome(room: FakeRoom, users: readonly string[]): void {
    for (const session of this.sessions) {
      if (!users.includes(session.user) || room.kind === "live") continue;
      session.push({ event: "room.added", room: room.id, data: { room: room.object() } });
      if (session.all) session.follow(room);
    }
  }
}
