// What events do to messages (§4.3, §5). Everything here is pure; objects that do not change keep their identity, so that a view repaints only what did.

import type { EventFrame, Message, MessageSendParams, MessageSendResult, Reaction, RoomEvent } from "../protocol.js";

/** The message that a message.created event brings in. */
export function created(event: EventFrame<"message.created">): Message {
  const { data } = event;
  return {
    room: event.room,
    seq: event.seq,
    rev: event.seq,
    n: data.n,
    user: event.user,
    client_id: data.client_id ?? "",
    text: data.text ?? null,
    data: data.data ?? null,
    attachments: data.attachments ?? null,
    ...(data.reply_to ? { reply_to: data.reply_to } : {}),
    ...(data.thread ? { thread: data.thread } : {}),
    replies: 0,
    mentions: data.mentions ?? [],
    reactions: [],
    at: event.at,
    // The log tells when it was deleted further on; until then, that it was.
    ...(data.deleted ? { deleted_at: event.at } : {}),
  };
}

/** The message that a draft has become, as its sender knows it from the answer. Its thread is told by the event alone. */
export function sent(draft: MessageSendParams, result: MessageSendResult, user: string): Message {
  const { room, client_id, text, data, attachments, reply_to, mentions } = draft;
  const whole = { client_id, n: result.n, text, data, attachments, reply_to, mentions } as EventFrame<"message.created">["data"];
  return created({ event: "message.created", room, seq: result.seq, at: result.at, user, data: whole });
}

/** The seq of the message that an event changes, or undefined if it changes none. A reply changes the root of its thread. */
export function target(event: RoomEvent): number | undefined {
  switch (event.event) {
    case "message.created":
      return event.data.thread;
    case "message.edited":
    case "message.deleted":
    case "reaction.added":
    case "reaction.removed":
      return event.data.target;
    default:
      return undefined;
  }
}

/** The message after an event whose target it is; the same object if the message tells that the event is in already (promise 8). */
export function changed(message: Message, event: RoomEvent, me: string | undefined): Message {
  if (event.seq <= message.rev) {
    return message;
  }
  const rev = event.seq;
  switch (event.event) {
    case "message.created":
      return { ...message, rev, replies: message.replies + 1 };
    case "message.edited": {
      const { text = null, data = null, attachments = null, deleted } = event.data;
      return deleted ? { ...message, rev, edited_at: event.at } : { ...message, rev, text, data, attachments, edited_at: event.at };
    }
    case "message.deleted":
      return { ...message, rev, text: null, data: null, attachments: null, mentions: [], reactions: [], deleted_at: event.at };
    case "reaction.added":
    case "reaction.removed": {
      const step = event.event === "reaction.added" ? 1 : -1;
      return message.deleted_at ? { ...message, rev } : { ...message, rev, reactions: reacted(message.reactions, event.data.emoji, step, event.user === me) };
    }
    default:
      return message;
  }
}

function reacted(reactions: readonly Reaction[], emoji: string, step: 1 | -1, mine: boolean): Reaction[] {
  const known = reactions.find((r) => r.emoji === emoji);
  const now = { emoji, count: (known?.count ?? 0) + step, mine: mine ? step > 0 : (known?.mine ?? false) };
  const after = known ? reactions.map((r) => (r === known ? now : r)) : [...reactions, now];
  return after.filter((r) => r.count > 0);
}
