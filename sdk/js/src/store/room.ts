import type { Frame, Link, Platform, ResultOf } from "../link.js";
import { Value } from "../observable.js";
import type { Observable } from "../observable.js";
import type { Attachment, InboxEntry, MemberSettingsParams, Message, MessageEditParams, MessageSendParams, MessageSendResult, Room as RoomObject, RoomEvent, SignalFrame } from "../protocol.js";
import { About } from "./about.js";
import { Derived } from "./derived.js";
import type { Draft, Drafts } from "./drafts.js";
import type { Inbox } from "./inbox.js";
import { Members } from "./members.js";
import { sent } from "./message.js";
import type { Outbox } from "./outbox.js";
import { RoomReceipts } from "./receipts.js";
import type { Reports, Ticks } from "./receipts.js";
import { Singles } from "./single.js";
import { Timeline } from "./timeline.js";
import type { Surroundings } from "./timeline.js";
import { Typing } from "./typing.js";
import type { Window } from "./window.js";

/** What a message says: at least one of text, data and attachments. `Data` is the application's own type of messages. */
export interface Content<Data = unknown> {
  /** at most 8 KiB of UTF-8 */
  text?: string;
  /** the application's own, any JSON of at most 16 KiB */
  data?: Data;
  /** at most 10 */
  attachments?: Attachment[];
  /** the seq of the message that it answers */
  reply_to?: number;
  /** users who are told, at most 50 */
  mentions?: string[];
}

/** What a room is made with. */
export interface RoomParts {
  link: Link;
  platform: Pick<Platform, "now" | "random" | "after">;
  inbox: Inbox;
  outbox: Outbox;
  drafts: Drafts;
  reports: Reports;
  /** messages that a timeline holds at most */
  most: number;
  me(): string | undefined;
  /** made once for each message: 1–64 printable ASCII characters */
  newId(): string;
  /** A timeline came into view, or went out of it. */
  watched(): () => void;
  /** The newest messages have changed: they may be kept. */
  changed(): void;
}

/** One room: what it shows and what the user does in it. Reactions, edits and deletions are shown once the server has taken them. */
export class Room<Data = unknown> {
  readonly id: string;
  /** The messages of the room. It is loaded, and kept up to date, while somebody subscribes to it. */
  readonly timeline: Timeline<Data>;
  /** The room in the user's inbox: its name, what is unread, one's own settings. Undefined if it is none of the user's rooms. */
  readonly entry: Observable<InboxEntry | undefined>;
  /** The room itself, whoever's it is: undefined until it is known, null where there is none that the user may see. */
  readonly about: Observable<RoomObject | null | undefined>;
  /** The other members who type now. Best effort; nobody does in rooms of over 100 members. */
  readonly typing: Observable<readonly string[]>;
  /** How far the other members have got. Known while the timeline is in view, in rooms of up to 1,000 members that show receipts. */
  readonly ticks: Observable<Ticks>;
  /** How many sessions watch a live room; undefined until that is told. */
  readonly audience: Observable<number | undefined>;
  /** Who is in the room. */
  readonly members: Members;
  /** The other user of a direct room, which is called by their name; undefined in other rooms, and until it is known. */
  readonly peer: Observable<string | undefined>;
  /** What the user has begun to write here, in this or an earlier page; see keep. */
  readonly draft: Observable<Draft | undefined>;

  readonly #parts: RoomParts;
  readonly #about: About;
  readonly #receipts: RoomReceipts;
  readonly #typing: Typing;
  readonly #audience = new Value<number | undefined>(undefined);
  readonly #ticks = new Value(0);
  readonly #threads = new Map<number, Timeline<Data>>();
  readonly #singles: Singles;
  #open = false;
  /** the call that follows the room in this session */
  #following: Promise<unknown> | undefined;

