import type {
  Cursors, EventFrame, Events, InboxEntry, Kind, Me, Member, Message, MessageCreatedData, Reaction, Role, Room, RoomEvent, Settings,
} from "../protocol.js";

/** A member of a room, as the fake server keeps it. */
export interface MemberState {
  role: Role;
  joined: string;
  since: number;
  read: number;
  delivered: number;
  settings: Pick<Me, "notify" | "pinned" | "archived">;
}

/** A room's log, and what follows from it. */
export class FakeRoom {
  readonly id: string;
  readonly kind: Kind;
  readonly log: RoomEvent[] = [];
  readonly members = new Map<string, MemberState>();
  /** What a client_id was answered with, by user and client_id. */
  readonly answered = new Map<string, { content: string; result: object }>();
  name = "";
  topic = "";
  avatar = "";
  data: unknown = null;
  settings: Settings = { history: "all", post: "members", slow_mode_s: 0, receipts: true, sample_per_s: 0, retention_days: 0 };
  readonly #now: () => string;
  readonly #createdAt: string;
  readonly #createdBy: string | null;
  readonly #messages = new Map<number, Message>();
  readonly #reactions = new Map<number, { user: string; emoji: string }[]>();

  constructor(id: string, kind: Kind, by: string | null, now: () => string) {
    this.id = id;
    this.kind = kind;
    this.#now = now;
    this.#createdAt = now();
    this.#createdBy = by;
  }

  get head(): number {
    return this.log.length;
  }

  /** How many messages were ever sent. */
  get count(): number {
    return this.#messages.size;
  }

