import assert from 'node:assert/strict';
import { test } from 'node:test';

import { beginPage, endPage } from '../static/js/messages.js';
import { mentioned, newestFromOthers, status, Store, unread } from '../static/js/store.js';

const ROOM = 'r_1';
const AT = '2026-05-01T10:00:00.000Z';

const info = (more) => ({ id: ROOM, kind: 'group', name: 'Room', created_at: AT, settings: {}, messages: 0, ...more });
const entry = (head, { messages = 0, unread: count = 0, read = 0, mentions, ...more } = {}) => ({
  room: info({ messages }),
  head,
  me: { role: 'member', read, delivered: read, unread: count, mentions },
  ...more,
});
const event = (seq, name, data, user = 'bob') => ({ event: name, room: ROOM, seq, at: AT, user, data });
const created = (seq, n, { user = 'bob', client_id = `c${seq}`, text = `text ${n}`, mentions } = {}) =>
  event(seq, 'message.created', { client_id, n, text, mentions }, user);
const message = (seq, n, more) => ({ room: ROOM, seq, rev: seq, n, user: 'bob', text: `text ${n}`, reactions: [], at: AT, ...more });

/** A store of alice with one room at a head, its window loaded with the messages given. */
function opened(head, messages = [], list = {}) {
  const store = new Store();
  store.welcome({ user: 'alice', epoch: 'e1' });
  const room = store.mergeEntry(entry(head, { messages: messages.at(-1)?.n ?? 0, ...list }));
  store.endList();
  store.open = ROOM;
  store.openWindow(room);
  beginPage(room.window);
  endPage(room.window, { messages, more: false }, 'alice');
  return { store, room };
}

const seqs = (room) => room.window.messages.map((m) => m.seq);
const texts = (room) => room.window.messages.map((m) => m.text);

// -- the stream -----------------------------------------------------------------

test('events are applied once and in order; repeats change nothing', () => {
  const { store, room } = opened(3);
  assert.equal(store.apply(created(4, 1), 0), null);
  assert.equal(store.apply(created(5, 2), 0), null);
  assert.equal(store.apply(created(4, 1, { text: 'again' }), 0), null);
  assert.deepEqual(texts(room), ['text 1', 'text 2']);
  assert.equal(room.position, 5);
  assert.equal(unread(room), 2);
});

test('a hole in the stream asks for the room anew, and the stream goes on from there', () => {
  const { store, room } = opened(3);
  assert.equal(store.apply(created(6, 3), 0), 'reload');
  assert.equal(room.window, null);
  assert.equal(room.position, 6);
  assert.equal(store.apply(created(7, 4), 0), null);
});

test('reset throws the window away and goes on at head + 1', () => {
  const { store, room } = opened(3, [message(2, 1)]);
  assert.equal(store.apply({ event: 'reset', room: ROOM, data: { head: 900 } }, 0), 'reload');
  assert.equal(room.window, null);
  assert.equal(store.apply(created(900, 400), 0), null);
  assert.equal(unread(room), 0, 'what is below the reset is a repeat');
  assert.equal(store.apply(created(901, 401), 0), null);
  assert.equal(room.position, 901);
});

test('events that come before the list are applied after it, from its head on', () => {
  const store = new Store();
  store.welcome({ user: 'alice', epoch: 'e1' });
  assert.equal(store.apply(created(5, 1), 0), null);
  assert.equal(store.apply(created(6, 2), 0), null);
  const room = store.mergeEntry(entry(5, { messages: 1, unread: 1, last_message: message(5, 1) }));
  store.endList();
  assert.equal(room.position, 6);
  assert.equal(room.last.seq, 6);
  assert.equal(unread(room), 2);
});

test('an event of an unknown room asks for the list once there has been one', () => {
  const { store } = opened(3);
  assert.equal(store.apply({ ...created(8, 1), room: 'r_hidden' }, 0), 'refresh');
});

