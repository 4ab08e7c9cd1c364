// A room's log as a server has it, written down the slow and plain way: messages are made anew from all events whenever they are asked for.

import type { Message, MessageListParams, MessageListResult, RoomEvent } from "../../src/protocol.js";

export const room = "r_1";

/** What happens next in a room; `at` picks a message. */
export type Happening =
  | { what: "created"; user: string; mentions?: string[]; client_id?: string }
  | { what: "reply" | "edited" | "deleted" | "added" | "removed"; user: string; at: number }
  | { what: "joined"; user: string };

/** The log of one room. */
export class Log {
  readonly events: RoomEvent[] = [];
  readonly #reactions = new Set<string>();
  #n = 0;

  get head(): number {
    return this.events.length;
  }

  /** Appends what happens, unless it is nothing; the event. */
  happen(h: Happening): RoomEvent | undefined {
    const base = { room, seq: this.head + 1, at: new Date(1e12 + this.head * 1000).toISOString(), user: h.user };
    const event = this.#event(h, base);
    if (event) this.events.push(event);
    return event;
  }

  #event(h: Happening, base: { room: string; seq: number; at: string; user: string }): RoomEvent | undefined {
    if (h.what === "joined") return { ...base, event: "member.joined", data: { users: [h.user], role: "member" } };
    if (h.what === "created") {
      const data = { n: ++this.#n, client_id: h.client_id ?? `c${base.seq}`, text: `text ${base.seq}`, ...(h.mentions ? { mentions: h.mentions } : {}) };
      return { ...base, event: "message.created", data };
    }
    const there = this.messages().filter((m) => !m.deleted_at);
    const target = there[h.at % Math.max(there.length, 1)];
    if (!target) return undefined;
    switch (h.what) {
      case "reply": {
        const data = { n: ++this.#n, client_id: `c${base.seq}`, text: `reply ${base.seq}`, reply_to: target.seq, thread: target.thread ?? target.seq };
        return { ...base, event: "message.created", data };
      }
      case "edited":
        return { ...base, event: "message.edited", data: { target: target.seq, text: `edit ${base.seq}` } };
      case "deleted":
        return { ...base, event: "message.deleted", data: { target: target.seq } };
      default: {
        const key = `${target.seq} ${h.user}`;
        if (this.#reactions.has(key) === (h.what === "added")) return undefined;
        if (h.what === "added") this.#reactions.add(key);
        else this.#reactions.delete(key);
        return { ...base, event: `reaction.${h.what}`, data: { target: target.seq, emoji: "👍" } };
      }
    }
  }

  /** All messages as they stand, as alice sees them. */
  messages(): Message[] {
    const found = new Map<number, Message>();
    for (const e of this.events) {
      if (e.event === "message.created") {
        const { client_id = "", n, text = null, reply_to, thread, mentions = [] } = e.data;
        found.set(e.seq, {
          room, seq: e.seq, rev: e.seq, n, user: e.user, client_id, text, data: null, attachments: null, replies: 0, mentions, reactions: [], at: e.at,
          ...(reply_to ? { reply_to } : {}), ...(thread ? { thread } : {}),
        });
        const root = found.get(thread ?? 0);
        if (root) Object.assign(root, { replies: root.replies + 1, rev: e.seq });
      }
      const m = "target" in e.data ? found.get(e.data.target) : undefined;
      if (!m) continue;
      m.rev = e.seq;
      if (e.event === "message.edited") Object.assign(m, { text: e.data.text, edited_at: e.at });
      if (e.event === "message.deleted") Object.assign(m, { text: null, mentions: [], reactions: [], deleted_at: e.at });
      if (e.event === "reaction.added" || e.event === "reaction.removed") {
        const was = m.reactions[0] ?? { emoji: "👍", count: 0, mine: false };
        const step = e.event === "reaction.added" ? 1 : -1;
        const now = { emoji: "👍", count: was.count + step, mine: e.user === "alice" ? step > 0 : was.mine };
        m.reactions = now.count > 0 ? [now] : [];
      }
    }
    return [...found.values()];
  }

  /** Answers message.list (§4.3). */
  list({ before, after, around, limit = 50, thread }: MessageListParams): MessageListResult {
    const all = this.messages().filter((m) => thread === undefined || m.thread === thread);
    const page = (messages: Message[], more: boolean): MessageListResult => structuredClone({ messages, more, head: this.head });
    if (after !== undefined) {
      const rest = all.filter((m) => m.seq > after);
      return page(rest.slice(0, limit), rest.length > limit);
    }
    if (around !== undefined) {
      const left = all.filter((m) => m.seq < around).length;
      const from = Math.max(0, left - (limit >> 1));
      return page(all.slice(from, from + limit), from > 0 || from + limit < all.length);
    }
    const rest = all.filter((m) => m.seq < (before ?? Infinity));
    return page(rest.slice(-limit), rest.length > limit);
  }
}
