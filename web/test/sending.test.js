import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Outbox } from '../static/js/outbox.js';
import { Receipts } from '../static/js/receipts.js';
import { Store } from '../static/js/store.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));
const error = (code, more) => Object.assign(new Error(code), { code, ...more });

class Storage {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => this.#items.set(key, value);
}

/** Calls that wait until the test answers them. */
function setUp({ storage = new Storage() } = {}) {
  const calls = [];
  const timers = [];
  const store = new Store();
  store.welcome({ user: 'alice', epoch: 'e1' });
  for (const id of ['r_1', 'r_2']) {
    store.mergeEntry({ room: { id, kind: 'group', messages: 0 }, head: 1, me: { read: 1, delivered: 1, unread: 0 } });
  }
  const call = (method, params) => new Promise((resolve, reject) => calls.push({ method, params, resolve, reject }));
  const setTimeout = (act, ms) => timers.push({ act, ms });
  const outbox = new Outbox({ store, call, storage, setTimeout });
  outbox.restore();
  const receipts = new Receipts({ store, call, setTimeout });
  return { store, outbox, receipts, calls, timers, storage };
}

const entry = (client_id, room = 'r_1') => ({ room, client_id, text: client_id, at: '2026-05-01T10:00:00.000Z' });
const created = (seq, user = 'bob', room = 'r_1') => ({ event: 'message.created', room, seq, at: '', user, data: { n: seq, text: '', client_id: `${seq}` } });
const states = (store) => store.outbox.map(({ client_id, state }) => `${client_id} ${state}`);

test('messages of a room go one after the other, those of rooms side by side', async () => {
  const { outbox, calls, store } = setUp();
  outbox.add(entry('a'));
  outbox.add(entry('b'));
  outbox.add(entry('c', 'r_2'));
  assert.deepEqual(calls.map(({ params }) => params.client_id), ['a', 'c']);
  calls[0].resolve({ seq: 2, n: 1, at: '' });
  await settled();
  assert.deepEqual(calls.map(({ params }) => params.client_id), ['a', 'c', 'b']);
  assert.deepEqual(states(store), ['b pending', 'c pending']);
});

test('after a lost connection the same client_id is sent again', async () => {
  const { outbox, calls, timers, store } = setUp();
  outbox.add(entry('a'));
  calls[0].reject(error('disconnected'));
  await settled();
  assert.deepEqual([states(store), timers.length], [['a pending'], 0]);
  outbox.flush();
  assert.deepEqual(calls[1].params, calls[0].params);
  calls[1].resolve({ seq: 2, n: 1, at: '', duplicate: true });
  await settled();
  assert.deepEqual(states(store), []);
});

test('a message that is not accepted just now waits, and holds back those after it', async () => {
  const { outbox, calls, timers, store } = setUp();
  outbox.add(entry('a'));
  outbox.add(entry('b'));
  calls[0].reject(error('rate_limited', { retryAfter: 700 }));
  await settled();
  outbox.flush();
  assert.deepEqual([calls.length, timers[0].ms], [1, 700]);
  timers[0].act();
  assert.equal(calls[1].params.client_id, 'a');
  assert.deepEqual(states(store), ['a pending', 'b pending']);
});

test('a refusal is shown and lets the next one go; it can be tried again or discarded', async () => {
  const { outbox, calls, store } = setUp();
  outbox.add(entry('a'));
  outbox.add(entry('b'));
  calls[0].reject(error('forbidden'));
  await settled();
  assert.deepEqual(states(store), ['a failed', 'b pending']);
  assert.equal(store.outbox[0].error, 'forbidden');
  calls[1].resolve({ seq: 2, n: 1, at: '' });
  await settled();
  outbox.retry('a');
  assert.equal(calls[2].params.client_id, 'a');
  calls[2].reject(error('forbidden'));
  await settled();
  outbox.discard('a');
  assert.deepEqual(states(store), []);
});

test('what was not sent survives a reload of the page', async () => {
  const first = setUp();
  first.outbox.add(entry('a'));
  first.outbox.add(entry('b'));
  first.calls[0].resolve({ seq: 2, n: 1, at: '' });
  await settled();
  const second = setUp({ storage: first.storage });
  assert.deepEqual(states(second.store), ['b pending']);
  second.outbox.flush();
  assert.equal(second.calls[0].params.client_id, 'b');
});

test('what an event has confirmed is not brought back by a reload', async () => {
  const first = setUp();
  first.outbox.add(entry('a'));
  first.store.apply({ ...created(2, 'alice'), data: { client_id: 'a', n: 1, text: 'a' } }, 0);
  first.calls[0].reject(error('disconnected'));
  await settled();
  assert.deepEqual(states(setUp({ storage: first.storage }).store), []);
});

test('deliveries of all rooms are told in one call', async () => {
  const { store, receipts, calls, timers } = setUp();
  for (const frame of [created(2), created(3), created(2, 'bob', 'r_2')]) {
    store.apply(frame, 0);
    receipts.delivered();
  }
  assert.equal(timers.length, 1);
  timers[0].act();
  assert.deepEqual(calls.map(({ method, params }) => [method, params]), [['receipt.delivered', { cursors: { r_1: 3, r_2: 2 } }]]);
  calls[0].resolve({});
  await settled();
  receipts.delivered();
  timers[1].act();
  assert.equal(calls.length, 1, 'what is told is not told again');
});

test('a room that is gone does not keep the others from being told', async () => {
  const { store, receipts, calls, timers } = setUp();
  store.apply(created(2), 0);
  store.apply(created(2, 'bob', 'r_2'), 0);
  receipts.delivered();
  timers[0].act();
  calls[0].reject(error('not_found'));
  await settled();
  calls[1].reject(error('not_found'));
  await settled();
  assert.deepEqual(calls[2].params, { cursors: { r_2: 2 } });
});

test('reading is told with one call under way, up to the newest of others', async () => {
  const { store, receipts, calls } = setUp();
  const room = store.rooms.get('r_1');
  store.openWindow(room);
  store.apply(created(2), 0);
  receipts.read(room);
  store.apply(created(3), 0);
  store.apply(created(4, 'alice'), 0);
  receipts.read(room);
  assert.deepEqual(calls.map(({ params }) => params.seq), [2]);
  calls[0].resolve({});
  await settled();
  assert.deepEqual(calls.map(({ params }) => params.seq), [2, 3]);
});

test('what could not be told is told by the next connection', async () => {
  const { store, receipts, calls } = setUp();
  const room = store.rooms.get('r_1');
  store.openWindow(room);
  store.apply(created(2), 0);
  receipts.read(room);
  calls[0].reject(error('disconnected'));
  await settled();
  receipts.resume();
  assert.deepEqual(calls[1].params, { room: 'r_1', seq: 2 });
});
