import type { Ending } from "./ending.js";
import { LinkLostError } from "./errors.js";
import { callError, endingOf, post } from "./http.js";
import type { HelloResult, Push } from "./protocol.js";
import { defaultLimit, encode, helloTime, Watch, type Session, type Setting } from "./session.js";

/** What differs between the transports whose calls are HTTP requests: how pushes come. */
export interface Carrier {
  /** Brings pushes, the first of them hello, until the signal is aborted. When it is done, so is the session. */
  receive(ends: CarrierEnds): Promise<void>;
  /** How long the carrier may be silent once the session is open, in milliseconds. */
  silence(hello: HelloResult): number;
}

/** What a carrier is given. */
export interface CarrierEnds {
  setting: Setting;
  signal: AbortSignal;
  /** The token that requests carry. */
  token(): string;
  /** Takes a push. */
  take(push: Push): void;
  /** Notes a sign of life. */
  heard(): void;
}

/** A session whose pushes come by a carrier, and whose calls are requests of their own. */
export class CarriedSession implements Session {
  readonly #setting: Setting;
  readonly #carrier: Carrier;
  readonly #watch: Watch;
  readonly #abort = new AbortController();
  #token: string;
  #hello: HelloResult | undefined;
  #over = false;

  constructor(setting: Setting, carrier: Carrier) {
    this.#setting = setting;
    this.#carrier = carrier;
    this.#token = setting.hello.token;
    this.#watch = new Watch(setting.platform, helloTime, () => this.#end({ code: "silent", message: "Nothing was heard from the server." }));
    const ends: CarrierEnds = {
      setting,
      signal: this.#abort.signal,
      token: () => this.#token,
      take: (push) => this.#take(push),
      heard: () => this.#watch.heard(),
    };
    carrier.receive(ends).then(
      () => this.#end({ code: this.#hello ? "lost" : "unreachable", message: "The server ended the stream." }),
      (error: unknown) => this.#end(endingOf(error, this.#hello !== undefined)),
    );
  }

  async call(method: string, params: object): Promise<unknown> {
    if (this.#over) throw new LinkLostError();
    const { platform, address } = this.#setting;
    const body = encode(params, this.#hello?.limits.frame_bytes ?? defaultLimit);
    try {
      const result = await post(platform, address(method), this.#token, body, { session: this.#hello?.session, signal: this.#abort.signal });
      if (method === "session.refresh") this.#token = (params as { token: string }).token;
      return result;
    } catch (error) {
      throw callError(error);
    }
  }

  probe(): void {
    if (!this.#over) this.#watch.check();
  }

  close(): void {
    if (!this.#over) this.#finish();
  }

  #take(push: Push): void {
    if (this.#over) return;
    if (push.event !== "hello") return this.#setting.on.push(push);
    this.#hello = push.data;
    this.#setting.on.opened(push.data);
    if (!this.#over) this.#watch.limit = this.#carrier.silence(push.data);
  }

  #end(ending: Ending): void {
    if (this.#over) return;
    this.#finish();
    this.#setting.on.ended(ending);
  }

  #finish(): void {
    this.#over = true;
    this.#watch.stop();
    this.#abort.abort();
  }
}
