import { ParleyError } from "../errors.js";
import type { Callable, ParamsOf, ResultOf } from "../link.js";
import type { ErrorCode, MessageCreatedData, User } from "../protocol.js";
import { FakeRoom } from "./room.js";
import type { FakeServer, FakeSession } from "./server.js";

/** Who calls, and what a method can do besides answering. */
export interface FakeCall {
  server: FakeServer;
  user: string;
  /** The session of the call; undefined for an HTTP call without one. */
  session: FakeSession | undefined;
  /** Does something once the call is answered. */
  then(what: () => void): void;
}

/** What the fake server answers a method with. It refuses by throwing what `refuse` makes. */
export type FakeMethod<M extends Callable> = (call: FakeCall, params: ParamsOf<M>) => ResultOf<M>;

/** The methods that the fake server knows. */
export type FakeMethods = { [M in Callable]?: FakeMethod<M> };

/** Makes a refusal. */
export function refuse(code: ErrorCode, message: string, field?: string): ParleyError {
  return new ParleyError({ code, message, ...(field !== undefined && { field }) });
}

/** The room of that id, if the caller may see it. */
function visible({ server, user }: FakeCall, id: string): FakeRoom {
  const room = server.rooms.get(id);
  const open = room?.kind === "channel" || room?.kind === "live";
  if (!room || (!open && !room.members.has(user))) throw refuse("not_found", "There is no such room, or you may not see it.", "room");
  return room;
}

/** Carries out a call that makes an event once for each client_id. */
function once<R extends object>(call: FakeCall, room: FakeRoom, params: { client_id?: string }, make: () => R): R {
  if (params.client_id === undefined) return make();
  const key = `${call.user} ${params.client_id}`;
  const content = JSON.stringify(params);
  const before = room.answered.get(key);
  if (before) {
    if (before.content !== content) throw refuse("conflict", "This client_id was used for something else.", "client_id");
    return { ...(before.result as R), duplicate: true };
  }
  const result = make();
  room.answered.set(key, { content, result });
  return result;
}

function target(room: FakeRoom, seq: number, field = "seq"): void {
  const message = room.message(seq, "");
  if (!message || message.deleted_at) throw refuse("not_found", "There is no such message.", field);
}

function needSession({ session }: FakeCall): FakeSession {
  if (!session) throw refuse("bad_request", "This method needs a session.", "session");
  return session;
}

