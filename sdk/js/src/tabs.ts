/**
 * One link for all tabs of a browser. The tabs elect a leader by a Web Lock, which the browser gives to the next tab when the leader's is closed or
 * crashes. The leader keeps the link; the others call and hear through it over a BroadcastChannel. A tab that takes over goes on from its own positions.
 */
import { openLink } from "./connection.js";
import { LinkEndedError, LinkLostError, ParleyError } from "./errors.js";
import type { Callable, Frame, Link, LinkOptions, LinkState, ParamsOf, ResultOf } from "./link.js";
import { missed, type CallOn } from "./missed.js";
import { Value } from "./observable.js";
import type { ErrorBody, HelloResult, Resume } from "./protocol.js";
import { Stream } from "./stream.js";

/** What tabs need to share a link. The defaults are the browser's own. */
export interface Tabs {
  locks: Pick<LockManager, "request">;
  channel: (name: string) => BroadcastChannel;
  /** A name for this tab that no other has. */
  id: () => string;
}

/**
 * Makes a link that the tabs of a browser share, where `options` are the same in all of them, the token's user included. Where the platform does not
 * have what that takes, such as in Node and outside of secure contexts, it is a link of this tab alone, with a device of its own.
 */
export function shareLink(options: LinkOptions, tabs: Tabs | undefined = browserTabs()): Link {
  if (!tabs) return openLink({ ...options, device: `${options.device.slice(0, 55)}.${randomId()}` });
  return new SharedLink(options, tabs);
}

const randomId = (): string => Math.random().toString(36).slice(2, 10).padEnd(8, "0");

function browserTabs(): Tabs | undefined {
  const locks = globalThis.document && globalThis.navigator?.locks;
  if (!locks || !globalThis.BroadcastChannel) return undefined;
  return { locks, channel: (name) => new BroadcastChannel(name), id: () => crypto.randomUUID() };
}

/** What tabs say to each other: the leader to all, or to the one named in `to`; the others to the leader. */
type Word =
  | { say: "who"; from: string }
  | { say: "lead"; state: LinkState; session: HelloResult | undefined }
  | { say: "frame"; frame: Frame }
  | { say: "call"; from: string; id: number; method: Callable; params: object }
  | { say: "reply"; to: string; id: number; result: unknown }
  | { say: "refused"; to: string; id: number; error: ErrorBody }
  | { say: "lost"; to: string; id: number };

interface Waiting {
  method: Callable;
  params: object;
  sent: boolean;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** Who of the tabs wants what: what one of them ends goes on while another still wants it. */
class Interests {
  readonly #tabs = new Map<string, Set<string>>();

  /** Notes what a call of a tab wants, and tells the params with which to make it; undefined if it is not to be made, since others still want all of that. */
  take(tab: string, method: Callable, params: object): object | undefined {
    const { room, users } = params as { room: string; users: string[] };
    switch (method) {
      case "room.subscribe":
        this.#want(tab, `room ${room}`);
        return params;
      case "room.unsubscribe":
        return this.#end(tab, `room ${room}`) ? params : undefined;
      case "presence.subscribe":
        for (const user of users) this.#want(tab, `user ${user}`);
        return params;
      case "presence.unsubscribe": {
        const over = users.filter((user) => this.#end(tab, `user ${user}`));
        return over.length > 0 ? { ...params, users: over } : undefined;
      }
      default:
        return params;
    }
  }

  #want(tab: string, what: string): void {
    const tabs = this.#tabs.get(what) ?? new Set();
    this.#tabs.set(what, tabs.add(tab));
  }

  #end(tab: string, what: string): boolean {
    const tabs = this.#tabs.get(what);
    tabs?.delete(tab);
    return !tabs?.size;
  }
}

class SharedLink implements Link {
  readonly state = new Value<LinkState>({ status: "idle" });
  readonly session = new Value<HelloResult | undefined>(undefined);