test('a list entry that is ahead of the stream does not make it skip events', () => {
  const { store, room } = opened(3, [message(3, 1)], { unread: 0 });
  store.mergeEntry(entry(5, { messages: 3, unread: 2 }));
  assert.equal(unread(room), 2);
  store.apply(created(4, 2), 0);
  store.apply(created(5, 3), 0);
  assert.deepEqual(seqs(room), [3, 4, 5]);
  assert.equal(unread(room), 2, 'the same messages are not counted twice');
});

test('another epoch forgets everything, the same one nothing', () => {
  const { store, room } = opened(3, [message(2, 1)]);
  store.welcome({ user: 'alice', epoch: 'e1' });
  assert.equal(store.rooms.get(ROOM), room);
  assert.deepEqual(store.resume(), { epoch: 'e1', rooms: { [ROOM]: 3 } });
  store.welcome({ user: 'alice', epoch: 'e2' });
  assert.equal(store.rooms.size, 0);
});

test('a room without a position is not resumed, and loaded anew', () => {
  const store = new Store();
  store.welcome({ user: 'alice', epoch: 'e1' });
  const room = store.addRoom(info());
  store.openWindow(room);
  assert.deepEqual(store.resume(), { epoch: 'e1', rooms: {} });
  assert.equal(room.window, null);
  store.mergeEntry(entry(9));
  assert.equal(room.position, 9);
});

test('a first connection resumes nothing', () => {
  assert.equal(new Store().resume(), undefined);
});

// -- changes of messages ----------------------------------------------------------

test('an edit, a deletion and reactions change the message they speak of', () => {
  const { store, room } = opened(2, [message(1, 1), message(2, 2)]);
  store.apply(event(3, 'message.edited', { target: 1, text: 'better' }), 0);
  store.apply(event(4, 'reaction.added', { target: 1, emoji: '👍' }), 0);
  store.apply(event(5, 'reaction.added', { target: 1, emoji: '👍' }, 'alice'), 0);
  assert.equal(room.window.messages[0].text, 'better');
  assert.deepEqual(room.window.messages[0].reactions, [{ emoji: '👍', count: 2, mine: true }]);
  store.apply(event(6, 'reaction.removed', { target: 1, emoji: '👍' }, 'alice'), 0);
  assert.deepEqual(room.window.messages[0].reactions, [{ emoji: '👍', count: 1, mine: false }]);
  store.apply(event(7, 'message.deleted', { target: 2 }), 0);
  assert.equal(room.window.messages[1].text, '');
  assert.equal(room.window.messages[1].deleted_at, AT);
});

test('a change is not applied to a copy that has it already', () => {
  const listed = message(1, 1, { rev: 4, reactions: [{ emoji: '👍', count: 1, mine: false }] });
  const { store, room } = opened(3, [listed]);
  store.apply(event(4, 'reaction.added', { target: 1, emoji: '👍' }), 0);
  assert.equal(room.window.messages[0].reactions[0].count, 1);
  store.apply(event(5, 'reaction.added', { target: 1, emoji: '👍' }, 'carol'), 0);
  assert.equal(room.window.messages[0].reactions[0].count, 2);
});

test('a change that comes while its page is under way is applied to the page', () => {
  const { store, room } = opened(9, [message(9, 9)]);
  beginPage(room.window);
  store.apply(event(10, 'message.edited', { target: 2, text: 'new' }), 0);
  store.apply(event(11, 'message.deleted', { target: 3 }), 0);
  endPage(room.window, { messages: [message(2, 2), message(3, 3, { rev: 11, text: '', deleted_at: AT })], more: true }, 'alice');
  assert.deepEqual(texts(room), ['new', '', 'text 9']);
  assert.equal(room.window.more, true);
});

test('a page and the stream may bring the same message', () => {
  const { store, room } = opened(3);
  beginPage(room.window);
  store.apply(created(4, 1), 0);
  store.apply(event(5, 'message.edited', { target: 4, text: 'newer' }), 0);
  endPage(room.window, { messages: [message(4, 1)], more: false }, 'alice');
  assert.deepEqual(texts(room), ['newer']);
});

