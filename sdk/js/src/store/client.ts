import { openLink } from "../connection.js";
import type { Callable, Frame, Link, LinkOptions, LinkState, ParamsOf, Platform, ResultOf } from "../link.js";
import type { Observable } from "../observable.js";
import { platformOf } from "../platform.js";
import { bounds } from "../protocol.js";
import type { HelloResult, InboxEntry, MessageSearchParams, MessageSearchResult, Resume, RoomCreateParams, Status, UserPresence } from "../protocol.js";
import { Copies } from "./copies.js";
import { Drafts } from "./drafts.js";
import { Inbox } from "./inbox.js";
import { Outbox } from "./outbox.js";
import { Presences, Users } from "./people.js";
import { Reports } from "./receipts.js";
import { Room } from "./room.js";
import { memoryStorage } from "./storage.js";
import type { Storage } from "./storage.js";

/** How a client is set up. */
export interface ParleyOptions extends Omit<LinkOptions, "device"> {
  /** This installation. Two clients at once must not be the same device. Without one, every client is a device of its own. */
  device?: string;
  /**
   * What outlives the page: the outbox, drafts, the inbox and the newest messages of the rooms seen last. browserStorage("alice") keeps them for alice; without
   * one they are gone with the page.
   */
  storage?: Storage;
  /** Opens the link. The default is openLink: a connection for each client. */
  open?: (options: LinkOptions) => Link;
  /** Messages that a timeline holds at most, 500 by default; further ones are loaded again when they are scrolled to. */
  timelineMessages?: number;
}

/** Rooms that are kept up to date though nobody looks: those seen last, so that going back to one shows it at once. */
const openRooms = 20;
/** How long one is followed after the last look at it that a session does not follow by itself, in milliseconds: in a live room one counts as watching. */
const linger = 5000;

/**
 * A user of a Parley server: connects, stays connected, and knows the rooms, the messages and who is there. Everything that changes is an Observable.
 * `Data` is the application's own type of `message.data`.
 */
export class Parley<Data = unknown> {
  /** What the connection is doing. */
  readonly connection: Observable<LinkState>;
  /** The user's rooms, and what is unread. */
  readonly inbox: Inbox;
  /** The profiles of users. */
  readonly users: Users;

  readonly #link: Link;
  readonly #platform: Pick<Platform, "now" | "random" | "after">;
  readonly #storage: Storage;
  readonly #outbox: Outbox;
  readonly #drafts: Drafts;
  readonly #reports: Reports;
  readonly #presences: Presences;
  readonly #copies: Copies;
  readonly #most: number;
  readonly #rooms = new Map<string, Room<Data>>();
  /** how many look at each room that is open, in the order in which they were looked at last */
  readonly #viewers = new Map<Room<Data>, number>();
  #restored: Promise<void> | undefined;
  #session: HelloResult | undefined;
  #me: string | undefined;
  #epoch = "";
  /** the positions named to the session that is being opened */
  #named = new Map<string, number>();

