// The outbox: messages that are on their way. Those of one room go one at a time, in the order in which they were given, because one that is tried
// again must not be overtaken by the next; rooms do not wait for each other. A message keeps its client_id for as long as it is tried, so however
// often, and from however many tabs, it is sent: it is stored once (§1, promise 2).
//
// A message is sent by the page that it was written in, which owns it under a name of its own. What pages have left that are no more, another takes over.

import { LinkEndedError, LinkLostError, ParleyError } from "../errors.js";
import type { Link, Platform } from "../link.js";
import type { ErrorBody, MessageSendParams, MessageSendResult } from "../protocol.js";
import type { Storage } from "./storage.js";

/** A message of the user's that the server has not stored. A new object with every change. */
export interface Outgoing {
  readonly draft: MessageSendParams;
  /** when it was given to send, in milliseconds since 1970 */
  readonly at: number;
  /** pending: it will be sent, and sent again; failed: it was refused, or given up */
  readonly status: "pending" | "failed";
  /** of a failed one, and of one that the server lets wait: a ParleyError tells the server's reason, an OutboxError ours */
  readonly error?: Error;
  /** of one that the server lets wait, since it comes too early: when it is sent again, in milliseconds since 1970 */
  readonly retryAt?: number;
}

/** Why the outbox did not take a message, or gave it up: it is full, the message was tried for 30 days, or it was cancelled. */
export class OutboxError extends Error {
  override readonly name = "OutboxError";
  readonly reason: "full" | "expired" | "cancelled";

  constructor(reason: OutboxError["reason"]) {
    super({ full: "Too many messages wait to be sent.", expired: "The message was tried for 30 days.", cancelled: "The message was cancelled." }[reason]);
    this.reason = reason;
  }
}

/** Messages that wait at most, refused ones included. */
export const outboxLimit = 1000;

/** How long a message is tried: within it the server remembers its client_id for sure. */
const outboxTime = 30 * 24 * 3600_000;

interface Entry {
  outgoing: Outgoing;
  readonly key: string;
  /** a call is out, or the pause before the next one runs */
  busy: boolean;
  attempts: number;
  readonly settled: { resolve(result: MessageSendResult): void; reject(error: Error): void }[];
}

/** What is kept of an entry. */
interface Record {
  /** the name of the page that sends it */
  owner: string;
  draft: MessageSendParams;
  at: number;
  error?: ErrorBody;
}

/** What an outbox is made with. */
export interface OutboxParts {
  link: Link;
  storage: Storage;
  platform: Pick<Platform, "now" | "random" | "after">;
  /** A name for this page that no other has or had. */
  name: string;
  /** A message was stored; it leaves the outbox right after. */
  sent(draft: MessageSendParams, result: MessageSendResult): void;
  /** What waits for a room has changed. */
  changed(room: string): void;
}