const rooms: FakeMethods = {
  "room.create"(call, { kind, members = [], name, topic, data }) {
    const { server, user } = call;
    if (kind === "direct") {
      const pair = [...server.rooms.values()].find((room) => room.kind === kind && room.members.has(user) && room.members.has(members[0] ?? ""));
      if (pair) return { room: pair.object(), duplicate: true };
    }
    const room = server.createRoom({ kind, by: user, members: [user, ...members], name, topic, data });
    return { room: room.object() };
  },
  "room.get"(call, { room: id }) {
    const room = visible(call, id);
    return { room: room.object(), members_count: room.members.size, head: room.head, ...(room.members.has(call.user) && { me: room.me(call.user) }) };
  },
  "room.update"(call, params) {
    const room = visible(call, params.room);
    const { room: _, client_id, settings, ...fields } = params;
    const made = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value ?? ""]));
    const { seq } = call.server.write(room, "room.updated", call.user, made);
    return { room: room.object(), seq };
  },
  "room.delete"(call, { room: id }) {
    const room = visible(call, id);
    const { seq } = call.server.write(room, "room.deleted", call.user, {});
    call.server.remove(room, [...room.members.keys()], "deleted");
    call.server.rooms.delete(id);
    return { seq };
  },
  // `since` is honoured by telling everything: that is what "at least" allows.
  "room.list"({ server, user }, { limit = 100, page, kinds, since }) {
    const mine = [...server.rooms.values()]
      .filter((room) => room.members.has(user) && (!kinds || kinds.includes(room.kind)))
      .sort((a, b) => (b.log.at(-1)?.at ?? "").localeCompare(a.log.at(-1)?.at ?? ""));
    const start = Number(page ?? 0);
    return {
      rooms: mine.slice(start, start + limit).map((room) => room.entry(user)),
      removed: since === undefined ? [] : server.leftBy(user),
      token: "t",
      ...(start + limit < mine.length && { page: String(start + limit) }),
    };
  },
  "room.browse"({ server }, { query = "" }) {
    return { rooms: [...server.rooms.values()].filter((room) => room.kind === "channel" && room.name.startsWith(query)).map((room) => room.object()) };
  },
  "room.join"(call, { room: id }) {
    const room = visible(call, id);
    if (room.members.has(call.user)) return { room: room.object(), seq: room.head, me: room.me(call.user), duplicate: true };
    const { seq } = call.server.add(room, [call.user], call.user);
    return { room: room.object(), seq, me: room.me(call.user) };
  },
  "room.leave"(call, { room: id }) {
    const room = visible(call, id);
    const { seq } = call.server.write(room, "member.left", call.user, { users: [call.user], reason: "left" });
    call.server.remove(room, [call.user], "left");
    return { seq };
  },
  "room.subscribe"(call, { room: id, after }) {
    const room = visible(call, id);
    const session = needSession(call);
    const { head } = room;
    if (!session.follows(room)) {
      session.follow(room);
      if (after !== undefined) call.then(() => session.replay(room, after));
    }
    return { head };
  },
  "room.unsubscribe"(call, { room: id }) {
    needSession(call).unfollow(visible(call, id));
    return {};
  },
  "member.add"(call, { room: id, users }) {
    const room = visible(call, id);
    const added = users.filter((user) => !room.members.has(user));
    if (added.length === 0) return { seq: room.head, added, duplicate: true };
    return { seq: call.server.add(room, added, call.user).seq, added };
  },
  "member.remove"(call, { room: id, user }) {
    const room = visible(call, id);
    const { seq } = call.server.write(room, "member.left", call.user, { users: [user], reason: "removed" });
    call.server.remove(room, [user], "removed");
    return { seq };
  },
  "member.list"(call, { room: id }) {
    const room = visible(call, id);
    return { members: room.memberRows(), head: room.head };
  },
  "member.settings"(call, { room: id, ...settings }) {
    Object.assign(visible(call, id).members.get(call.user)?.settings ?? {}, settings);
    return {};
  },
};