  /** Does nothing before start. Throws a TypeError for options that can never work. */
  constructor({ storage = memoryStorage(), open = openLink, device = newId(), timelineMessages = 500, ...options }: ParleyOptions) {
    // A session begins after what was kept is here, since it goes on from there.
    const token = async (): Promise<string> => {
      await this.#restored;
      return options.token();
    };
    const link = open({ ...options, device, token });
    const platform = platformOf(options.platform);
    this.#link = link;
    this.#platform = platform;
    this.#storage = storage;
    this.#most = Math.max(timelineMessages, 2 * bounds.maxListMessages);
    this.connection = link.state;
    this.users = new Users(link, platform);
    this.#presences = new Presences(link, platform);
    this.#copies = new Copies(storage, platform);
    this.#drafts = new Drafts(storage, platform);
    this.inbox = new Inbox({ link, platform, storage, me: () => this.#me, listed: (entries) => this.#listed(entries) });
    this.#reports = new Reports(link, platform, (room, unread) => this.inbox.confirmed(room, unread));
    this.#outbox = new Outbox({
      link, storage, platform,
      name: newId(),
      sent: (draft, result) => this.#rooms.get(draft.room)?.answered(draft, result),
      changed: (room) => this.#rooms.get(room)?.waiting(),
    });
    link.resumeFrom(() => this.#resume());
    link.session.subscribe(() => this.#turned());
    link.onFrame((frame) => this.#take(frame));
  }

  /** Shows what was kept, and connects. Does nothing if started. */
  start(): void {
    this.#restored ??= this.#restore();
    this.#link.start();
  }

  /** Disconnects. What waits in the outbox stays there; start goes on. */
  stop(): void {
    this.#link.stop();
  }

  /** The id of the user: undefined before the first session of this storage. */
  get me(): string | undefined {
    return this.#me;
  }

  /** A room, which need not exist or be known: the same object for the same id. */
  room(id: string): Room<Data> {
    let room = this.#rooms.get(id);
    if (!room) {
      const { inbox } = this;
      room = new Room<Data>(id, {
        link: this.#link, platform: this.#platform, inbox, outbox: this.#outbox, drafts: this.#drafts, reports: this.#reports, most: this.#most,
        me: () => this.#me,
        newId,
        watched: () => this.#watched(this.room(id)),
        changed: () => this.#changed(this.room(id)),
      });
      this.#rooms.set(id, room);
    }
    return room;
  }

  /** The room of the user and another, made if there is none. */
  direct(user: string): Promise<Room<Data>> {
    return this.create({ kind: "direct", members: [user] });
  }

  /** Makes a room. A repeat with the same client_id makes no second one. */
  async create(params: RoomCreateParams): Promise<Room<Data>> {
    const { room } = await this.call("room.create", { client_id: newId(), ...params });
    return this.room(room.id);
  }

  /** Finds messages by their words, newest first: in one room, or in the 200 most recent ones. */
  search(params: MessageSearchParams): Promise<MessageSearchResult> {
    return this.call("message.search", params);
  }

  /** How a user is seen, for as long as somebody subscribes; undefined until that is known. */
  presence(user: string): Observable<UserPresence | undefined> {
    return this.#presences.get(user);
  }

  /** Sets the user's own status, on all devices. */
  async setStatus(status: Exclude<Status, "offline">): Promise<void> {
    await this.call("presence.set", { status });
  }

  /** Calls any method of the protocol, as Link.call does. */
  call<M extends Callable>(method: M, params: ParamsOf<M>, options?: { signal?: AbortSignal | undefined }): Promise<ResultOf<M>> {
    return this.#link.call(method, params, options);
  }

  async #restore(): Promise<void> {
    try {
      const [[, owner] = []] = await this.#storage.list("user");
      this.#me = owner as string | undefined;
      await Promise.all([this.inbox.restore(), this.#copies.restore(), this.#drafts.restore()]);
    } catch {
      // Without the copy everything is asked of the server.
    }
    for (const room of this.#viewers.keys()) this.#show(room);
    void this.#outbox.restore().catch(() => {});
  }

  /** Shows the copy of a room that nobody has looked at yet. */
  #show(room: Room<Data>): void {
    const copy = this.#copies.of(room.id);
    if (copy && room.position === undefined) {
      this.#epoch ||= copy.epoch;
      if (copy.epoch === this.#epoch) room.restore(copy.window);
    }
  }

  #resume(): Resume | undefined {
    const positions = [...this.#viewers.keys()].flatMap((room) => (room.position === undefined ? [] : [[room.id, room.position] as const]));
    this.#named = new Map(positions.slice(-bounds.maxResumeRooms));
    return this.#named.size > 0 ? { epoch: this.#epoch, rooms: Object.fromEntries(this.#named) } : undefined;
  }

  /** A session has ended or opened, or one has taken the place of another. */
  #turned(): void {
    if (this.#session) {
      this.#presences.clear();
      for (const room of this.#rooms.values()) room.ended();
    }
    const session = (this.#session = this.#link.session.get());
    if (!session) return;
    const named = session.epoch === this.#epoch ? this.#named : new Map<string, number>();
    this.#epoch = session.epoch;
    for (const room of this.#viewers.keys()) room.opened(named.get(room.id));
    // Calls go to the new session once the link has finished with the old one.
    queueMicrotask(() => {
      if (this.#session === session) this.#live(session);
    });
  }

  #live(session: HelloResult): void {
    if (this.#me !== session.user) this.#enter(session.user);
    this.inbox.live();
    this.users.live();
    this.#presences.live();
    for (const room of this.#viewers.keys()) room.live();
    for (const room of this.#rooms.values()) room.stale();
    this.#outbox.live();
    this.#reports.flush();
  }

  /** The session is another user's than what is kept here, or the first. */
  #enter(user: string): void {
    if (this.#me !== undefined) {
      this.inbox.clear();
      this.#outbox.clear();
      this.#drafts.clear();
      this.#reports.clear();
      this.#copies.clear();
      for (const room of this.#rooms.values()) room.forget();
      void this.#storage.delete("inbox").catch(() => {});
    }
    this.#me = user;
    void this.#storage.put("user", user).catch(() => {});
    for (const room of this.#rooms.values()) room.waiting(); // which messages are one's own
  }

  #take(frame: Frame): void {
    this.inbox.take(frame);
    if (frame.event === "presence") this.#presences.take(frame.user ?? "", frame.data);
    if (frame.room === undefined) return;
    this.#rooms.get(frame.room)?.take(frame);
    if (frame.event === "room.removed") this.#copies.delete(frame.room);
    if ("seq" in frame && frame.user !== this.#me) this.#arrived(frame.room, frame.seq);
  }

  #listed(entries: readonly InboxEntry[]): void {
    for (const { room, head, me, last_message } of entries) {
      if (last_message && last_message.seq > me.delivered && last_message.user !== this.#me) this.#arrived(room.id, head);
    }
  }

  /** Everything of a room up to seq is on this device. */
  #arrived(room: string, seq: number): void {
    const entry = this.inbox.entry(room);
    if (entry && entry.room.kind !== "live" && seq > entry.me.delivered) this.#reports.note("delivered", room, seq);
  }

  /** Somebody looks at a room, until the function that is returned is called. */
  #watched(room: Room<Data>): () => void {
    const known = this.#viewers.get(room) ?? 0;
    this.#viewers.delete(room);
    this.#viewers.set(room, known + 1);
    this.#show(room);
    return () => {
      this.#viewers.set(room, (this.#viewers.get(room) ?? 1) - 1);
      this.#close();
      if (room.apart) this.#platform.after(linger, () => this.#leave(room));
    };
  }

  #leave(room: Room<Data>): void {
    if (this.#viewers.get(room) !== 0) return;
    this.#viewers.delete(room);
    room.close();
  }

  /** Closes the rooms that were looked at longest ago, if there are too many. */
  #close(): void {
    for (const [room, viewers] of this.#viewers) {
      if (this.#viewers.size <= openRooms) return;
      if (viewers === 0) this.#leave(room);
    }
  }

  /** The messages of a room have changed: its copy is made anew. */
  #changed(room: Room<Data>): void {
    this.#copies.keep(room.id, () => {
      const window = room.timeline.kept(bounds.defaultListMessages);
      return window && { epoch: this.#epoch, window };
    });
  }
}

/** An id for a message or a device: 128 random bits. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