test('a replayed message that was deleted later has no content', () => {
  const { store, room } = opened(3);
  store.apply(event(4, 'message.created', { client_id: 'c', n: 1, deleted: true }), 0);
  assert.equal(room.window.messages[0].text, '');
  assert.ok(room.window.messages[0].deleted_at);
});

test('a page that failed leaves the window as it was, and says so', () => {
  const { room } = opened(3, [message(2, 1)]);
  beginPage(room.window);
  endPage(room.window, null, 'alice');
  assert.deepEqual([seqs(room), room.window.failed, room.window.loads], [[2], true, 0]);
});

test('a quoted message that is not in the window loses its text when it is deleted', () => {
  const { store, room } = opened(9);
  room.quotes.set(2, message(2, 1));
  store.apply(event(10, 'message.deleted', { target: 2 }), 0);
  assert.equal(room.quotes.get(2).text, '');
  assert.ok(room.quotes.get(2).deleted_at);
});

test('the last message of the list follows changes', () => {
  const { store, room } = opened(3);
  store.apply(created(4, 1), 0);
  store.apply(event(5, 'message.deleted', { target: 4 }), 0);
  assert.ok(room.last.deleted_at);
});

// -- sending ----------------------------------------------------------------------

const outgoing = { room: ROOM, client_id: 'mine', text: 'hello', at: AT };

test('reply first: the message takes its place, and its event changes nothing', () => {
  const { store, room } = opened(3);
  store.enqueue(outgoing);
  store.confirm(outgoing, { seq: 5, n: 2, at: AT });
  assert.equal(store.outbox.length, 0);
  assert.deepEqual(seqs(room), [5]);
  store.apply(created(4, 1), 0);
  store.apply(created(5, 2, { user: 'alice', client_id: 'mine', text: 'hello' }), 0);
  assert.deepEqual(seqs(room), [4, 5]);
  assert.deepEqual(texts(room), ['text 1', 'hello']);
  assert.equal(unread(room), 0, 'who writes has seen what is above');
});

test('event first: it takes the place of what was pending, and the reply changes nothing', () => {
  const { store, room } = opened(3);
  store.enqueue(outgoing);
  store.apply(created(4, 1, { user: 'alice', client_id: 'mine', text: 'hello' }), 0);
  assert.equal(store.outbox.length, 0);
  store.apply(event(5, 'message.edited', { target: 4, text: 'hello!' }, 'alice'), 0);
  store.confirm(outgoing, { seq: 4, n: 1, at: AT });
  assert.deepEqual(texts(room), ['hello!']);
});

test('a repeat of long ago is not put into the window again', () => {
  const { store, room } = opened(900, [message(880, 700)]);
  store.enqueue(outgoing);
  store.confirm(outgoing, { seq: 12, n: 3, at: AT, duplicate: true });
  assert.deepEqual(seqs(room), [880]);
  assert.equal(store.outbox.length, 0);
});

test("a client_id speaks of one's own messages in one room", () => {
  const { store } = opened(3);
  store.enqueue(outgoing);
  store.mergeEntry({ room: { ...info(), id: 'r_2' }, head: 3, me: {} });
  store.apply({ ...created(4, 1, { user: 'alice', client_id: 'mine' }), room: 'r_2' }, 0);
  store.apply(created(4, 1, { user: 'bob', client_id: 'mine' }), 0);
  assert.equal(store.outbox.length, 1);
});

// -- receipts and reading -----------------------------------------------------------

const receipt = (...members) => ({ event: 'receipt', room: ROOM, data: { members } });