  readonly #options: LinkOptions;
  readonly #tabs: Tabs;
  readonly #name: string;
  readonly #me: string;
  readonly #stream = new Stream();
  readonly #listeners = new Set<{ call: (frame: Frame) => void }>();
  readonly #calls = new Map<number, Waiting>();
  readonly #subscribed = new Set<string>(); // the rooms that this tab follows by a call of its own
  #lastCall = 0;
  #over = false; // stopped, or ended by the server: calls do not wait
  #positions: () => Resume | undefined = () => undefined;
  #channel: BroadcastChannel | undefined;
  #link: Link | undefined; // where this tab leads
  #interests = new Interests(); // of all tabs, where this one leads
  #leave: () => void = () => {};
  #held: Frame[] | undefined; // frames that wait for what this tab missed before it joined

  constructor(options: LinkOptions, tabs: Tabs) {
    this.#options = options;
    this.#tabs = tabs;
    this.#name = `parley ${new URL(options.url).href} ${options.device}`;
    this.#me = tabs.id();
  }

  call<M extends Callable>(method: M, params: ParamsOf<M>, options: { signal?: AbortSignal | undefined } = {}): Promise<ResultOf<M>> {
    if (this.#link) return this.#act(this.#link, this.#me, method, params, options);
    const { signal } = options;
    return new Promise<ResultOf<M>>((resolve, reject) => {
      if (signal?.aborted) throw signal.reason;
      if (this.#over) throw new LinkEndedError(this.state.get().reason?.message);
      const id = ++this.#lastCall;
      const aborted = (): void => {
        this.#calls.delete(id);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", aborted, { once: true });
      const settled = (): void => signal?.removeEventListener("abort", aborted);
      this.#calls.set(id, {
        method, params, sent: false,
        resolve: (result) => {
          settled();
          this.#note(method, params, result as object);
          resolve(result as ResultOf<M>);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      if (this.session.get()) this.#send();
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
    this.#over = false;
    if (this.#channel) return this.#link?.start();
    const channel = (this.#channel = this.#tabs.channel(this.#name));
    channel.onmessage = ({ data }: MessageEvent<Word>) => this.#hear(data);
    const candidacy = new AbortController();
    let resign = (): void => {};
    this.#leave = () => {
      candidacy.abort();
      resign();
    };
    this.state.set({ status: "connecting" });
    this.#say({ say: "who", from: this.#me });
    const term = new Promise<void>((resolve) => (resign = resolve));
    this.#tabs.locks
      .request(this.#name, { signal: candidacy.signal }, () => {
        if (!candidacy.signal.aborted) this.#lead();
        return candidacy.signal.aborted ? undefined : term;
      })
      .catch(() => {}); // it was not needed any more
  }

  stop(): void {
    const channel = this.#channel;
    if (!channel) return;
    this.#channel = undefined;
    this.#over = true;
    this.#link?.stop();
    this.#link = undefined;
    this.#leave();
    channel.close();
    this.#abandon(() => true);
    this.#held = undefined;
    this.session.set(undefined);
    this.state.set({ status: "idle" });
  }

  /** Becomes the leader. Calls that the last one has not answered are lost. */
  #lead(): void {
    this.#abandon(({ sent }) => sent);
    this.#held = undefined;
    this.session.set(undefined);
    this.#interests = new Interests();
    const link = (this.#link = openLink(this.#options));
    link.resumeFrom(() => this.#resume());
    const tell = (): void => {
      this.#say({ say: "lead", state: link.state.get(), session: link.session.get() });
      this.session.set(link.session.get());
      this.state.set(link.state.get());
    };
    link.session.subscribe(tell);
    link.state.subscribe(tell);
    link.onFrame((frame) => {
      this.#say({ say: "frame", frame });
      this.#tell(frame);
    });
    link.start();
    for (const room of this.#subscribed) this.#interests.take(this.#me, "room.subscribe", { room });
    for (const { method, params, resolve, reject } of this.#calls.values()) this.#act(link, this.#me, method, params as never).then(resolve, reject);
    this.#calls.clear();
  }

  /** Makes a tab's call, where this one leads. */
  async #act<M extends Callable>(
    link: Link, tab: string, method: M, params: ParamsOf<M>, options?: { signal?: AbortSignal | undefined },
  ): Promise<ResultOf<M>> {
    const needed = this.#interests.take(tab, method, params);
    const empty = method === "presence.unsubscribe" ? { users: [] } : {};
    const result = needed ? await link.call(method, needed as ParamsOf<M>, options) : (empty as unknown as ResultOf<M>);
    if (tab === this.#me) this.#note(method, params, result);
    return result;
  }

  /** Notes which rooms this tab follows by its own doing. */
  #note(method: Callable, params: object, result: object): void {
    const { room, after } = params as { room: string; after?: number };
    if (method === "room.subscribe") {
      this.#subscribed.add(room);
      this.#stream.follow(room, after ?? (result as { head: number }).head);
    }
    if (method === "room.unsubscribe") {
      this.#subscribed.delete(room);
      this.#stream.drop(room);
    }
  }

  #resume(): Resume | undefined {
    const told = this.#positions();
    if (told) this.#stream.adopt(told);
    return this.#stream.resume();
  }

  #say(word: Word): void {
    this.#channel?.postMessage(word);
  }

  #hear(word: Word): void {
    switch (word.say) {
      case "who":
        if (this.#link) this.#say({ say: "lead", state: this.#link.state.get(), session: this.#link.session.get() });
        break;
      case "call":
        if (this.#link) void this.#answer(this.#link, word);
        break;
      case "lead":
        if (!this.#link) this.#follow(word.state, word.session);
        break;
      case "frame":
        if (this.#link || !this.session.get()) break; // the positions say that it was missed
        if (this.#held) this.#held.push(word.frame);
        else this.#tell(word.frame);
        break;
      default:
        if (word.to === this.#me) this.#settle(word);
    }
  }

  /** Carries out a call of another tab. */
  async #answer(link: Link, { from: to, id, method, params }: Word & { say: "call" }): Promise<void> {
    try {
      this.#say({ say: "reply", to, id, result: await this.#act(link, to, method, params as never) });
    } catch (error) {
      if (!(error instanceof ParleyError)) return this.#say({ say: "lost", to, id });
      const { code, message, field, retryAfterMs, scope } = error;
      const body: ErrorBody = { code, message };
      if (field !== undefined) body.field = field;
      if (retryAfterMs !== undefined) body.retry_after_ms = retryAfterMs;
      if (scope !== undefined) body.scope = scope;
      this.#say({ say: "refused", to, id, error: body });
    }
  }

  #settle(word: Word & { to: string; id: number }): void {
    const waiting = this.#calls.get(word.id);
    this.#calls.delete(word.id);
    if (word.say === "reply") waiting?.resolve(word.result);
    else waiting?.reject(word.say === "refused" ? new ParleyError(word.error) : new LinkLostError());
  }

  /** Follows the leader to its session, which resumes from where the leader was: this tab finds out what it has missed itself. */
  #follow(state: LinkState, session: HelloResult | undefined): void {
    const before = this.session.get();
    if (session?.session !== before?.session) {
      this.#abandon(({ sent }) => sent);
      if (session) this.#join(session);
      this.session.set(session);
    }
    this.state.set(state);
    if (session) this.#send();
    this.#over = state.status === "ended";
    if (this.#over) this.#abandon(() => true);
  }

  #join(session: HelloResult): void {
    const resume = this.#resume();
    this.#stream.enter(session.epoch);
    if (!resume) return;
    const held: Frame[] = (this.#held = []);
    const call: CallOn = (method, params) => this.call(method, params);
    missed(call, session.epoch, resume, this.#options.rooms ?? "all", held).then(
      (found) => {
        if (this.#held !== held) return;
        this.#held = undefined;
        for (const frame of [...found, ...held]) this.#tell(frame);
      },
      () => {}, // that session is over: the next one is joined anew
    );
  }

  #send(): void {
    for (const [id, waiting] of this.#calls) {
      if (waiting.sent) continue;
      waiting.sent = true;
      this.#say({ say: "call", from: this.#me, id, method: waiting.method, params: waiting.params });
    }
  }

  #abandon(fits: (waiting: Waiting) => boolean): void {
    for (const [id, waiting] of [...this.#calls]) {
      if (!fits(waiting)) continue;
      this.#calls.delete(id);
      waiting.reject(waiting.sent ? new LinkLostError() : new LinkEndedError());
    }
  }

  #tell(frame: Frame): void {
    for (const accepted of this.#stream.accept(frame)) {
      for (const entry of [...this.#listeners]) if (this.#listeners.has(entry)) entry.call(accepted);
    }
  }
}
