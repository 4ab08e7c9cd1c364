import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocket } from "undici";
import { inject, onTestFinished } from "vitest";
import { openLink } from "../../src/connection.js";
import type { Frame, Link, LinkOptions, LinkState, WebSocketConstructor } from "../../src/link.js";
import type { Observable } from "../../src/observable.js";
import type { Callable, ParamsOf, ResultOf } from "../../src/link.js";

/** A server process on a port of its own, which stays the same when it is started again. */
export class RealServer {
  readonly #data = mkdtempSync(join(tmpdir(), "parley-sdk-data-"));
  #process: ChildProcess | undefined;
  #address = "127.0.0.1:0";

  static async start(): Promise<RealServer> {
    const server = new RealServer();
    onTestFinished(() => server.stop());
    await server.start();
    return server;
  }

  get url(): string {
    return `http://${this.#address}`;
  }

  get port(): number {
    return Number(this.#address.split(":")[1]);
  }

  async start(): Promise<void> {
    const limits = ["messages-per-second", "burst", "room-messages-per-second", "room-burst", "calls-per-second"].flatMap((name) => [`--limits-${name}`, "0"]);
    const flags = ["--listen", this.#address, "--data", this.#data, "--log-format", "json", ...limits];
    const child = spawn(inject("parley"), ["serve", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    const lines = createInterface({ input: child.stderr });
    const log: string[] = [];
    child.stdout.resume();
    this.#address = await new Promise<string>((resolve, reject) => {
      lines.on("line", (line) => {
        log.push(line);
        const address = /"msg":"listening","addr":"([^"]+)"/.exec(line)?.[1];
        if (address) resolve(address);
      });
      child.once("exit", () => reject(new Error(`the server did not start:\n${log.join("\n")}`)));
    });
  }

  /** Kills it without a warning. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  /** Asks it to end: it drains. */
  async drain(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    child?.kill("SIGTERM");
    if (child) await once(child, "exit");
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#data, { recursive: true, force: true });
  }

  /** A token of a user. */
  token(user: string, ttl = "1h"): string {
    return execFileSync(inject("parley"), ["token", "--data", this.#data, "--user", user, "--ttl", ttl], { encoding: "utf8" }).trim();
  }

  /** An API key. */
  key(): string {
    return execFileSync(inject("parley"), ["key", "create", "--data", this.#data, "--name", "backend"], { encoding: "utf8" }).trim();
  }

  /** Makes a call as a user over HTTP, the way of someone else's client. */
  async call<M extends Callable>(token: string, method: M, params: ParamsOf<M>): Promise<ResultOf<M>> {
    const response = await fetch(`${this.url}/v1/${method}`, { method: "POST", headers: { Authorization: `Bearer ${token}` }, body: JSON.stringify(params) });
    if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`);
    return (await response.json()) as ResultOf<M>;
  }
}

/** A network between a link and a server, which can be cut. */
export class Network {
  readonly #sockets = new Set<Socket>();
  readonly #listener: Server;

  private constructor(to: RealServer) {
    this.#listener = createServer((near) => {
      const far = connect(to.port, "127.0.0.1");
      for (const [socket, other] of [[near, far], [far, near]] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
  }

  static async to(server: RealServer): Promise<Network> {
    const network = new Network(server);
    network.#listener.listen(0, "127.0.0.1");
    await once(network.#listener, "listening");
    onTestFinished(() => {
      network.#listener.close();
      network.cut();
    });
    return network;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }
}

/** Opens a link that comes back at once, and notes what it hears. */
export function follow(options: Partial<LinkOptions> & Pick<LinkOptions, "url" | "token">): { link: Link; frames: Frame[] } {
  const { platform, ...rest } = options;
  const link = openLink({
    device: `device-${Math.random().toString(36).slice(2)}`,
    platform: { WebSocket: WebSocket as unknown as WebSocketConstructor, random: () => 0, ...platform },
    ...rest,
  });
  const frames: Frame[] = [];
  link.onFrame((frame) => frames.push(frame));
  link.start();
  onTestFinished(() => link.stop());
  return { link, frames };
}

/** Waits until a value is so. */
export function until<T>(observable: Observable<T>, is: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    const check = (): void => {
      const value = observable.get();
      if (!is(value)) return;
      leave();
      resolve(value);
    };
    const leave = observable.subscribe(check);
    queueMicrotask(check);
  });
}

/** Waits until a link hears a frame that is so. */
export function heard(link: Link, is: (frame: Frame) => boolean): Promise<Frame> {
  return new Promise((resolve) => {
    const leave = link.onFrame((frame) => {
      if (!is(frame)) return;
      leave();
      resolve(frame);
    });
  });
}

export const isLive = (state: LinkState): boolean => state.status === "live";