  /** Writes the next event and carries out what it says. */
  append<N extends keyof Events>(event: N, user: string | null, data: Events[N]): EventFrame<N> {
    const frame: EventFrame<N> = { event, room: this.id, seq: this.head + 1, at: this.#now(), user, data };
    this.log.push(frame as unknown as RoomEvent);
    this.#apply(frame as unknown as RoomEvent);
    return frame;
  }

  /** The room object. */
  object(): Room {
    return {
      id: this.id, kind: this.kind, name: this.name, topic: this.topic, avatar: this.avatar, data: this.data, settings: this.settings,
      created_at: this.#createdAt, created_by: this.#createdBy, first: 1, head: this.head, messages: this.count,
    };
  }

  join(user: string, role: Role, seq: number): void {
    this.members.set(user, {
      role, joined: this.#now(), since: seq, read: seq, delivered: seq, settings: { notify: "all", pinned: false, archived: false },
    });
  }

  /** A user's own entry. */
  me(user: string): Me {
    const member = this.#member(user);
    const unread = this.#unread(user, member);
    return {
      role: member.role, read: member.read, delivered: member.delivered, unread: unread.length,
      mentions: unread.filter((message) => message.mentions.includes(user) && !message.deleted_at).length, ...member.settings,
    };
  }

  /** A user's row of the inbox. */
  entry(user: string): InboxEntry {
    const last = [...this.#messages.keys()].pop();
    return {
      room: this.object(), head: this.head, me: this.me(user), ...(last !== undefined && { last_message: this.message(last, user) as Message }),
    };
  }

  /** A message as it stands, as a user sees it. */
  message(seq: number, user: string): Message | undefined {
    const message = this.#messages.get(seq);
    if (!message) return undefined;
    const reactions: Reaction[] = [];
    for (const { user: by, emoji } of this.#reactions.get(seq) ?? []) {
      let row = reactions.find((reaction) => reaction.emoji === emoji);
      if (!row) reactions.push((row = { emoji, count: 0, mine: false }));
      row.count++;
      row.mine ||= by === user;
    }
    return { ...message, reactions };
  }

  /** Every message as it stands, oldest first; of a thread only the replies. */
  messages(user: string, thread?: number): Message[] {
    const all = [...this.#messages.keys()].map((seq) => this.message(seq, user) as Message);
    return thread === undefined ? all : all.filter((message) => message.thread === thread);
  }

  /** Whether a user has set a reaction. */
  reacted(seq: number, user: string, emoji: string): boolean {
    return (this.#reactions.get(seq) ?? []).some((reaction) => reaction.user === user && reaction.emoji === emoji);
  }

  /** Moves a member's cursors forward, never back; tells whether one moved. */
  advance(user: string, to: { delivered?: number; read?: number }): boolean {
    const member = this.#member(user);
    const read = Math.max(member.read, Math.min(to.read ?? 0, this.head));
    const delivered = Math.max(member.delivered, read, Math.min(to.delivered ?? 0, this.head));
    const moved = read !== member.read || delivered !== member.delivered;
    Object.assign(member, { read, delivered });
    return moved;
  }

  cursors(user: string): Cursors {
    const { delivered, read } = this.#member(user);
    return { user, delivered, read };
  }

  memberRows(): Member[] {
    return [...this.members].map(([user, { role, joined }]) => ({ user, role, joined_at: joined }));
  }

  #member(user: string): MemberState {
    const member = this.members.get(user);
    if (!member) throw new Error(`${user} is no member of ${this.id}`);
    return member;
  }

  #unread(user: string, member: MemberState): Message[] {
    let passed = 0;
    for (const message of this.#messages.values()) if (message.seq <= member.read || message.user === user) passed = message.n;
    return [...this.#messages.values()].filter((message) => message.n > passed);
  }

  #apply(frame: RoomEvent): void {
    switch (frame.event) {
      case "member.joined":
        for (const user of frame.data.users) this.join(user, frame.data.role, frame.seq);
        break;
      case "member.left":
        for (const user of frame.data.users) this.members.delete(user);
        break;
      case "room.updated":
        Object.assign(this, frame.data);
        break;
      case "message.created":
        this.#created(frame);
        break;
      case "message.edited":
        this.#change(frame.data.target, frame.seq, {
          text: frame.data.text ?? null, data: frame.data.data ?? null, attachments: frame.data.attachments ?? null, edited_at: frame.at,
        });
        break;
      case "message.deleted":
        this.#erase(frame.data.target);
        this.#reactions.delete(frame.data.target);
        this.#change(frame.data.target, frame.seq, { text: null, data: null, attachments: null, deleted_at: frame.at });
        break;
      case "reaction.added":
      case "reaction.removed":
        this.#react(frame);
    }
  }

  #created(frame: EventFrame<"message.created">): void {
    const { data, seq, at, user } = frame;
    this.#messages.set(seq, {
      room: this.id, seq, rev: seq, n: data.n, user, client_id: data.client_id ?? "", text: data.text ?? null, data: data.data ?? null,
      attachments: data.attachments ?? null, replies: 0, mentions: data.mentions ?? [], reactions: [], at,
      ...(data.reply_to !== undefined && { reply_to: data.reply_to }), ...(data.thread !== undefined && { thread: data.thread }),
    });
    const root = data.thread === undefined ? undefined : this.#messages.get(data.thread);
    if (root) this.#change(root.seq, seq, { replies: root.replies + 1 });
  }

  #react({ event, data, seq, user }: EventFrame<"reaction.added"> | EventFrame<"reaction.removed">): void {
    const others = (this.#reactions.get(data.target) ?? []).filter((other) => other.user !== user || other.emoji !== data.emoji);
    if (event === "reaction.added" && user !== null) others.push({ user, emoji: data.emoji });
    this.#reactions.set(data.target, others);
    this.#change(data.target, seq, {});
  }

  #change(seq: number, rev: number, fields: Partial<Message>): void {
    const message = this.#messages.get(seq);
    if (message) this.#messages.set(seq, { ...message, ...fields, rev });
  }

  /** Deletion is real: the log loses the content, too. */
  #erase(target: number): void {
    for (const event of this.log) {
      if (event.event === "message.created" && event.seq === target) {
        const { n, client_id, reply_to } = event.data;
        const kept: MessageCreatedData = { n, deleted: true };
        if (client_id !== undefined) kept.client_id = client_id;
        if (reply_to !== undefined) kept.reply_to = reply_to;
        event.data = kept;
      } else if (event.event === "message.edited" && event.data.target === target) {
        event.data = { target, deleted: true };
      }
    }
  }
}
