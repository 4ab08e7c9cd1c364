// What each story of the SDK plays on: a real server, a proxy in front of it, a site with a page, and tabs that show it.

import assert from 'node:assert/strict';

import { Cluster, lacksCluster } from '../cluster.js';
import { eventually } from '../person.js';
import { Proxy } from '../proxy.js';
import { Server } from '../server.js';
import { browser, OUTAGE, play, UNLIMITED } from '../stage.js';
import { Site } from './site.js';

/** What Chromium itself writes into the console where a request is refused. */
const REFUSAL = /^Failed to load resource: the server responded with a status of/;

/** A test of the SDK: `act(bench)` plays it; afterwards no page may have thrown. */
export function sdkStory(title, act, { flags = [], cluster = false } = {}) {
  play(title, () => Bench.set(flags, cluster), act, cluster && lacksCluster);
}

class Bench {
  site;
  server;
  proxy;
  /** the room of alice and bob */
  room;

  #cluster;
  #nodes = [];
  #contexts = [];
  #complaints = [];

  static async set(flags, cluster) {
    const bench = new Bench();
    bench.site = await Site.open();
    if (cluster) bench.#cluster = await Cluster.start();
    bench.server = await bench.start([...flags, ...(bench.#cluster?.flags ?? [])]);
    bench.proxy = await Proxy.before(bench.server.addr);
    bench.site.token = (user) => bench.server.token(user);
    for (const user of ['alice', 'bob']) await bench.server.call(user, 'user.update', { name: user });
    const { room } = await bench.server.call('bob', 'room.create', { kind: 'direct', members: ['alice'] });
    bench.room = room.id;
    return bench;
  }

  /** Starts a server that lets the site's pages in. */
  start(flags = []) {
    return Server.start([...UNLIMITED, '--origins', this.site.origin, '--drain', '2s', ...flags]);
  }

  /** Another node of the cluster, for which the bench was set. */
  async join() {
    const node = await this.start([...this.#cluster.flags, '--secret-file', this.server.secretFile]);
    this.#nodes.push(node);
    return node;
  }

  /** A browser of somebody's own: what its tabs store, they share. */
  async browser() {
    const context = await browser.newContext();
    context.on('weberror', (error) => this.#complaints.push(String(error.error())));
    context.on('console', (message) => ['error', 'warning'].includes(message.type()) && this.#complaints.push(message.text()));
    this.#contexts.push(context);
    return context;
  }

  /** A tab with the page in it, in a browser of its own unless one is given; `clock` says that its time will be moved. */
  async tab(user, { browser, clock, ...how } = {}) {
    const page = await (browser ?? (await this.browser())).newPage();
    const query = new URLSearchParams({ url: `http://${this.proxy.addr}`, user, room: this.room, ...how });
    const tab = new Tab(page);
    if (clock) await page.clock.install();
    await page.goto(`${this.site.origin}/?${query}`);
    return tab;
  }

  /** Sends as bob, from elsewhere. */
  async say(...texts) {
    for (const text of texts) await this.server.call('bob', 'message.send', { room: this.room, client_id: text, text });
  }

  /** The texts that the server has stored, in order. */
  async stored() {
    const texts = [];
    for (let more = true, after = 0; more; ) {
      const page = await this.server.call('bob', 'message.list', { room: this.room, after, limit: 200 });
      texts.push(...page.messages.map(({ text }) => text));
      after = page.messages.at(-1)?.seq ?? 0;
      more = page.more;
    }
    return texts;
  }

  /** Waits until the server has stored exactly these. */
  async stores(...texts) {
    await eventually(async () => assert.deepEqual(await this.stored(), texts));
  }

  checkComplaints() {
    assert.deepEqual(this.#complaints.filter((text) => !OUTAGE.test(text) && !REFUSAL.test(text)), [], 'complaints of the browsers');
  }

  async picture() {
    console.error(`What the browsers complained of: ${this.#complaints.join('\n')}\nThe end of the server's log:\n${this.server.log.join('\n')}`);
  }

  async close() {
    for (const context of this.#contexts) await context.close();
    await this.proxy.close();
    for (const node of [this.server, ...this.#nodes]) await node.close();
    await this.#cluster?.close();
    await this.site.close();
  }
}

/** A tab that shows the page. */
class Tab {
  page;

  constructor(page) {
    this.page = page;
    page.setDefaultTimeout(15_000);
  }

  /** Sends, and does not wait for what becomes of it. */
  say(...texts) {
    return this.page.evaluate((texts) => texts.forEach((text) => room.send({ text })), texts);
  }

  /** Sends one after the other, each when the one before is stored, in the background. */
  says(texts) {
    return this.page.evaluate((texts) => {
      void (async () => {
        for (const text of texts) await room.send({ text });
      })();
    }, texts);
  }

  /** The timeline: texts, those that are on their way marked so. */
  texts() {
    return this.page.evaluate(() => lines().map(({ text, status }) => (status === 'pending' || status === 'failed' ? `${text} (${status})` : text)));
  }

  /** Waits until the timeline is exactly this. */
  async shows(...texts) {
    await eventually(async () => assert.deepEqual(await this.texts(), texts));
  }

  /** Waits until these are in the timeline, among others, in this order, and none of them waits to be sent. */
  async contains(...texts) {
    await eventually(async () => assert.deepEqual((await this.texts()).filter((text) => texts.includes(text)), texts));
  }

  /** The texts that this tab sends over WebSockets from its next session on, every attempt of them. */
  sends() {
    const sent = [];
    this.page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        const calls = payload.split('\n').map((line) => JSON.parse(line));
        sent.push(...calls.filter(({ method }) => method === 'message.send').map(({ params }) => params.text));
      });
    });
    return sent;
  }

  /** Waits until so many messages that are not stored by the server are kept in the browser: what is written and shown is kept a moment later. */
  async keeps(count) {
    const kept = () => this.page.evaluate(async () => {
      const done = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
      const [{ name }] = (await indexedDB.databases()).filter(({ name }) => name.startsWith('parley '));
      const database = await done(indexedDB.open(name));
      const keys = await done(database.transaction('entries').objectStore('entries').getAllKeys(IDBKeyRange.bound('outbox/', 'outbox/\uffff')));
      database.close();
      return keys.length;
    });
    await eventually(async () => assert.equal(await kept(), count));
  }

  /** Ends the tab's process, with no word of farewell. */
  async crash() {
    const crashed = this.page.waitForEvent('crash');
    const devtools = await this.page.context().newCDPSession(this.page);
    void devtools.send('Page.crash').catch(() => {}); // nobody is left to answer
    await crashed;
    await this.page.close();
  }

  /** What the connection is doing. */
  state() {
    return this.page.evaluate(() => parley.connection.get());
  }

  /** The id of the session, once there is one over a transport, and not the one given. */
  async live(transport, not) {
    const isLive = ([transport, not]) => {
      const { status, transport: over } = parley.connection.get();
      return status === 'live' && (!transport || over === transport) && link.session.get().session !== not;
    };
    await this.page.waitForFunction(isLive, [transport, not]);
    return this.page.evaluate(() => link.session.get().session);
  }

  /** Waits until the connection is lost. */
  async lost() {
    await this.page.waitForFunction(() => parley.connection.get().status !== 'live');
  }

  /** Checks that the link has told every event of the room once, in order, with no hole among them, up to the last. */
  async unbroken(last) {
    await this.page.waitForFunction((last) => seqs().at(-1) >= last, last);
    const { told, resets } = await this.page.evaluate(() => ({ told: seqs(), resets: frames.filter(({ event }) => event === 'reset') }));
    assert.deepEqual(told, told.map((_, i) => told[0] + i));
    assert.deepEqual(resets, []);
  }
}
