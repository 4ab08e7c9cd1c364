import type { HelloResult, Method, Methods, Push, Resume, RoomsToAll } from "./protocol.js";
import type { Observable } from "./observable.js";

/** What a method takes. */
export type ParamsOf<M extends Method> = Methods[M]["params"];

/** What a method answers. */
export type ResultOf<M extends Method> = Methods[M]["result"];

/** A method that can be called on a link: `hello` is the link's own. */
export type Callable = Exclude<Method, "hello">;

/**
 * The ways to a server, the best first. Calls go over HTTP on all but `websocket`, and are carried out in their order there only if each
 * is made when the one before is answered.
 */
export type TransportName = "websocket" | "events" | "poll";

/**
 * What a link is doing:
 * `idle` before start and after stop, `connecting` on the way to a session, `live` with one, `waiting` for the next attempt,
 * `ended` when the server forbade to come back: another start tries again.
 */
export type LinkStatus = "idle" | "connecting" | "live" | "waiting" | "ended";

/** Why the last session ended or the last attempt failed. */
export interface LinkReason {
  /** a close code of the protocol, an error code of the protocol, or `token`, `unreachable`, `lost` or `silent` */
  code: string | number;
  /** for people */
  message: string;
}

/** The state of a link, a new object with every change. */
export interface LinkState {
  status: LinkStatus;
  /** when connecting or live: over what */
  transport?: TransportName;
  /** when waiting: the time of the next attempt, as Date.now() tells it; absent while the browser is offline */
  retryAt?: number;
  /** when waiting or ended: why; also while connecting after that */
  reason?: LinkReason;
}

/** Something that a session brings: an event of a room's log, or a signal that is not the connection's own. */
export type Frame = Exclude<Push, { event: "hello" | "closing" | "reconnect" | "token.expiring" }>;

/**
 * One user's session with a server, kept over connections, nodes and tokens, whatever the transport. It resumes by itself:
 * listeners see the events of every room in the order of their seq, none missing and none twice, or a `reset` that says that they cannot.
 */
export interface Link {
  readonly state: Observable<LinkState>;

  /**
   * The session that is open, undefined if none is. A new object with every session; it is set before the first frame of the session is heard,
   * so that a listener of it can note where the session begins.
   */
  readonly session: Observable<HelloResult | undefined>;

  /**
   * Calls a method. Waits for a session if none is open, the first one also before start. Rejects with a ParleyError if the server refuses, a LinkLostError if the connection
   * is lost before the answer (the call is not repeated), a LinkEndedError if the link ends before the call is sent, and the signal's
   * reason once that is aborted; an aborted call may have been carried out.
   */
  call<M extends Callable>(method: M, params: ParamsOf<M>, options?: { signal?: AbortSignal | undefined }): Promise<ResultOf<M>>;

  /** Tells every event and signal, in order, until the function that is returned is called. Heartbeats and the connection's own news are left out. */
  onFrame(listener: (frame: Frame) => void): () => void;

  /**
   * Names who knows the positions reached: asked before every session. What it tells goes over what the link has seen itself, which is what
   * a link without it resumes from. Undefined, or an epoch that is not the server's, resumes nothing.
   */
  resumeFrom(positions: () => Resume | undefined): void;

  /** Opens a session, and others after it. Does nothing if started. */
  start(): void;

  /** Ends the session and all attempts. What waits for a session rejects with LinkEndedError, what waits for an answer with LinkLostError. */
  stop(): void;
}

/** Where a link leads, and as whom. */
export interface LinkOptions {
  /** The server: http, https, ws or wss, without the path of an endpoint. */
  url: string | URL;
  /** Brings the user's token. Asked anew for every session, and when a token is about to end. */
  token: () => Promise<string> | string;
  /** This installation, made once and kept: 1–64 printable ASCII characters. */
  device: string;
  /** Free text about the program, for session lists. */
  client?: string;
  /** Which rooms a session follows by itself: "all" (the default) of the user's, or "none" but those resumed and subscribed to. */
  rooms?: RoomsToAll;
  /** The transports to try, the best first; all three by default. */
  transports?: readonly TransportName[];
  /** What the link is made of, for tests and for platforms that lack a part. */
  platform?: Partial<Platform>;
}

/** What a link needs of the world. The defaults are the globals of browsers and of Node 22. */
export interface Platform {
  /** Makes a WebSocket; undefined where there is none (Node 20), which leaves the other transports. */
  WebSocket: WebSocketConstructor | undefined;
  fetch: typeof globalThis.fetch;
  /** Milliseconds since 1970. */
  now: () => number;
  /** A number from 0 up to but not 1. */
  random: () => number;
  /** Calls once after so many milliseconds, unless the function that is returned is called before. */
  after: (ms: number, call: () => void) => () => void;
  /** Whether the machine has a network, and whether the page is seen: both true outside of browsers. */
  awareness: Awareness;
}

/** What a browser knows of its surroundings. */
export interface Awareness {
  online(): boolean;
  /** Calls when the network came or went, or the page was shown again, until the function that is returned is called. */
  subscribe(listener: () => void): () => void;
}

/** The part of the standard's WebSocket that a link uses. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  /** called with `{data}` */
  onmessage: ((event: never) => void) | null;
  /** called with `{code, reason}` */
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** Makes a WebSocket, as the global of that name does. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;