const messages: FakeMethods = {
  "message.send"(call, params) {
    const room = visible(call, params.room);
    if (!params.text && params.data == null && !params.attachments?.length) throw refuse("bad_request", "A message needs a text, data or attachments.", "text");
    return once(call, room, params, () => {
      const { room: id, ...content } = params;
      const n = room.count + 1;
      const data: MessageCreatedData = { ...content, n };
      if (params.reply_to !== undefined) {
        target(room, params.reply_to, "reply_to");
        data.thread = room.message(params.reply_to, "")?.thread ?? params.reply_to;
      }
      const { seq, at } = call.server.write(room, "message.created", call.user, data);
      return { room: id, seq, n, at };
    });
  },
  "message.edit"(call, params) {
    const room = visible(call, params.room);
    return once(call, room, params, () => {
      target(room, params.seq);
      const message = room.message(params.seq, call.user);
      if (message?.user !== call.user) throw refuse("forbidden", "Only its author may edit a message.");
      const whole = { text: params.text === undefined ? message.text : params.text, data: params.data === undefined ? message.data : params.data };
      const { seq } = call.server.write(room, "message.edited", call.user, {
        target: params.seq, ...(whole.text !== null && { text: whole.text }), ...(whole.data !== null && { data: whole.data }),
      });
      return { seq };
    });
  },
  "message.delete"(call, { room: id, seq }) {
    const room = visible(call, id);
    target(room, seq);
    return { seq: call.server.write(room, "message.deleted", call.user, { target: seq }).seq };
  },
  "reaction.add"(call, { room: id, seq, emoji }) {
    const room = visible(call, id);
    target(room, seq);
    if (room.reacted(seq, call.user, emoji)) return { seq: room.head, duplicate: true };
    return { seq: call.server.write(room, "reaction.added", call.user, { target: seq, emoji }).seq };
  },
  "reaction.remove"(call, { room: id, seq, emoji }) {
    const room = visible(call, id);
    if (!room.reacted(seq, call.user, emoji)) return { seq: room.head, duplicate: true };
    return { seq: call.server.write(room, "reaction.removed", call.user, { target: seq, emoji }).seq };
  },
  "message.list"(call, { room: id, before, after, around, thread, limit = 50 }) {
    const room = visible(call, id);
    const all = room.messages(call.user, thread);
    let from = Math.max(0, all.length - limit);
    if (before !== undefined) from = Math.max(0, all.filter((message) => message.seq < before).length - limit);
    if (after !== undefined) from = all.filter((message) => message.seq <= after).length;
    if (around !== undefined) from = Math.max(0, all.filter((message) => message.seq < around).length - Math.floor(limit / 2));
    const end = before === undefined ? from + limit : Math.min(from + limit, all.filter((message) => message.seq < before).length);
    const more = after !== undefined ? end < all.length : around !== undefined ? from > 0 || end < all.length : from > 0;
    return { messages: all.slice(from, end), more, head: room.head };
  },
  "message.search"({ server, user }, { query, room: id }) {
    const found = [...server.rooms.values()]
      .filter((room) => room.members.has(user) && (id === undefined || room.id === id))
      .flatMap((room) => room.messages(user).filter((message) => message.text?.toLowerCase().includes(query.toLowerCase())));
    return { messages: found.reverse() };
  },
  "event.list"(call, { room: id, after, limit = 100 }) {
    const room = visible(call, id);
    return { events: room.log.slice(after, after + limit), head: room.head };
  },
};

const people: FakeMethods = {
  "receipt.delivered"(call, { cursors }) {
    for (const [id, delivered] of Object.entries(cursors)) call.server.advance(visible(call, id), call.user, { delivered });
    return {};
  },
  "receipt.read"(call, { room: id, seq }) {
    const room = visible(call, id);
    call.server.advance(room, call.user, { read: seq });
    const { read, delivered, unread } = room.me(call.user);
    return { read, delivered, unread };
  },
  "receipt.list"(call, { room: id }) {
    const room = visible(call, id);
    return { members: [...room.members.keys()].map((user) => room.cursors(user)), head: room.head };
  },
  "typing.start"(call, { room: id }) {
    call.server.typing(visible(call, id), call.user, true);
    return {};
  },
  "typing.stop"(call, { room: id }) {
    call.server.typing(visible(call, id), call.user, false);
    return {};
  },
  "presence.set"({ server, user }, { status }) {
    server.setPresence(user, status);
    return {};
  },
  "presence.subscribe"(call, { users }) {
    for (const user of users) needSession(call).watched.add(user);
    return { users: users.map((user) => ({ user, ...call.server.presence(user) })) };
  },
  "presence.unsubscribe"(call, { users }) {
    for (const user of users) needSession(call).watched.delete(user);
    return { users: users.map((user) => ({ user, ...call.server.presence(user) })) };
  },
  "user.get"({ server }, { users }) {
    return { users: users.map((id) => server.users.get(id)).filter((user): user is User => user !== undefined) };
  },
  "user.update"({ server, user: id }, { name, avatar, data }) {
    const user = server.user(id);
    if (name !== undefined) user.name = name ?? "";
    if (avatar !== undefined) user.avatar = avatar ?? "";
    if (data !== undefined) user.data = data;
    return { user: { ...user } };
  },
  "user.search"({ server }, { query }) {
    return { users: [...server.users.values()].filter((user) => user.id.startsWith(query) || user.name.startsWith(query)) };
  },
  "session.refresh"(call, { token }) {
    if (call.server.userOf(token) !== call.user) throw refuse("unauthenticated", "The token is not valid.");
    return { token_expires_at: call.server.expiry() };
  },
};

/** The methods that a fake server starts with. */
export const methods: FakeMethods = { ...rooms, ...messages, ...people };