test('ticks follow the slowest of the other members', () => {
  const { store, room } = opened(3, [message(3, 1, { user: 'alice' })]);
  const [own] = room.window.messages;
  store.setMembers(room, [{ user: 'alice', role: 'owner' }, { user: 'bob', role: 'member' }, { user: 'carol', role: 'member' }], 3);
  assert.equal(status(room, own, 'alice'), 'sent');
  store.apply(receipt({ user: 'bob', delivered: 3, read: 3 }), 0);
  assert.equal(status(room, own, 'alice'), 'sent');
  store.apply(receipt({ user: 'carol', delivered: 3, read: 1 }), 0);
  assert.equal(status(room, own, 'alice'), 'delivered');
  store.apply(receipt({ user: 'carol', delivered: 3, read: 3 }), 0);
  assert.equal(status(room, own, 'alice'), 'read');
  store.apply(receipt({ user: 'carol', delivered: 2, read: 0 }), 0);
  assert.deepEqual(room.cursors.get('carol'), { delivered: 3, read: 3 }, 'cursors do not go back');
});

test('who leaves is no longer waited for, who joins has what was before', () => {
  const { store, room } = opened(3, [message(3, 1, { user: 'alice' })]);
  const [own] = room.window.messages;
  store.setMembers(room, [{ user: 'alice', role: 'owner' }, { user: 'bob', role: 'member' }, { user: 'carol', role: 'member' }], 3);
  store.setReceipts(room, [{ user: 'bob', delivered: 3, read: 3 }, { user: 'carol', delivered: 0, read: 0 }]);
  assert.equal(status(room, own, 'alice'), 'sent');
  store.apply(event(4, 'member.left', { users: ['carol'], reason: 'left' }, 'carol'), 0);
  assert.equal(status(room, own, 'alice'), 'read');
  store.apply(event(5, 'member.joined', { users: ['dave'], role: 'member' }), 0);
  assert.equal(status(room, own, 'alice'), 'read');
});

test('alone in a room, and before the members are known, a message is just sent', () => {
  const { store, room } = opened(3, [message(3, 1, { user: 'alice' })]);
  assert.equal(status(room, room.window.messages[0], 'alice'), 'sent');
  store.setMembers(room, [{ user: 'alice', role: 'owner' }], 3);
  assert.equal(status(room, room.window.messages[0], 'alice'), 'sent');
});

test('a member list that is older than the last change is refused', () => {
  const { store, room } = opened(3);
  store.apply(event(4, 'member.joined', { users: ['dave'], role: 'member' }), 0);
  assert.equal(store.setMembers(room, [{ user: 'alice', role: 'owner' }], 3), false);
  assert.equal(store.setMembers(room, [{ user: 'alice', role: 'owner' }, { user: 'dave', role: 'member' }], 4), true);
  assert.equal(room.role, 'owner');
});

test('reading moves the cursor and the count of unread messages, forward only', () => {
  const { store, room } = opened(6, [message(4, 1), message(5, 2), message(6, 3)], { unread: 3 });
  assert.equal(unread(room), 3);
  store.markRead(room, 5);
  assert.equal(unread(room), 1);
  store.markRead(room, 4);
  assert.equal(unread(room), 1);
  store.markRead(room, newestFromOthers(room, 'alice').seq);
  assert.equal(unread(room), 0);
});

test('reading on another device counts here, and asks where the number is not known', () => {
  const { store, room } = opened(6, [message(5, 2), message(6, 3)], { unread: 3 });
  assert.equal(store.apply(receipt({ user: 'alice', delivered: 5, read: 5 }), 0), null);
  assert.equal(unread(room), 1);
  const closed = opened(6, [], { messages: 3, unread: 3, last_message: message(6, 3) });
  closed.room.window = null;
  assert.equal(closed.store.apply(receipt({ user: 'alice', delivered: 5, read: 5 }), 0), 'refresh');
  assert.equal(closed.store.apply(receipt({ user: 'alice', delivered: 6, read: 6 }), 0), null);
  assert.equal(unread(closed.room), 0);
});

test('one\'s own message counts what is above it as seen', () => {
  const { store, room } = opened(6, [], { messages: 3, unread: 3 });
  store.apply(created(7, 4, { user: 'alice', client_id: 'x' }), 0);
  assert.equal(unread(room), 0);
  store.apply(created(8, 5), 0);
  assert.equal(unread(room), 1);
});

