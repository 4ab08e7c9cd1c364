import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Connection, fullJitter } from '../static/js/connection.js';

/** A clock that moves only when it is told to. */
class Clock {
  time = 0;
  #timers = [];

  now = () => this.time;
  setTimeout = (act, ms) => {
    const timer = { at: this.time + ms, act };
    this.#timers.push(timer);
    return timer;
  };
  clearTimeout = (timer) => {
    this.#timers = this.#timers.filter((other) => other !== timer);
  };

  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const [next] = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.clearTimeout(next);
      this.time = next.at;
      next.act();
      await settled();
    }
    this.time = end;
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

class Socket {
  sent = [];
  closed = false;

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  push(...frames) {
    this.onmessage({ data: frames.map((frame) => JSON.stringify(frame)).join('\n') });
  }

  async opens(result = {}) {
    this.onopen();
    await settled();
    this.push({ id: this.sent[0].id, result: { session: 's', heartbeat_ms: 25_000, ...result } });
  }

  lost(code = 1006) {
    this.onclose({ code, reason: '' });
  }
}

/** A started connection, and all that it does. */
function setUp({ token = () => 'token', random = () => 1 } = {}) {
  const seen = { sockets: [], states: [], pushes: [], welcomes: [], stops: [], renewals: [] };
  const clock = new Clock();
  const connection = new Connection({
    connect() {
      seen.sockets.push(new Socket());
      return seen.sockets.at(-1);
    },
    async hello(renew) {
      seen.renewals.push(renew);
      const value = token(renew);
      return value && { token: value };
    },
    onWelcome: (result) => seen.welcomes.push(result),
    onPush: (frame) => seen.pushes.push(frame),
    onState: (state) => seen.states.push(state),
    onStop: (why) => seen.stops.push(why),
    clock,
    random,
  });
  connection.start();
  return { connection, clock, seen, socket: () => seen.sockets.at(-1) };
}

test('hello is the first frame; a batch is handed on in order', async () => {
  const { connection, seen, socket } = setUp();
  await socket().opens();
  assert.deepEqual(socket().sent, [{ id: 1, method: 'hello', params: { token: 'token' } }]);
  assert.equal(connection.state, 'open');
  socket().push({ event: 'typing', room: 'r' }, { event: 'message.created', seq: 1 });
  assert.deepEqual(seen.pushes.map((frame) => frame.event), ['typing', 'message.created']);
});

test('calls are answered by id, in any order, with a result or an error', async () => {
  const { connection, socket } = setUp();
  await socket().opens();
  const first = connection.call('a', { x: 1 });
  const second = connection.call('b', {});
  const [, one, two] = socket().sent;
  socket().push({ id: two.id, error: { code: 'rate_limited', message: 'slowly', retry_after_ms: 700 } }, { id: one.id, result: { ok: true } });
  assert.deepEqual(await first, { ok: true });
  await assert.rejects(second, { code: 'rate_limited', message: 'slowly', retryAfter: 700 });
});

test('each heartbeat is answered at once', async () => {
  const { socket } = setUp();
  await socket().opens();
  socket().push({});
  assert.deepEqual(socket().sent.at(-1), {});
  assert.equal(socket().sent.length, 2);
});

test('a server that is silent for two heartbeats is left, one that speaks is not', async () => {
  const { clock, socket, seen } = setUp();
  await socket().opens({ heartbeat_ms: 1_000 });
  await clock.pass(1_900);
  socket().push({});
  await clock.pass(1_900);
  assert.equal(seen.states.at(-1), 'open');
  await clock.pass(100);
  assert.equal(seen.states.at(-1), 'waiting');
  assert.equal(seen.sockets[0].closed, true);
});

test('calls under way end with the connection, calls without one are refused', async () => {
  const { connection, socket } = setUp();
  await assert.rejects(connection.call('early', {}), { code: 'disconnected' });
  await socket().opens();
  const call = connection.call('a', {});
  socket().lost();
  await assert.rejects(call, { code: 'disconnected' });
});