/** The messages that are on their way, of all rooms. */
export class Outbox {
  readonly #parts: OutboxParts;
  readonly #lines = new Map<string, Entry[]>();
  readonly #shown = new Map<string, readonly Outgoing[]>();
  /** whose messages are this page's: its own, and those that it took over */
  readonly #owners = new Set<string>();
  /** the page has its name: nothing is kept before, or others would take it over */
  #named: Promise<unknown> | undefined;
  /** keys of what is being deleted from the storage */
  readonly #gone = new Set<string>();
  #cleared = 0;
  #last = 0;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#owners.add(parts.name);
  }

  /** What waits for a room, in order; the same object until that changes. */
  of(room: string): readonly Outgoing[] {
    return this.#shown.get(room) ?? nothing;
  }

  /** Takes a message, and sends it when it is its turn. Resolves when it is stored. */
  add(draft: MessageSendParams): Promise<MessageSendResult> {
    let size = 0;
    for (const line of this.#lines.values()) size += line.length;
    if (size >= outboxLimit) return Promise.reject(new OutboxError("full"));
    this.#last = Math.max(this.#parts.platform.now(), this.#last + 1); // its place among those kept
    const entry = this.#line({ draft, at: this.#last, status: "pending" }, keyOf(this.#last, draft.client_id));
    this.#keep(entry);
    const settled = new Promise<MessageSendResult>((resolve, reject) => entry.settled.push({ resolve, reject }));
    this.#turn(draft.room);
    return settled;
  }

  /** Sends a refused message again, after those that wait. */
  retry(room: string, clientId: string): void {
    const entry = this.#find(room, clientId);
    if (entry?.outgoing.status !== "failed") return;
    this.#remove(entry);
    void this.add(entry.outgoing.draft).catch(() => {}); // the timeline shows what becomes of it
  }

  /** Takes a message out. One whose call is out may be stored all the same. */
  cancel(room: string, clientId: string): void {
    const entry = this.#find(room, clientId);
    if (!entry) return;
    this.#remove(entry);
    for (const { reject } of entry.settled) reject(new OutboxError("cancelled"));
    this.#turn(room);
  }

  /** Takes over what pages have left that are no more, and shows it. */
  async restore(): Promise<void> {
    const { storage, platform } = this.#parts;
    const cleared = this.#cleared;
    const left = await storage.list(prefix);
    const owners = new Set(left.map(([, value]) => (value as Record).owner));
    await Promise.all([...owners].map(async (owner) => {
      if (!this.#owners.has(owner) && (await storage.claim(owner))) this.#owners.add(owner);
    }));
    const kept = await storage.list(prefix); // they may have sent some of it meanwhile
    if (cleared !== this.#cleared) return;
    for (const [key, value] of kept) {
      const { owner, draft, at, error } = value as Record;
      if (!this.#owners.has(owner) || this.#gone.has(key) || this.#find(draft.room, draft.client_id)) continue;
      const expired = platform.now() - at > outboxTime;
      if (expired) void storage.delete(key).catch(() => {});
      if (expired && error) continue;
      const why = expired ? new OutboxError("expired") : error && new ParleyError(error);
      this.#line(why ? { draft, at, status: "failed", error: why } : { draft, at, status: "pending" }, key);
      this.#turn(draft.room);
    }
  }

  /** A session has opened. */
  live(): void {
    for (const room of this.#lines.keys()) this.#turn(room);
    void this.restore().catch(() => {});
  }

  /** Forgets everything, unsent. */
  clear(): void {
    this.#cleared++;
    for (const entry of [...this.#lines.values()].flat()) this.#remove(entry);
  }

  #find(room: string, clientId: string): Entry | undefined {
    return this.#lines.get(room)?.find((e) => e.outgoing.draft.client_id === clientId);
  }

  #line(outgoing: Outgoing, key: string): Entry {
    const entry = { outgoing, key, busy: false, attempts: 0, settled: [] };
    const { room } = outgoing.draft;
    const line = [...(this.#lines.get(room) ?? []), entry];
    this.#lines.set(room, line.sort((a, b) => a.outgoing.at - b.outgoing.at)); // what comes from storage is older than what was written meanwhile
    this.#show(room);
    return entry;
  }

  #remove(entry: Entry): void {
    const { room } = entry.outgoing.draft;
    const rest = (this.#lines.get(room) ?? []).filter((e) => e !== entry);
    if (rest.length > 0) this.#lines.set(room, rest);
    else this.#lines.delete(room);
    this.#gone.add(entry.key);
    void this.#write((storage) => storage.delete(entry.key)).finally(() => this.#gone.delete(entry.key)); // if it fails it is sent again, to no effect
    this.#show(room);
  }

  #show(room: string): void {
    const line = this.#lines.get(room);
    if (line) this.#shown.set(room, line.map((e) => e.outgoing));
    else this.#shown.delete(room);
    this.#parts.changed(room);
  }

  #keep(entry: Entry): void {
    const { draft, at, error } = entry.outgoing;
    const record: Record = { owner: this.#parts.name, draft, at, ...(error instanceof ParleyError ? { error: body(error) } : {}) };
    void this.#write((storage) => storage.put(entry.key, record)); // if it fails, with a full disk, it is sent all the same, if the page lives
  }

  async #write(act: (storage: Storage) => Promise<void>): Promise<void> {
    const { storage, name } = this.#parts;
    this.#named ??= storage.claim(name).catch(() => {});
    await this.#named;
    await act(storage).catch(() => {});
  }

  /** Sends the first message of a room that is to be sent, if it can be now. */
  #turn(room: string): void {
    const line = this.#lines.get(room) ?? [];
    const entry = line.find((e) => e.outgoing.status === "pending");
    if (!entry || line.some((e) => e.busy) || !this.#parts.link.session.get()) return;
    if (this.#parts.platform.now() - entry.outgoing.at > outboxTime) return this.#fail(entry, new OutboxError("expired"));
    entry.busy = true;
    entry.attempts++;
    this.#parts.link.call("message.send", entry.outgoing.draft).then(
      (result) => this.#sent(entry, result),
      (error: Error) => this.#refused(entry, error),
    );
  }

  #sent(entry: Entry, result: MessageSendResult): void {
    if (this.#holds(entry)) {
      this.#parts.sent(entry.outgoing.draft, result);
      this.#remove(entry);
    }
    for (const { resolve } of entry.settled) resolve(result);
    this.#turn(entry.outgoing.draft.room);
  }

  #refused(entry: Entry, error: Error): void {
    if (!this.#holds(entry)) return; // cancelled
    const again = () => {
      entry.busy = false;
      this.#turn(entry.outgoing.draft.room);
    };
    if (error instanceof LinkLostError || error instanceof LinkEndedError) return again();
    if (!(error instanceof ParleyError) || !passing.has(error.code)) return this.#fail(entry, error);
    const backoff = this.#parts.platform.random() * Math.min(30_000, 500 * 2 ** Math.min(entry.attempts, 10));
    const wait = (error.retryAfterMs ?? 0) + backoff;
    if (error.code === "rate_limited") {
      const { draft, at } = entry.outgoing;
      entry.outgoing = { draft, at, status: "pending", error, retryAt: this.#parts.platform.now() + wait };
      this.#show(draft.room);
    }
    this.#parts.platform.after(wait, again);
  }

  #fail(entry: Entry, error: Error): void {
    entry.busy = false;
    const { draft, at } = entry.outgoing;
    entry.outgoing = { draft, at, status: "failed", error };
    this.#keep(entry);
    this.#show(entry.outgoing.draft.room);
    for (const { reject } of entry.settled.splice(0)) reject(error);
    this.#turn(entry.outgoing.draft.room);
  }

  #holds(entry: Entry): boolean {
    return this.#lines.get(entry.outgoing.draft.room)?.includes(entry) ?? false;
  }
}

/** Refusals that say nothing about the message. */
const passing = new Set(["rate_limited", "unavailable", "unauthenticated"]);
const nothing: readonly Outgoing[] = [];
const prefix = "outbox/";

/** Keys sort as messages were given. */
function keyOf(at: number, clientId: string): string {
  return `${prefix}${String(at).padStart(15, "0")} ${clientId}`;
}

function body(error: ParleyError): ErrorBody {
  const { code, message, field } = error;
  return { code, message, ...(field === undefined ? {} : { field }) };
}
