// What each story plays on: a browser, a server of its own, and people at it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { after, test } from 'node:test';

import { chromium } from 'playwright-core';

import { artifact } from './artifacts.js';
import { Person } from './person.js';
import { Server } from './server.js';

const STORY_MS = 120_000;
/** Without motion, so that what is looked at stands still. */
const DESKTOP = { viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' };
/** So that nothing but the tests talks, and it runs as root and where there is no GPU. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup', // each page would bring a second one for an address bar
];
/** Flags of a server that holds nobody up. */
export const UNLIMITED = ['messages-per-second', 'burst', 'room-messages-per-second', 'room-burst', 'calls-per-second'].flatMap((name) => [`--limits-${name}`, '0']);
/** What Chromium itself writes into the console where the server is away. */
export const OUTAGE = /^(WebSocket connection to .* failed|Failed to load resource: (net::ERR_|the server responded with a status of 403))/;
/** What it writes where a page may not be framed. */
const REFUSAL = /frame-ancestors/;

const executablePath = spawnSync('which', ['chromium'], { encoding: 'utf8' }).stdout?.trim();
const skip = executablePath ? false : 'MISSING: Chromium (Debian: chromium). The browser tests do not run here.';
if (skip && process.env.CI) throw new Error(skip);
if (skip) console.error(`################ ${skip}`);

export const browser = skip ? null : await chromium.launch({ executablePath, args: FLAGS });
after(() => browser?.close());

/** A test of the web client: `act(stage)` plays it; afterwards no browser may have complained. The flags are the server's. */
export function story(title, act, { flags = ['--dev'] } = {}) {
  play(title, async () => new Stage(await Server.start(typeof flags === 'function' ? await flags() : flags)), act);
}

/** A test on a stage of any kind. `lacks` says what keeps it from running here. */
export function play(title, set, act, lacks = false) {
  test(title, { skip: skip || lacks, timeout: STORY_MS }, async () => {
    const stage = await set();
    try {
      await act(stage);
      stage.checkComplaints();
    } catch (error) {
      await stage.picture(title);
      throw error;
    } finally {
      await stage.close();
    }
  });
}

class Stage {
  server;
  /** Whether the server is away at times: then browsers may say so in their consoles. */
  outage = false;
  /** Whether the client is refused to somebody: then browsers may say so in their consoles. */
  refusal = false;

  #people = [];
  #others = [];

  constructor(server) {
    this.server = server;
  }

  /** Somebody at a browser of their own, before the page. `options` are Playwright's for a context; addr, where the page is. */
  async visitor(name, { addr = this.server.addr, ...options } = {}) {
    const context = await browser.newContext({ ...DESKTOP, ...options });
    const person = new Person(name, await context.newPage());
    this.#people.push(person);
    await person.page.goto(`http://${addr}/`);
    return person;
  }

  /** A browser of somebody's own: what its tabs store, they share. */
  async browser() {
    const context = await browser.newContext(DESKTOP);
    this.#others.push(context);
    return context;
  }

  /** A tab, in a browser of its own unless one is given, for what is not only the client. */
  async page(context) {
    const page = await (context ?? (await this.browser())).newPage();
    this.#people.push(new Person('A tab', page));
    return page;
  }

  /** Somebody who is signed in. */
  async person(name, options) {
    const person = await this.visitor(name, options);
    await person.signIn();
    return person;
  }

  /** Several who are signed in, all at once. */
  people(...names) {
    return Promise.all(names.map((name) => this.person(name)));
  }

  /** Two people with a direct conversation between them open. */
  async pair(options) {
    const [alice, bob] = await Promise.all([this.person('Alice', options), this.person('Bob', options)]);
    await alice.startDirect('bob');
    await bob.open('Alice');
    return [alice, bob];
  }

  /** The id of the room that somebody has open. */
  room({ page }) {
    return new URL(page.url()).hash.split('/')[2];
  }

  /** Has a user say so many messages in a room, from "1" on, as fast as the server takes them. */
  async fill(user, room, count) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`http://${this.server.addr}/`); // for its origin
    await page.evaluate(flood, { url: `ws://${this.server.addr}/v1/ws`, token: await this.server.token(user), room, count });
    await context.close();
  }

  checkComplaints() {
    for (const { name, complaints } of this.#people) {
      const expected = [...(this.outage ? [OUTAGE] : []), ...(this.refusal ? [REFUSAL] : [])];
      const unexpected = complaints.filter((complaint) => !expected.some((kind) => kind.test(complaint)));
      assert.deepEqual(unexpected, [], `complaints of ${name}'s browser`);
    }
  }

  /** Keeps what everybody saw when a story failed, and what the server said. */
  async picture(title) {
    await mkdir(artifact('.'), { recursive: true });
    for (const [index, { name, page }] of this.#people.entries()) {
      const path = artifact(`${[title, index + 1, name].join(' ').replaceAll(/\W+/g, '-')}.png`);
      const taken = await page.screenshot({ path }).catch(() => null); // the browser may be what failed
      if (taken) console.error(`What ${name} saw: ${path}`);
    }
    console.error(`The end of the server's log:\n${this.server.log.join('\n')}`);
  }

  async close() {
    for (const context of new Set([...this.#people.map(({ page }) => page.context()), ...this.#others])) await context.close();
    await this.server.close();
  }
}

/** Within a page: sends messages over one WebSocket, many at a time. */
async function flood({ url, token, room, count }) {
  const [BATCH, AHEAD] = [400, 4_000];
  const socket = new WebSocket(url, ['parley.v1']);
  const send = (...frames) => socket.send(frames.map((frame) => JSON.stringify(frame)).join('\n'));
  const message = (id) => ({ id, method: 'message.send', params: { room, client_id: `flood-${id}`, text: String(id) } });
  socket.onopen = () => send({ id: count + 1, method: 'hello', params: { token, device: 'flood', rooms: 'none' } });
  await new Promise((resolve, reject) => {
    let [sent, answered] = [0, -1]; // hello is answered, too
    socket.onmessage = ({ data }) => {
      for (const line of data.split('\n').filter(Boolean)) {
        const { id, error } = JSON.parse(line);
        if (error) reject(new Error(`refused: ${line}`));
        if (id) answered++;
      }
      while (sent < count && sent < answered + AHEAD) {
        const ids = Array.from({ length: Math.min(BATCH, count - sent) }, (_, i) => sent + i + 1);
        send(...ids.map(message));
        sent += ids.length;
      }
      if (answered === count) resolve();
    };
    socket.onclose = ({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`));
  });
  socket.close();
}