// -- rooms ------------------------------------------------------------------------

test('a mention shows until it is read, and not for messages that name others', () => {
  const { store, room } = opened(3);
  store.apply(created(4, 1, { mentions: ['carol'] }), 0);
  assert.equal(mentioned(room), false);
  store.apply(created(5, 2, { mentions: ['alice'] }), 0);
  store.apply(created(6, 3), 0);
  assert.equal(mentioned(room), true);
  store.markRead(room, 5);
  assert.equal(mentioned(room), false);
  store.apply(created(7, 4, { user: 'alice', mentions: ['alice'] }), 0);
  assert.equal(mentioned(room), false, 'naming oneself');
});

test('the list tells of mentions up to its last message, live ones above it stay', () => {
  const { store, room } = opened(3, [message(3, 1)], { messages: 1, unread: 1, mentions: 1 });
  assert.equal(mentioned(room), true);
  store.mergeEntry(entry(3, { messages: 1, unread: 1, mentions: 0 }));
  assert.equal(mentioned(room), false, 'deleted since');
  store.apply(created(4, 2, { mentions: ['alice'] }), 0);
  store.mergeEntry(entry(3, { messages: 1, unread: 1, mentions: 0 }));
  assert.equal(mentioned(room), true);
});

test('a room that is added has no unread messages until the list tells', () => {
  const { store } = opened(3);
  const added = { ...info({ messages: 40 }), id: 'r_2' };
  assert.equal(store.apply({ event: 'room.added', room: 'r_2', data: { room: added } }, 0), 'refresh');
  const room = store.rooms.get('r_2');
  store.apply({ ...event(77, 'member.joined', { users: ['alice'], role: 'member' }), room: 'r_2' }, 0);
  assert.equal(room.position, 77);
  assert.equal(unread(room), 0);
});

test('a room that is removed is gone', () => {
  const { store } = opened(3);
  store.apply({ event: 'room.removed', room: ROOM, data: { reason: 'removed' } }, 0);
  assert.equal(store.rooms.size, 0);
});

test('room.updated changes what it names and keeps the rest', () => {
  const { store, room } = opened(3);
  store.apply(event(4, 'room.updated', { topic: 'new', settings: { post: 'moderators' } }), 0);
  assert.deepEqual([room.info.name, room.info.topic, room.info.settings.post, room.info.id], ['Room', 'new', 'moderators', ROOM]);
});

test('rooms are listed by their newest activity', () => {
  const { store } = opened(3);
  const later = '2026-05-01T11:00:00.000Z';
  store.mergeEntry({ room: { ...info(), id: 'r_2' }, head: 4, me: {}, last_message: { ...message(4, 1), at: later } });
  assert.deepEqual(store.roomList().map((room) => room.id), ['r_2', ROOM]);
  store.apply({ ...created(4, 1), at: '2026-05-01T12:00:00.000Z' }, 0);
  assert.deepEqual(store.roomList().map((room) => room.id), [ROOM, 'r_2']);
});

test('typing ends by itself, when told, and with the message', () => {
  const { store, room } = opened(3);
  const typing = (active) => ({ event: 'typing', room: ROOM, user: 'bob', data: { active, expires_ms: 5000 } });
  store.apply(typing(true), 1000);
  store.expireTyping(5999);
  assert.equal(room.typing.size, 1);
  store.expireTyping(6000);
  assert.equal(room.typing.size, 0);
  store.apply(typing(true), 7000);
  store.apply(typing(false), 7001);
  assert.equal(room.typing.size, 0);
  store.apply(typing(true), 8000);
  store.apply(created(4, 1), 8001);
  assert.equal(room.typing.size, 0);
});

test('windows of rooms that are not open stay small', () => {
  const { store, room } = opened(0);
  store.open = null;
  for (let seq = 1; seq <= 500; seq++) store.apply(created(seq, seq), 0);
  assert.ok(room.window.messages.length <= 200);
  assert.equal(room.window.messages.at(-1).seq, 500);
  assert.equal(room.window.more, true);
});
