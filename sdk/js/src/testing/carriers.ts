import { ParleyError } from "../errors.js";
import type { ErrorBody, ErrorCode, HelloParams, Push, RoomsToAll } from "../protocol.js";
import type { FakeServer } from "./server.js";
import type { Carrier, FakeSession } from "./session.js";

const statuses: Record<ErrorCode, number> = {
  bad_request: 400, unauthenticated: 401, forbidden: 403, not_found: 404, conflict: 409, too_large: 413, rate_limited: 429, unavailable: 503, internal: 500,
};

/** Answers an HTTP request: a call, an event stream or a poll. */
export async function answerHTTP(server: FakeServer, request: Request): Promise<Response> {
  const path = new URL(request.url).pathname.split("/v1/")[1] ?? "";
  const transport = path === "events" || path === "poll" ? path : undefined;
  if (transport && !server.reachable(transport)) throw new TypeError("fetch failed");
  const token = request.headers.get("Authorization")?.replace(/^Bearer /, "") ?? "";
  try {
    if (path === "events") return openStream(server, request, token);
    const body = (await request.json()) as object;
    if (path === "poll") return await poll(server, token, body, request.signal);
    return call(server, request, token, path, body);
  } catch (error) {
    if (!(error instanceof ParleyError)) throw error;
    const { code, message, field, retryAfterMs } = error;
    return refused({ code, message, ...(field !== undefined && { field }), ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }) });
  }
}

const refused = (error: ErrorBody): Response => Response.json({ error }, { status: statuses[error.code] });

function call(server: FakeServer, request: Request, token: string, method: string, params: object): Response {
  const user = server.userOf(token);
  if (user === undefined) throw new ParleyError({ code: "unauthenticated", message: "The token is not valid." });
  const named = request.headers.get("Parley-Session");
  const session = named === null ? undefined : find(server, named, user);
  const { answer, after } = server.call(user, session, method, params);
  for (const what of after) what();
  if (!answer) throw new TypeError("fetch failed");
  return "error" in answer ? refused(answer.error) : Response.json(answer.result);
}

function find(server: FakeServer, id: string, user: string): FakeSession {
  for (const session of server.sessions) if (session.id === id && session.user === user) return session;
  throw gone();
}

const gone = (): ParleyError => new ParleyError({ code: "not_found", message: "There is no such session.", field: "session" });

/** Server-sent events. An id is the positions themselves, which a server that serves others would sign. */
function openStream(server: FakeServer, request: Request, token: string): Response {
  const query = new URL(request.url).searchParams;
  const hello: Omit<HelloParams, "token"> = { device: query.get("device") ?? "" };
  const rooms = query.get("rooms");
  if (rooms !== null) hello.rooms = rooms as RoomsToAll;
  const last = request.headers.get("Last-Event-ID");
  if (last !== null) hello.resume = JSON.parse(last) as { epoch: string; rooms: Record<string, number> };
  let stream: ReadableStreamDefaultController<Uint8Array>;
  let open = true;
  const encoder = new TextEncoder();
  const write = (text: string): void => {
    server.later(() => {
      if (open) stream.enqueue(encoder.encode(text));
    });
  };
  const carrier: Carrier = {
    send(session, push) {
      const id = JSON.stringify({ epoch: server.epoch, rooms: session.positions() });
      write(`id: ${id}\ndata: ${JSON.stringify(push)}\n\n`);
    },
    beat: () => write(":\n\n"),
    end(code) {
      server.later(() => {
        if (!open) return;
        open = false;
        if (code === 1006) stream.error(new TypeError("network error"));
        else stream.close();
      });
    },
  };
  const session = server.hello(hello, token, carrier);
  request.signal.addEventListener("abort", () => session.end(1000, ""));
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      stream = controller;
      session.push({ event: "hello", data: server.greeting(session) });
      session.begin(hello);
    },
    cancel: () => session.end(1000, ""),
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}

/** What a poll says besides what hello takes. */
interface Poll {
  session?: string;
  ack?: string;
  timeout_ms?: number;
}

/** What a polled session has not brought to its client yet. */
export class PollCarrier implements Carrier {
  session: FakeSession | undefined;
  #frames: Push[] = [];
  #told = 0;
  #cursor = 0;
  #wake: () => void = () => {};
  #ended = false;
  #expire: () => void = () => {};

  send(_session: FakeSession, push: Push): void {
    this.#frames.push(push);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The answer to a poll; waits until there is something, for as long as the client does. */
  async answer(server: FakeServer, { ack, timeout_ms = 25_000 }: Poll, signal: AbortSignal): Promise<Response> {
    if (ack === String(this.#cursor)) this.#frames.splice(0, this.#told);
    this.#wake();
    this.#expire();
    if (this.#frames.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        const stop = server.after(timeout_ms, resolve);
        this.#wake = () => {
          stop();
          resolve();
        };
        signal.addEventListener("abort", this.#wake);
      });
    }
    if (this.#frames.length === 0 && this.#ended) throw gone();
    this.#expire = server.after(60_000, () => this.session?.end(1000, ""));
    this.#told = this.#frames.length;
    this.#cursor++;
    return Response.json({ session: this.session?.id, cursor: String(this.#cursor), frames: this.#frames });
  }
}

async function poll(server: FakeServer, token: string, body: object, signal: AbortSignal): Promise<Response> {
  const params = body as Poll & Omit<HelloParams, "token">;
  if (params.session !== undefined) {
    const carrier = server.polls.get(params.session);
    if (!carrier || carrier.session?.user !== server.userOf(token)) throw gone();
    return carrier.answer(server, params, signal);
  }
  const carrier = new PollCarrier();
  const session = (carrier.session = server.hello(params, token, carrier));
  server.polls.set(session.id, carrier);
  session.push({ event: "hello", data: server.greeting(session) });
  session.begin(params);
  return carrier.answer(server, params, signal);
}
