// The state of the chat, and how frames and replies change it.
//
// The store does no I/O and reads no clock, so that every rule of it can be
// tested as data in, data out. Three rules carry it:
//
//   - A room's position is the seq of the last event that its stream brought.
//     The next event must be position + 1; a smaller one is a repeat and is
//     skipped, a larger one is a hole and the room is loaded anew.
//   - Unread is counted in message numbers (`n`), never by adding up events, so
//     that a list, a replay and a live event may tell of the same message.
//   - Cursors only move forward.

import * as win from './messages.js';

/** How many positions `hello` takes. */
const RESUME_ROOMS = 1000;
/** Windows of rooms that are not open keep this many messages. */
const KEPT_MESSAGES = 200;

function newRoom(info) {
  return {
    id: info.id,
    info, // the room object
    position: null, // seq of the last event of the stream; null before the first
    count: info.messages ?? 0, // number of the newest message
    seen: null, // number of the newest message that counts as read; null before the list has told
    mentioned: 0, // number up to which a message may name this user; 0: none does
    role: 'member',
    read: 0, // own cursor as it stands here …
    readAcked: 0, // … and as the server has confirmed it
    delivered: 0,
    last: null, // the newest message, for the list
    window: null, // the loaded history, once the room has been opened
    quotes: new Map(), // seq → message that is quoted but not in the window, null: not there
    members: null, // user → {user, role}, once loaded
    membersSeq: 0, // the last event that changed the members
    cursors: new Map(), // user → {delivered, read}
    typing: new Map(), // user → when to stop showing it, ms
    peer: null, // the other user of a direct room
  };
}

export class Store {
  me = null;
  epoch = null;
  rooms = new Map();
  /** Messages that are not confirmed: {room, client_id, text, reply_to, mentions, at, state: 'pending' | 'failed', error?}. */
  outbox = [];
  /** The room that is shown. */
  open = null;
  /** Whether a first room list is in. */
  listed = false;

  #early = new Map(); // room → events that came before the list told of the room
  #listeners = new Set();

  subscribe(listener) {
    this.#listeners.add(listener);
  }

  /** Tells the listeners; each public change does this itself. */
  notify() {
    for (const listener of this.#listeners) listener();
  }

  // -- a session ------------------------------------------------------------

  /**
   * The positions to resume from, for `hello`. Rooms that are not among them
   * begin anew: what is loaded of them might miss events.
   */
  resume() {
    if (this.epoch === null) return undefined;
    const followed = this.roomList().filter((room) => room.position !== null).slice(0, RESUME_ROOMS);
    const rooms = Object.fromEntries(followed.map((room) => [room.id, room.position]));
    for (const room of this.rooms.values()) {
      if (!(room.id in rooms)) Object.assign(room, { position: null, window: null });
    }
    return { epoch: this.epoch, rooms };
  }

  /** Takes in the reply to `hello`. Another epoch may use the same numbers for other content. */
  welcome({ user, epoch }) {
    if (user !== this.me || epoch !== this.epoch) {
      this.rooms.clear();
      this.listed = false;
    }
    this.me = user;
    this.epoch = epoch;
    this.#early.clear();
    // Receipts and members of rooms that are not open are asked for when they are opened.
    for (const room of this.rooms.values()) {
      room.members = null;
      room.typing.clear();
    }
    this.notify();
  }

  // -- the list of rooms ----------------------------------------------------

  /** Rooms with the newest activity first. */
  roomList() {
    const at = (room) => room.last?.at ?? room.info.created_at ?? '';
    return [...this.rooms.values()].sort((a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : 0));
  }

  /** Takes in one entry of `room.list`. */
  mergeEntry({ room: info, head, me, last_message: last }) {
    const room = this.addRoom(info, me);
    // A held window has taken in the stream up to the position and no further: the
    // events between it and this entry's head are still to come.
    if (room.position === null && !room.window) room.position = head;
    if (last) this.#newest(room, last);
    const early = this.#early.get(room.id) ?? [];
    this.#early.delete(room.id);
    for (const frame of early) this.#applyEvent(room, frame);
    this.notify();
    return room;
  }

  /** Says that every page of a list is in: events of rooms it did not name are of rooms left since. */
  endList() {
    this.listed = true;
    this.#early.clear();
    this.notify();
  }

  /** Takes in a room object, with one's own membership where it came along. */
  addRoom(info, me) {
    let room = this.rooms.get(info.id);
    if (!room) {
      room = newRoom(info);
      this.rooms.set(info.id, room);
    }
    room.info = { ...room.info, ...info };
    room.count = Math.max(room.count, info.messages ?? 0);
    if (me) {
      room.role = me.role ?? room.role;
      room.readAcked = Math.max(room.readAcked, me.read ?? 0);
      room.read = Math.max(room.read, room.readAcked);
      room.delivered = Math.max(room.delivered, me.delivered ?? 0);
      if (me.unread !== undefined) room.seen = Math.max(room.seen, (info.messages ?? 0) - me.unread);
      if (me.mentions !== undefined) this.#mentionsListed(room, me.mentions, info.messages ?? 0);
    }
    this.notify();
    return room;
  }

  /** Takes in how many of the messages up to a number are unread and name this user; which they are is not told. */
  #mentionsListed(room, mentions, upTo) {
    if (room.mentioned <= upTo) room.mentioned = mentions > 0 ? upTo : 0;
  }