  /** For Parley: an application finds rooms at Parley.room. */
  constructor(id: string, parts: RoomParts) {
    this.id = id;
    this.#parts = parts;
    this.#receipts = new RoomReceipts(id, parts.link, () => {
      this.#ticks.set(this.#ticks.get() + 1);
      this.#all((timeline) => timeline.changed());
    });
    this.#typing = new Typing(id, parts.link, parts.platform);
    this.#singles = new Singles(id, parts.link, parts.me);
    this.members = new Members(id, parts.link);
    this.draft = parts.drafts.of(id);
    this.timeline = this.#timeline(undefined);
    this.typing = this.#typing.users;
    this.audience = this.#audience;
    this.entry = { get: () => parts.inbox.entry(id), subscribe: (listener) => parts.inbox.subscribe(listener) };
    this.about = this.#about = new About(id, parts.link, this.entry);
    this.ticks = { get: () => this.#receipts.get(), subscribe: (listener) => this.#ticks.subscribe(listener) };
    const peer = new Derived<string | undefined>(undefined, () => this.#peer(), () => this.#lookForPeer(() => peer.invalidate()));
    this.peer = peer;
  }

  /** A message wherever the timeline stands: undefined until it is known, null if there is none. It is kept up to date while somebody subscribes. */
  message(seq: number): Observable<Message | null | undefined> {
    return this.#singles.get(seq);
  }

  /** The replies below a message, which are in the room's timeline, too. */
  thread(seq: number): Timeline<Data> {
    let thread = this.#threads.get(seq);
    if (!thread) {
      thread = this.#timeline(seq);
      this.#threads.set(seq, thread);
    }
    return thread;
  }

  /**
   * Sends a message: it is shown at once, waits for a connection if it must, and is stored once. Resolves when it is; rejects with a ParleyError if the
   * server refuses it, or an OutboxError. Nobody needs to wait: the timeline shows what becomes of it, after a reload, too.
   */
  send(content: Content<Data>): Promise<MessageSendResult> {
    this.#typing.stop();
    const draft: MessageSendParams = { ...content, room: this.id, client_id: this.#parts.newId() };
    const result = this.#parts.outbox.add(draft);
    result.catch(() => {}); // a failure is in the timeline; it is no unhandled rejection
    return result;
  }

  /** Sends a failed message again, under the key of its line. */
  retry(key: string): void {
    this.#parts.outbox.retry(this.id, key);
  }

  /** Takes back a message that has failed or still waits, under the key of its line. One that is just being sent may be stored all the same. */
  cancel(key: string): void {
    this.#parts.outbox.cancel(this.id, key);
  }

  /** Changes a message of one's own: absent = unchanged, null = removed. */
  edit(seq: number, content: Pick<MessageEditParams, "text" | "attachments"> & { data?: Data | null }): Promise<ResultOf<"message.edit">> {
    return this.#parts.link.call("message.edit", { ...content, room: this.id, seq, client_id: this.#parts.newId() });
  }

  /** Deletes a message for everyone, for good. */
  delete(seq: number): Promise<ResultOf<"message.delete">> {
    return this.#parts.link.call("message.delete", { room: this.id, seq });
  }

  /** Sets a reaction, or takes it back. */
  react(seq: number, emoji: string, on = true): Promise<ResultOf<"reaction.add">> {
    return this.#parts.link.call(on ? "reaction.add" : "reaction.remove", { room: this.id, seq, emoji });
  }

  /** The user has read everything up to a message; without one, everything there is. Counts change at once, the server is told within a second. */
  read(seq = this.entry.get()?.head): void {
    const entry = this.entry.get();
    if (!entry || seq === undefined || seq <= entry.me.read || entry.room.kind === "live") return;
    this.#parts.inbox.read(this.id, seq);
    this.#parts.reports.note("read", this.id, seq);
  }

  /** The user has pressed a key. Call it as often as you like; the others see it end 5 seconds after the last call, or when a message is sent. */
  type(): void {
    this.#typing.start();
  }

  /** Keeps what the user has begun to write, where the storage keeps anything. One without text that answers nothing is none; sending does not end it. */
  keep(draft: Draft): void {
    this.#parts.drafts.set(this.id, draft);
  }

  /** Changes the user's own settings of the room. */
  async set(settings: Omit<MemberSettingsParams, "room">): Promise<void> {
    await this.#parts.link.call("member.settings", { ...settings, room: this.id });
    this.#parts.inbox.changed();
  }

  /** Whether somebody has looked at it since it was closed last. For Parley, as what follows. */
  get open(): boolean {
    return this.#open;
  }

  /** The position that the next session is to resume from; undefined where there is none. */
  get position(): number | undefined {
    const positions = this.#timelines().flatMap((timeline) => timeline.position ?? []);
    return positions.length > 0 ? Math.min(...positions) : undefined;
  }

  /** A session has opened. `followed` is the position that it goes on from, if it does. */
  opened(followed: number | undefined): void {
    this.#following = undefined;
    this.#all((timeline) => {
      if (followed === undefined || (timeline.position ?? -1) < followed) timeline.lost();
    });
  }

  /** The session takes calls. */
  live(): void {
    if (this.#open) this.#load();
  }

  /** What is known beside the timelines may have changed unseen: a session has opened, or its stream goes on elsewhere. */
  stale(): void {
    this.#about.stale();
    this.members.stale();
    this.#singles.stale();
  }

  /** The session has ended. */
  ended(): void {
    this.#typing.clear();
    this.#audience.set(undefined);
  }

  /** Takes what the session brings about the room, in order. */
  take(frame: Frame): void {
    switch (frame.event) {
      case "typing":
        return this.#typing.take(frame.user ?? "", frame.data);
      case "receipt":
        return this.#receipts.moved(frame.data.members);
      case "audience":
        return this.#audience.set(frame.data.watching);
      case "reset":
        this.#all((timeline) => timeline.lost());
        this.stale();
        return this.#load();
      case "skipped":
        return this.#pass(frame);
      case "room.added":
        this.stale();
        return this.live();
      case "room.removed": // what was seen stays in view; there is nothing to go on from
        this.members.clear();
        this.#about.gone();
        return this.#all((timeline) => timeline.lost());
      case "presence":
        return;
    }
    if (frame.event === "message.created" && frame.user !== null) this.#typing.ended(frame.user);
    this.#receipts.take(frame);
    this.#about.take(frame);
    this.members.take(frame);
    this.#singles.take(frame);
    this.#pass(frame);
  }

  /** A message of the user's was stored. */
  answered(draft: MessageSendParams, result: MessageSendResult): void {
    const message = sent(draft, result, this.#parts.me() ?? "");
    this.#all((timeline) => timeline.answered(message));
  }

  /** What waits to be sent has changed. */
  waiting(): void {
    this.#all((timeline) => timeline.changed());
  }

  /** Begins with a copy of the newest messages from an earlier page. */
  restore(window: Window): void {
    this.timeline.restore(window);
    this.#open = true;
    if (!this.#parts.link.session.get()) return;
    this.timeline.lost(); // the session began without its position
    this.#load();
  }

  /** The room went out of view some time ago: nothing of it is kept up to date. */
  close(): void {
    this.#open = false;
    this.#drop();
    this.#threads.clear();
    const following = this.#following;
    this.#following = undefined;
    const { link } = this.#parts;
    if (following && this.apart && link.session.get()) void link.call("room.unsubscribe", { room: this.id }).catch(() => {});
  }

  /** Nothing that was seen is to be shown: the user is another one. */
  forget(): void {
    this.#drop();
    this.#about.clear();
    this.members.clear();
    this.#singles.clear();
  }

  #drop(): void {
    this.#all((timeline) => timeline.drop());
    this.#receipts.clear();
  }

  /** Whoever made the room or spoke last is the other one, unless it was the user; then the list of members tells. */
  #peer(): string | undefined {
    const entry = this.entry.get();
    if (entry?.room.kind !== "direct") return undefined;
    const me = this.#parts.me();
    return [entry.room.created_by, entry.last_message?.user, ...this.members.get().members.map((m) => m.user)].find((user) => user && user !== me) ?? undefined;
  }

  #lookForPeer(changed: () => void): () => void {
    let leave: (() => void) | undefined;
    const look = (): void => {
      if (!leave && this.entry.get()?.room.kind === "direct" && this.#peer() === undefined) leave = this.members.subscribe(changed);
      changed();
    };
    const end = this.entry.subscribe(look);
    look();
    return () => {
      end();
      leave?.();
    };
  }

  #timelines(): Timeline<Data>[] {
    return [this.timeline, ...this.#threads.values()];
  }

  #all(act: (timeline: Timeline<Data>) => void): void {
    this.#timelines().forEach(act);
  }

  #pass(frame: RoomEvent | SignalFrame<"skipped">): void {
    if (!this.#open) return;
    this.#all((timeline) => timeline.take(frame));
    this.#parts.changed();
  }

  #timeline(thread: number | undefined): Timeline<Data> {
    const { link, outbox, most, me } = this.#parts;
    const surroundings: Surroundings = {
      list: async (params) => {
        await this.#follow();
        const page = await link.call("message.list", params);
        this.#parts.changed();
        return page;
      },
      ready: () => link.session.get() !== undefined,
      me,
      outgoing: () => outbox.of(this.id),
      ticks: () => this.#receipts.get(),
      watched: () => {
        const opened = !this.#open;
        this.#open = true;
        if (thread !== undefined) this.#threads.set(thread, timeline);
        const end = this.#parts.watched();
        if (opened) this.#load();
        else void timeline.refresh();
        return () => {
          if (thread !== undefined && this.#threads.delete(thread)) timeline.drop();
          end();
        };
      },
      most,
    };
    const timeline = new Timeline<Data>(this.id, thread, surroundings);
    return timeline;
  }

  #load(): void {
    if (!this.#parts.link.session.get()) return;
    this.#all((timeline) => void timeline.refresh());
    if (this.entry.get()?.room.kind !== "live") void this.#receipts.load();
  }

  /** Whether the room is one that a session does not follow by itself: live, or none of the user's. */
  get apart(): boolean {
    return (this.entry.get()?.room.kind ?? "live") === "live";
  }

  async #follow(): Promise<void> {
    if (!this.apart) return;
    this.#following ??= this.#parts.link.call("room.subscribe", { room: this.id });
    await this.#following;
  }
}
