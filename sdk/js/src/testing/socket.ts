import { ParleyError } from "../errors.js";
import type { WebSocketLike } from "../link.js";
import { closes, type Call, type ErrorBody, type HelloParams } from "../protocol.js";
import type { FakeServer } from "./server.js";
import type { Carrier, FakeSession } from "./session.js";

/** The client's end of a WebSocket to a fake server. */
export class FakeSocket implements WebSocketLike {
  onopen: ((event: object) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: object) => void) | null = null;
  readonly url: string;
  readonly #server: FakeServer;
  #session: FakeSession | undefined;
  #closed = false;

  constructor(server: FakeServer, url: string, _protocols: string[]) {
    this.#server = server;
    this.url = url;
    const reachable = server.reachable("websocket");
    queueMicrotask(() => {
      if (this.#closed) return;
      if (reachable) this.onopen?.({});
      else this.#shut(1006, "");
    });
  }

  send(data: string): void {
    queueMicrotask(() => {
      for (const line of data.split("\n")) if (!this.#closed) this.#frame(JSON.parse(line) as Partial<Call>);
    });
  }

  close(): void {
    this.#closed = true;
    this.#session?.end(1000, "");
  }

  // The server's side

  #frame({ id, method, params = {} }: { id?: number; method?: string; params?: object }): void {
    if (method === undefined) return;
    if (method === "hello") return this.#hello(id, params as HelloParams);
    if (!this.#session) return this.#refuse(id, { code: "unauthenticated", message: "Say hello first." });
    const { answer, after } = this.#server.call(this.#session.user, this.#session, method, params);
    if (!answer) return this.#session.end(1006, "");
    if (id !== undefined) this.#write({ id, ...answer });
    for (const what of after) what();
  }

  #hello(id: number | undefined, params: HelloParams): void {
    const carrier: Carrier = { send: (_session, push) => this.#write(push), beat: () => this.#write({}), end: (code, reason) => this.#end(code, reason) };
    try {
      this.#session = this.#server.hello(params, params.token, carrier);
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      const { code, message, retryAfterMs } = error;
      return this.#refuse(id, { code, message, ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }) });
    }
    this.#write({ id, result: this.#server.greeting(this.#session) });
    this.#session.begin(params);
  }

  #refuse(id: number | undefined, error: ErrorBody): void {
    this.#write({ id, error });
    const code = error.code === "unauthenticated" ? 4401 : error.code === "rate_limited" ? 4429 : 1013;
    this.#write({ event: "closing", data: { code, reason: error.message } });
    this.#end(code, closes[code].reason);
  }

  #end(code: number, reason: string): void {
    this.#server.later(() => this.#shut(code, reason));
  }

  #write(frame: object): void {
    this.#server.later(() => {
      if (!this.#closed) this.onmessage?.({ data: JSON.stringify(frame) });
    });
  }

  #shut(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onclose?.({ code, reason });
  }
}