  removeRoom(id) {
    this.rooms.delete(id);
    this.#early.delete(id);
    this.notify();
  }

  // -- pushes ---------------------------------------------------------------

  /**
   * Applies a push about a room. Answers what is to be asked of the server:
   * 'reload' (a hole: list the rooms, and the messages of the open one),
   * 'refresh' (list the rooms) or null.
   */
  apply(frame, now) {
    const wish = frame.seq === undefined ? this.#applySignal(frame, now) : this.#applyToRoom(frame);
    this.notify();
    return wish;
  }

  #applyToRoom(frame) {
    const room = this.rooms.get(frame.room);
    if (room) return this.#applyEvent(room, frame);
    const early = this.#early.get(frame.room) ?? [];
    this.#early.set(frame.room, [...early, frame]);
    return this.listed ? 'refresh' : null;
  }

  #applyEvent(room, frame) {
    if (room.position !== null && frame.seq <= room.position) return null;
    const hole = room.position !== null && frame.seq > room.position + 1;
    room.position = frame.seq;
    if (hole) room.window = null;
    if (frame.event === 'message.created') this.#messageCreated(room, frame);
    else if (win.isChange(frame)) this.#messageChanged(room, frame);
    else if (frame.event.startsWith('member.')) this.#membersChanged(room, frame);
    else if (frame.event === 'room.created' || frame.event === 'room.updated') this.#roomChanged(room, frame);
    return hole ? 'reload' : null;
  }

  #messageCreated(room, frame) {
    const message = win.messageFromEvent(frame);
    this.#newest(room, message);
    if (room.window) {
      win.insert(room.window, message);
      if (room.id !== this.open) win.trim(room.window, KEPT_MESSAGES);
    }
    room.typing.delete(frame.user);
    if (frame.user === this.me) this.#dropPending(room.id, message.client_id);
  }

  #messageChanged(room, frame) {
    const { target } = frame.data;
    if (room.window) win.applyChange(room.window, frame, this.me);
    if (room.last?.seq === target) room.last = win.changed(room.last, frame, this.me);
    const quote = room.quotes.get(target);
    if (quote) room.quotes.set(target, win.changed(quote, frame, this.me));
  }

  #membersChanged(room, { event, seq, data }) {
    room.membersSeq = seq;
    for (const user of data.users ?? [data.user]) {
      if (event === 'member.joined') {
        room.members?.set(user, { user, role: data.role ?? 'member' });
        this.#moveCursor(room, { user, delivered: seq, read: seq });
      } else if (event === 'member.left') {
        room.members?.delete(user);
        room.cursors.delete(user);
        room.typing.delete(user);
      } else if (event === 'member.updated' && data.role) {
        room.members?.set(user, { user, role: data.role });
        if (user === this.me) room.role = data.role;
      }
    }
  }

  #roomChanged(room, { data }) {
    const news = data.room ?? data;
    room.info = { ...room.info, ...news, id: room.id, settings: { ...room.info.settings, ...news.settings } };
  }

  #applySignal({ event, room: id, user, data }, now) {
    const room = this.rooms.get(id);
    switch (event) {
      case 'room.added':
        if (data.room.kind !== 'live') this.addRoom(data.room);
        return 'refresh';
      case 'room.removed':
        this.removeRoom(id);
        return null;
      case 'reset':
        if (!room) return null;
        Object.assign(room, { position: data.head, window: null });
        return 'reload';
      case 'typing':
        if (!room) return null;
        if (data.active) room.typing.set(user, now + data.expires_ms);
        else room.typing.delete(user);
        return null;
      case 'receipt':
        return room ? this.#applyReceipt(room, data.members) : null;
      default:
        return null;
    }
  }

  #applyReceipt(room, members) {
    let wish = null;
    for (const cursor of members) {
      this.#moveCursor(room, cursor);
      if (cursor.user !== this.me) continue;
      room.delivered = Math.max(room.delivered, cursor.delivered ?? 0);
      room.readAcked = Math.max(room.readAcked, cursor.read ?? 0);
      if (!this.#markRead(room, room.readAcked)) wish = 'refresh';
    }
    return wish;
  }

  /** Takes out who has stopped typing without saying so. */
  expireTyping(now) {
    let expired = false;
    for (const room of this.rooms.values()) {
      for (const [user, until] of room.typing) {
        if (until <= now) expired = room.typing.delete(user);
      }
    }
    if (expired) this.notify();
  }

  // -- reading --------------------------------------------------------------

  /** Moves one's own read cursor, as far as this page knows. */
  markRead(room, seq) {
    this.#markRead(room, seq);
    this.notify();
  }

  /** Answers false where the number of the message at the cursor is not known here. */
  #markRead(room, seq) {
    if (seq <= room.read) return true;
    room.read = seq;
    if (room.last && seq >= room.last.seq) room.seen = room.count;
    else {
      const message = room.window?.messages.findLast((m) => m.seq <= seq);
      if (!message) return false;
      room.seen = Math.max(room.seen, message.n);
    }
    return true;
  }

  #moveCursor(room, { user, delivered = 0, read = 0 }) {
    const held = room.cursors.get(user) ?? { delivered: 0, read: 0 };
    room.cursors.set(user, {
      delivered: Math.max(held.delivered, delivered, read),
      read: Math.max(held.read, read),
    });
  }

  #newest(room, message) {
    if (message.user === this.me) room.seen = Math.max(room.seen, message.n ?? 0);
    else if (message.mentions?.includes(this.me) && message.n > room.count) room.mentioned = message.n;
    room.count = Math.max(room.count, message.n ?? 0);
    const { last } = room;
    if (!last || message.seq > last.seq || (message.seq === last.seq && message.rev > last.rev)) room.last = message;
  }

  // -- members and receipts of the open room --------------------------------

  /** Takes in `member.list`; false where members have changed since it was read. */
  setMembers(room, members, head = Infinity) {
    if (room.membersSeq > head) return false;
    room.members = new Map(members.map(({ user, role }) => [user, { user, role }]));
    room.role = room.members.get(this.me)?.role ?? room.role;
    this.notify();
    return true;
  }

  /** Takes in `receipt.list`. */
  setReceipts(room, members) {
    for (const cursor of members) this.#moveCursor(room, cursor);
    this.notify();
  }

  // -- history --------------------------------------------------------------

  /** Opens the room's window where there is none; to be called before its first page is asked for. */
  openWindow(room) {
    room.window ??= win.newWindow();
    return room.window;
  }

  // -- sending --------------------------------------------------------------

  enqueue(entry) {
    this.outbox.push({ ...entry, state: 'pending' });
    this.notify();
  }

  /** Changes an entry of the outbox, if it is still there. */
  updatePending(clientId, news) {
    this.outbox = this.outbox.map((entry) => (entry.client_id === clientId ? { ...entry, ...news } : entry));
    this.notify();
  }

  discard(clientId) {
    this.outbox = this.outbox.filter((entry) => entry.client_id !== clientId);
    this.notify();
  }

  /**
   * Takes in the reply to `message.send`. The message's event may have come
   * before, or is still to come; where the stream is past it, the window has it
   * already, perhaps edited or deleted since.
   */
  confirm(entry, { seq, n, at }) {
    const room = this.rooms.get(entry.room);
    if (room && !(room.position >= seq)) {
      const { client_id, text, reply_to, mentions } = entry;
      const message = { room: room.id, seq, rev: seq, n, user: this.me, client_id, text, reply_to, mentions, reactions: [], at };
      this.#newest(room, message);
      if (room.window) win.insert(room.window, message);
    }
    this.#dropPending(entry.room, entry.client_id);
    this.notify();
  }

  #dropPending(room, clientId) {
    this.outbox = this.outbox.filter((entry) => entry.room !== room || entry.client_id !== clientId);
  }
}

/** How many messages wait to be read. */
export function unread(room) {
  return room.seen === null ? 0 : Math.max(0, room.count - room.seen);
}

/** Whether one of the messages that wait may name the user: sure where it was seen coming, else as the list last told. */
export function mentioned(room) {
  return unread(room) > 0 && room.mentioned > room.seen;
}

/** The newest message of somebody else that is loaded, or undefined. */
export function newestFromOthers(room, me) {
  return room.window?.messages.findLast((message) => message.user !== me);
}

/** What a sender is shown of an own message: 'sent', 'delivered' or 'read' by every other member. */
export function status(room, message, me) {
  const others = [...(room.members?.keys() ?? [])].filter((user) => user !== me);
  if (others.length === 0) return 'sent';
  const all = (cursor) => others.every((user) => (room.cursors.get(user)?.[cursor] ?? 0) >= message.seq);
  return all('read') ? 'read' : all('delivered') ? 'delivered' : 'sent';
}
