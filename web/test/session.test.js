import assert from 'node:assert/strict';
import { test } from 'node:test';

import { stopped, words } from '../static/js/errors.js';
import { People } from '../static/js/people.js';
import { Session, SignInByNameOff } from '../static/js/session.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

class Storage {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => this.#items.set(key, value);
  clear = () => this.#items.clear();
}

/** A session whose server answers each request with the next of the answers. */
function setUp(...answers) {
  const requests = [];
  const storage = new Storage();
  const fetch = async (path, { method, body }) => {
    requests.push([method, path, JSON.parse(body)]);
    const [status, answer] = answers.shift();
    return { status, ok: status < 400, json: async () => answer };
  };
  return { session: new Session({ storage, fetch }), storage, requests, fetch };
}

test('who signs in by name gets a token, and another one when it is refused', async () => {
  const { session, storage, requests, fetch } = setUp([200, { token: 't1' }], [200, { token: 't2' }]);
  await session.signIn({ user: 'alice', name: 'Alice' });
  assert.deepEqual(requests, [['POST', '/dev/token', { user: 'alice', name: 'Alice' }]]);
  assert.equal(await session.token(false), 't1');
  const reloaded = new Session({ storage, fetch });
  assert.equal(await reloaded.token(false), 't1');
  assert.equal(await reloaded.token(true), 't2');
  assert.equal(reloaded.device, session.device);
});

test('a server without sign-in by name says so, any other refusal is told', async () => {
  const { session } = setUp([404, {}], [400, { error: { code: 'bad_request', message: 'no such name' } }], [502, null]);
  await assert.rejects(session.signIn({ user: 'a', name: 'A' }), SignInByNameOff);
  await assert.rejects(session.signIn({ user: 'a', name: 'A' }), { message: 'no such name' });
  await assert.rejects(session.signIn({ user: 'a', name: 'A' }), { message: 'The server answered 502.' });
  assert.equal(session.signedIn, false);
});

test('a token that was pasted cannot be renewed', async () => {
  const { session } = setUp();
  session.useToken('t');
  assert.equal(await session.token(false), 't');
  assert.equal(await session.token(true), null);
});

test('signing out leaves nothing', () => {
  const { session, storage, fetch } = setUp();
  session.useToken('t');
  const { device } = session;
  session.signOut();
  assert.equal(session.signedIn, false);
  assert.equal(new Session({ storage, fetch }).signedIn, false);
  assert.notEqual(session.device, device);
});

test('names are asked for once, together, and again after a lost connection', async () => {
  const calls = [];
  let drawn = 0;
  const call = (method, params) => new Promise((resolve, reject) => calls.push({ params, resolve, reject }));
  const people = new People({ call, onNames: () => drawn++ });
  assert.deepEqual([people.name('alice'), people.name('bob'), people.name('alice'), people.name(null)], ['alice', 'bob', 'alice', 'System']);
  await settled();
  assert.deepEqual(calls.map(({ params }) => params.users), [['alice', 'bob']]);
  calls[0].reject(Object.assign(new Error(), { code: 'disconnected' }));
  await settled();
  people.resume();
  calls[1].resolve({ users: [{ id: 'alice', name: 'Alice' }] });
  await settled();
  assert.deepEqual([people.name('alice'), people.name('bob'), drawn, calls.length], ['Alice', 'bob', 1, 2]);
});

test('every error and every end has words', () => {
  assert.equal(words({ code: 'forbidden', message: 'You may not post here.' }), 'You may not post here.');
  assert.match(words({ code: 'rate_limited', retryAfter: 4200 }), /5 seconds/);
  assert.match(words({ code: 'disconnected' }), /no connection/);
  for (const code of [4401, 4403, 4409, 4400, 1009]) {
    const { text, action } = stopped({ code, reason: '' });
    assert.ok(text.endsWith('.') && action);
  }
});
