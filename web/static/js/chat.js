// What a person can do in the chat, and what has to happen around it: this is
// where the store meets the server.

import { beginPage, endPage, find } from './messages.js';
import { newId } from './ids.js';
import { mentionsIn } from './text.js';

const KINDS = ['direct', 'group', 'channel'];
const LIST_LIMIT = 500;
const PAGE = 50;
/** Enough for any group that is looked at as a list. */
const MEMBER_PAGES = 5;
/** How many users a message may name. */
const MENTIONS = 50;
const TYPING_EVERY_MS = 3_000;

export class Chat {
  #store;
  #call;
  #tell;
  #outbox;
  #receipts;
  #people;
  #now;
  #listToken; // of the last room.list: the next one asks only for what has changed
  #listing = null; // the list under way
  #listAgain = false;
  #typingSince = new Map(); // room → when typing was last told
  #onError;

  constructor({ store, call, tell, outbox, receipts, people, now, onError }) {
    this.#store = store;
    this.#call = call;
    this.#tell = tell;
    this.#outbox = outbox;
    this.#receipts = receipts;
    this.#people = people;
    this.#now = now;
    this.#onError = onError;
  }

  /** Takes in the reply to `hello`: everything that may have been missed is asked for. */
  welcome(result) {
    if (result.epoch !== this.#store.epoch || result.user !== this.#store.me) this.#listToken = undefined;
    this.#store.welcome(result);
    this.#outbox.flush();
    this.#people.resume();
    this.#sync();
  }

  /** Takes in a push about a room. */
  push(frame) {
    const wish = this.#store.apply(frame, this.#now());
    if (wish === 'reload') this.#sync();
    else if (wish === 'refresh') this.#refresh();
    if (frame.seq !== undefined) this.#receipts.delivered();
  }

  async #sync() {
    await this.#refresh();
    this.#loadOpen();
  }

  // -- the list of rooms ----------------------------------------------------

