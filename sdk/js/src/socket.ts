import { LinkLostError, ParleyError } from "./errors.js";
import type { Ending } from "./ending.js";
import type { WebSocketConstructor, WebSocketLike } from "./link.js";
import { closes, version, type ErrorBody, type HelloResult, type Push } from "./protocol.js";
import { defaultLimit, encode, helloTime, Watch, type Session, type Setting } from "./session.js";

type Incoming = Push | { id: number; result: unknown } | { id: number; error: ErrorBody } | Record<string, never>;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Opens a session over a WebSocket. */
export function openSocket(setting: Setting): Session {
  return new SocketSession(setting);
}

class SocketSession implements Session {
  readonly #setting: Setting;
  readonly #socket: WebSocketLike;
  readonly #watch: Watch;
  readonly #calls = new Map<number, Waiting>();
  #lastCall = 0;
  #limit: number = defaultLimit;
  #open = false; // hello was answered
  #over = false;

  constructor(setting: Setting) {
    this.#setting = setting;
    const url = setting.address("ws");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const WebSocket = setting.platform.WebSocket as WebSocketConstructor; // the link picks this transport only where there is one
    this.#socket = new WebSocket(url.href, [version]);
    this.#watch = new Watch(setting.platform, helloTime, () => {
      this.#end({ code: "silent", message: "Nothing was heard from the server." });
    });
    this.#socket.onopen = () => this.#greet();
    this.#socket.onmessage = ({ data }: { data: unknown }) => this.#message(data);
    this.#socket.onclose = ({ code, reason }: { code: number; reason: string }) => this.#closed(code, reason);
  }

  call(method: string, params: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#over) throw new LinkLostError();
      const id = ++this.#lastCall;
      const frame = encode({ id, method, params }, this.#limit);
      this.#calls.set(id, { resolve, reject });
      this.#socket.send(frame);
    });
  }

  probe(): void {
    if (!this.#over) this.#watch.check();
  }

  close(): void {
    if (!this.#over) this.#finish();
  }

  #greet(): void {
    const answered = (result: unknown): void => {
      const hello = result as HelloResult;
      this.#open = true;
      this.#limit = hello.limits.frame_bytes;
      this.#setting.on.opened(hello);
      if (!this.#over) this.#watch.limit = 2 * hello.heartbeat_ms;
    };
    const refused = (error: Error): void => {
      const { code, message, retryAfterMs } = error as ParleyError;
      this.#end({ code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) });
    };
    const id = ++this.#lastCall;
    this.#calls.set(id, { resolve: answered, reject: refused });
    this.#socket.send(JSON.stringify({ id, method: "hello", params: this.#setting.hello }));
  }

  #message(data: unknown): void {
    this.#watch.heard();
    for (const line of String(data).split("\n")) {
      if (this.#over) return;
      if (line.trim() === "") continue;
      let frame: Incoming;
      try {
        frame = JSON.parse(line) as Incoming;
      } catch {
        return this.#end({ code: "lost", message: "The server sent what is not JSON." });
      }
      this.#frame(frame);
    }
  }

  #frame(frame: Incoming): void {
    if ("event" in frame) {
      if (this.#open || frame.event === "closing") this.#setting.on.push(frame as Push);
    } else if (typeof frame.id === "number") {
      const waiting = this.#calls.get(frame.id);
      this.#calls.delete(frame.id);
      if ("error" in frame) waiting?.reject(new ParleyError(frame.error as ErrorBody));
      else waiting?.resolve(frame.result);
    } else {
      this.#socket.send("{}");
    }
  }

  #closed(code: number, reason: string): void {
    // 1005 and 1006 are the browser's own words for a connection that ended without a close code.
    if (code === 1005 || code === 1006) {
      this.#end(this.#open
        ? { code: "lost", message: "The connection was lost." }
        : { code: "unreachable", message: "No WebSocket could be opened." });
    } else {
      this.#end({ code, message: reason || (code in closes ? closes[code as keyof typeof closes].reason : `closed with ${code}`) });
    }
  }

  #end(ending: Ending): void {
    if (this.#over) return;
    this.#finish();
    this.#setting.on.ended(ending);
  }

  #finish(): void {
    this.#over = true;
    this.#watch.stop();
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.onerror = () => {}; // Node's sockets throw what nobody listens to
    this.#socket.close(1000);
    const waiting = [...this.#calls.values()];
    this.#calls.clear();
    if (this.#open) for (const { reject } of waiting) reject(new LinkLostError());
  }
}
