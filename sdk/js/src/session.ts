import { ParleyError } from "./errors.js";
import type { Ending } from "./ending.js";
import type { Platform } from "./link.js";
import { bounds, type HelloParams, type HelloResult, type Push } from "./protocol.js";

/** One session over one connection, from the attempt to open it to its end. */
export interface Session {
  /** Sends a call. Rejects with a ParleyError if it is refused, with a LinkLostError if the session ends before it is answered. */
  call(method: string, params: object): Promise<unknown>;
  /** Ends the session if nothing was heard for too long; timers are late where the machine has slept. */
  probe(): void;
  /** Ends the session without telling: `ended` is not called any more. */
  close(): void;
}

/** Who is told what a session does: `opened` once, then every push, then `ended` once. Or `ended` alone. Never from within the opening call. */
export interface SessionEvents {
  opened(hello: HelloResult): void;
  push(push: Push): void;
  ended(ending: Ending): void;
}

/** What a session is opened with. */
export interface Setting {
  platform: Platform;
  /** Makes an address of the server from the path of an endpoint. */
  address: (path: string) => URL;
  hello: HelloParams;
  on: SessionEvents;
  /** Where the last event stream stood: an id that a new one goes on from. Kept by whoever opens sessions, dropped when another transport serves. */
  trail: Trail;
}

/** The id of the last message of an event stream. */
export interface Trail {
  id?: string | undefined;
}

/** Opens a session over one transport. */
export type OpenSession = (setting: Setting) => Session;

/** The time to reach a server and have hello answered, in milliseconds. */
export const helloTime = 10_000;

/** Notices silence: `silent` is called once nothing was heard for the limit. It costs one timer, whatever is heard. */
export class Watch {
  readonly #platform: Platform;
  readonly #silent: () => void;
  #limit: number;
  #heard: number;
  #stop: () => void = () => {};

  constructor(platform: Platform, limit: number, silent: () => void) {
    this.#platform = platform;
    this.#limit = limit;
    this.#silent = silent;
    this.#heard = platform.now();
    this.check();
  }

  /** Notes that something was heard. */
  heard(): void {
    this.#heard = this.#platform.now();
  }

  /** Changes the limit, in milliseconds. */
  set limit(ms: number) {
    this.#limit = ms;
    this.check();
  }

  /** Looks now. */
  check(): void {
    this.#stop();
    const left = this.#heard + this.#limit - this.#platform.now();
    if (left <= 0) this.#silent();
    else this.#stop = this.#platform.after(left, () => this.check());
  }

  /** Ends the watch. */
  stop(): void {
    this.#stop();
  }
}

/** Encodes a call's frame or body, and refuses what the server would not take. */
export function encode(value: object, limit: number): string {
  const text = JSON.stringify(value);
  if (limit > 0 && text.length * 3 > limit) {
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > limit) {
      throw new ParleyError({ code: "too_large", message: `this call has ${bytes} bytes; the server takes at most ${limit}: send less at once` });
    }
  }
  return text;
}

/** The bound of a call before the server has told its own. */
export const defaultLimit = bounds.maxFrameBytes;