  /** Lists the rooms. One list is under way at a time; a wish that comes meanwhile is granted after it. */
  #refresh() {
    if (this.#listing) {
      this.#listAgain = true;
      return this.#listing;
    }
    this.#listing = this.#list()
      .catch((error) => this.#report(error))
      .finally(() => {
        this.#listing = null;
        if (!this.#listAgain) return;
        this.#listAgain = false;
        this.#refresh();
      });
    return this.#listing;
  }

  async #list() {
    const since = this.#listToken;
    const before = [...this.#store.rooms.keys()];
    const listed = new Set();
    let page;
    let token;
    do {
      let reply;
      try {
        reply = await this.#call('room.list', { kinds: KINDS, limit: LIST_LIMIT, since, page });
      } catch (error) {
        if (!since || error.field !== 'since') throw error;
        this.#listToken = undefined;
        await this.#list();
        return;
      }
      for (const entry of reply.rooms) {
        this.#store.mergeEntry(entry);
        listed.add(entry.room.id);
      }
      for (const room of reply.removed ?? []) this.#store.removeRoom(room);
      ({ page, token } = reply);
    } while (page);
    // A list from the beginning names every room: the others are no longer one's own.
    if (!since) for (const room of before) if (!listed.has(room)) this.#store.removeRoom(room);
    this.#listToken = token;
    this.#store.endList();
    this.#receipts.resume();
    await this.#findPeers();
  }

  /** Learns who the other one is in direct rooms, where the room object does not tell. */
  async #findPeers() {
    for (const room of [...this.#store.rooms.values()]) {
      if (room.info.kind !== 'direct' || room.peer) continue;
      const { created_by: creator } = room.info;
      if (creator && creator !== this.#store.me) room.peer = creator;
      else {
        const reply = await this.#call('member.list', { room: room.id }).catch(() => null);
        if (!reply) continue; // asked again after the next list
        room.peer = reply.members.find(({ user }) => user !== this.#store.me)?.user ?? this.#store.me;
      }
      this.#store.notify();
    }
  }

  // -- the open room --------------------------------------------------------

  /** Shows a room, or none with null. */
  open(id) {
    if (this.#store.open === id) return;
    this.#store.open = id;
    this.#store.notify();
    this.#loadOpen();
  }

  #loadOpen() {
    const room = this.#store.rooms.get(this.#store.open);
    if (!room) return;
    this.#store.openWindow(room);
    if (!room.window.ready && room.window.loads === 0) this.#loadPage(room, {});
    if (!room.members) this.loadMembers(room).catch((error) => this.#report(error));
  }

  /** Loads the page before the oldest message that is loaded, or the newest where there is none. */
  async loadOlder(room) {
    const { window } = room;
    if (!window || !window.more || window.loads > 0) return;
    await this.#loadPage(room, window.ready ? { before: window.messages[0]?.seq } : {});
  }

  async #loadPage(room, position) {
    const { window } = room;
    beginPage(window);
    this.#store.notify();
    let page = null;
    try {
      page = await this.#call('message.list', { room: room.id, limit: PAGE, ...position });
    } catch (error) {
      this.#report(error);
    }
    endPage(window, page, this.#store.me);
    this.#store.notify();
  }

  /** Loads members and their cursors; again, where they change meanwhile. */
  async loadMembers(room) {
    const { members, head } = await this.#listMembers(room.id);
    if (!this.#store.setMembers(room, members, head)) {
      await this.loadMembers(room);
      return;
    }
    const receipts = await this.#call('receipt.list', { room: room.id });
    this.#store.setReceipts(room, receipts.members);
  }

  async #listMembers(room) {
    const members = [];
    let head;
    let page;
    for (let pages = 0; pages < MEMBER_PAGES; pages++) {
      const reply = await this.#call('member.list', { room, page });
      members.push(...reply.members);
      head ??= reply.head; // the oldest of them: what is newer is loaded again
      ({ page } = reply);
      if (!page) break;
    }
    return { members, head };
  }

  /** The message that another one quotes; undefined while it is being loaded, null where it is gone. */
  quoted(room, seq) {
    const held = (room.window && find(room.window, seq)) ?? room.quotes.get(seq);
    if (held === undefined && !room.quotes.has(seq)) {
      room.quotes.set(seq, undefined);
      this.#loadQuote(room, seq);
    }
    return held;
  }

  async #loadQuote(room, seq) {
    try {
      const { messages } = await this.#call('message.list', { room: room.id, around: seq, limit: 1 });
      room.quotes.set(seq, messages.find((message) => message.seq === seq) ?? null);
    } catch {
      room.quotes.delete(seq); // asked again when it is next drawn
      return;
    }
    this.#store.notify();
  }

  /** Says that the user is looking at the end of the room. */
  see(room) {
    this.#receipts.read(room);
  }

  // -- messages -------------------------------------------------------------

  send(room, text, replyTo) {
    const at = new Date(this.#now()).toISOString();
    const mentions = mentionsIn(text, room.members).slice(0, MENTIONS);
    this.#outbox.add({ room: room.id, client_id: newId(), text, reply_to: replyTo, mentions, at });
    this.stopTyping(room); // or the server would take what is typed next for the same typing, and not tell it
  }

  retry(clientId) {
    this.#outbox.retry(clientId);
  }

  discard(clientId) {
    this.#outbox.discard(clientId);
  }

  edit(message, text) {
    return this.#change('message.edit', message, { text });
  }

  remove(message) {
    return this.#change('message.delete', message, {});
  }

  react(message, emoji) {
    const mine = message.reactions?.some((reaction) => reaction.emoji === emoji && reaction.mine);
    return this.#change(mine ? 'reaction.remove' : 'reaction.add', message, { emoji });
  }

  #change(method, { room, seq }, params) {
    return this.#call(method, { room, seq, client_id: newId(), ...params });
  }

  /** Says that the user is typing, no more often than others need to hear it. */
  typing(room) {
    const since = this.#typingSince.get(room.id) ?? -Infinity;
    if (this.#now() - since < TYPING_EVERY_MS) return;
    this.#typingSince.set(room.id, this.#now());
    this.#tell('typing.start', { room: room.id });
  }

  stopTyping(room) {
    if (this.#typingSince.delete(room.id)) this.#tell('typing.stop', { room: room.id });
  }

  // -- rooms and members ----------------------------------------------------

  /** Makes a room, or finds the direct room that there is, and answers its id. */
  async create(params) {
    const { room } = await this.#call('room.create', { client_id: newId(), ...params });
    const held = this.#store.addRoom(room);
    if (room.kind === 'direct') [held.peer] = params.members;
    this.#refresh();
    return room.id;
  }

  async browse(query) {
    const { rooms } = await this.#call('room.browse', { query: query || undefined, limit: 50 });
    return rooms;
  }

  async join(id) {
    const { room, me } = await this.#call('room.join', { room: id, client_id: newId() });
    this.#store.addRoom(room, me);
    return room.id;
  }

  async leave(room) {
    await this.#call('room.leave', { room: room.id, client_id: newId() });
    this.#store.removeRoom(room.id);
  }

  addMembers(room, users) {
    return this.#call('member.add', { room: room.id, users, client_id: newId() });
  }

  async searchPeople(query) {
    const { users } = await this.#call('user.search', { query, limit: 8 });
    for (const { id, name } of users) this.#people.learn(id, name);
    return users;
  }

  /** A connection that is lost shows itself; anything else is told. */
  #report(error) {
    if (error.code !== 'disconnected') this.#onError(error);
  }
}