test('delays double up to a cap, each anything up to that', () => {
  const bounds = [0, 1, 2, 3, 4, 5, 6, 7, 40].map((attempt) => fullJitter(attempt, () => 1));
  assert.deepEqual(bounds, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  assert.equal(fullJitter(5, () => 0), 0);
});

test('attempts go on, later and later, until a session has lasted', async () => {
  const { clock, socket, seen } = setUp();
  for (const wait of [500, 1000, 2000]) {
    socket().lost();
    const before = seen.sockets.length;
    await clock.pass(wait - 1);
    assert.equal(seen.sockets.length, before);
    await clock.pass(1);
    assert.equal(seen.sockets.length, before + 1);
  }
  await socket().opens();
  await clock.pass(6_000);
  socket().lost();
  await clock.pass(500);
  assert.equal(seen.sockets.length, 5);
});

test('a server that accepts and drops sessions is not stormed', async () => {
  const { clock, socket, seen } = setUp();
  for (let i = 0; i < 4; i++) {
    await socket().opens();
    socket().lost();
    await clock.pass(500 * 2 ** i - 1);
    assert.equal(seen.sockets.length, i + 1);
    await clock.pass(1);
    assert.equal(seen.sockets.length, i + 2);
  }
});

test('the delay that was told is kept, also where the close code was lost', async () => {
  const { clock, socket, seen } = setUp({ random: () => 0 });
  await socket().opens();
  socket().push({ event: 'closing', data: { code: 1013, reason: 'overloaded', retry_after_ms: 9_000 } });
  socket().lost(1006);
  await clock.pass(8_999);
  assert.equal(seen.sockets.length, 1);
  await clock.pass(1);
  assert.equal(seen.sockets.length, 2);
});

test('a drained session comes back after the delay of its reconnect push', async () => {
  const { clock, socket, seen } = setUp({ random: () => 0 });
  await socket().opens();
  socket().push({ event: 'reconnect', data: { delay_ms: 3_000 } });
  assert.equal(seen.states.at(-1), 'open');
  socket().push({ event: 'closing', data: { code: 1012, reason: 'drain' } });
  socket().lost(1012);
  await clock.pass(2_999);
  assert.equal(seen.sockets.length, 1);
  await clock.pass(1);
  assert.equal(seen.sockets.length, 2);
});

test('codes after which coming back would be wrong end the connection', async () => {
  for (const code of [1002, 1003, 1007, 1009, 4400, 4403, 4409]) {
    const { clock, socket, seen } = setUp();
    await socket().opens();
    socket().push({ event: 'closing', data: { code, reason: 'why' } });
    socket().lost(1006);
    await clock.pass(100_000);
    assert.deepEqual(seen.stops, [{ code, reason: 'why' }]);
    assert.equal(seen.sockets.length, 1);
  }
});

test('a refused token is renewed; where it cannot be, the connection ends', async () => {
  const { connection, clock, socket, seen } = setUp({ token: (renew) => (renew && seen?.sockets.length > 2 ? null : 'token') });
  socket().onopen();
  await settled();
  socket().lost(4401);
  await clock.pass(500);
  socket().onopen();
  await settled();
  assert.deepEqual(seen.renewals, [false, true]);
  socket().lost(4401);
  await clock.pass(1_000);
  socket().onopen();
  await settled();
  assert.deepEqual(seen.stops, [{ code: 4401, reason: '' }]);
  connection.start();
  socket().onopen();
  await settled();
  assert.deepEqual(seen.renewals, [false, true, true, false], 'a new start has a new token');
});

test('a server that does not answer hello is left', async () => {
  const { clock, socket, seen } = setUp();
  socket().onopen();
  await clock.pass(10_000);
  assert.equal(seen.states.at(-1), 'waiting');
});

test('retryNow ends the wait, stop everything', async () => {
  const { connection, clock, socket, seen } = setUp();
  socket().lost();
  connection.retryNow();
  assert.equal(seen.sockets.length, 2);
  connection.stop();
  await clock.pass(100_000);
  assert.equal(seen.sockets.length, 2);
  assert.equal(connection.state, 'idle');
});
