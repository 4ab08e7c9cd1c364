// The SDK's link over a real browser's WebSockets, fetch and streams: through proxies, outages, drains and slow networks.

import assert from 'node:assert/strict';

import { eventually } from '../person.js';
import { sdkStory } from '../sdk/bench.js';

const MINUTE = 60_000;
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);
/** So that a page whose clock is moved does not miss heartbeats. */
const calm = { flags: ['--heartbeat', '10m'] };

/** Lets a minute pass for a page, and waits until it is back on WebSockets. */
async function upgrades(tab) {
  await tab.page.clock.fastForward(MINUTE + 1);
  await tab.live('websocket');
}

sdkStory('WebSockets are refused: event streams serve, and WebSockets again once they are let through', async (bench) => {
  bench.proxy.refuses.add('websocket');
  const alice = await bench.tab('alice', { clock: true });
  await alice.live('events');
  await bench.say('1');
  await alice.says(['2']);
  await alice.shows('1', '2');
  bench.proxy.refuses.clear();
  await upgrades(alice);
  await bench.say('3');
  await alice.shows('1', '2', '3');
  await alice.unbroken(4);
}, calm);

sdkStory('event streams are refused, too: polling serves, and WebSockets again once they are let through', async (bench) => {
  bench.proxy.refuses.add('websocket').add('events');
  const alice = await bench.tab('alice', { clock: true });
  await alice.live('poll');
  await bench.say('1');
  await alice.says(['2']);
  await alice.shows('1', '2');
  bench.proxy.refuses.clear();
  await upgrades(alice);
  await bench.say('3');
  await alice.shows('1', '2', '3');
  await alice.unbroken(4);
}, calm);

sdkStory('WebSockets are refused in the middle of it: what is said meanwhile is not lost', async (bench) => {
  const alice = await bench.tab('alice');
  await alice.live('websocket');
  bench.proxy.refuses.add('websocket');
  bench.proxy.cut();
  await alice.lost();
  await alice.says(numbers(101, 103));
  await bench.say(...numbers(1, 3));
  bench.proxy.mend();
  await alice.live('events');
  await bench.stores(...numbers(1, 3), ...numbers(101, 103));
  await alice.shows(...numbers(1, 3), ...numbers(101, 103));
});

sdkStory('a token that ends in the middle of a session is refreshed on it', async (bench) => {
  let asked = 0;
  bench.site.token = (user) => bench.server.token(user, { seconds: ++asked === 1 ? 3 : 3600 });
  const alice = await bench.tab('alice');
  const session = await alice.live();
  await eventually(() => assert.equal(asked, 2));
  const { exp } = await alice.page.evaluate(() => ({ exp: Date.parse(link.session.get().token_expires_at) }));
  await eventually(() => assert.ok(Date.now() > exp, 'the first token has ended'));
  await bench.say('1');
  await alice.shows('1');
  assert.equal(await alice.live(), session);
});

sdkStory('a token that cannot be refreshed ends the session, and the next one brings what was missed', async (bench) => {
  let asked = 0;
  bench.site.token = (user) => {
    asked++;
    if (asked === 2) throw new Error('not now');
    return bench.server.token(user, { seconds: asked === 1 ? 2 : 3600 });
  };
  const alice = await bench.tab('alice');
  const session = await alice.live();
  await bench.say('1');
  await alice.lost();
  await bench.say('2');
  await alice.live(undefined, session);
  await alice.shows('1', '2');
  await alice.unbroken(3);
});

sdkStory('a ticket opens an EventSource, once', async (bench) => {
  const alice = await bench.tab('alice');
  await alice.live();
  const heard = await alice.page.evaluate(async (url) => {
    const { ticket } = await parley.call('session.ticket', {});
    const listen = () => new EventSource(`${url}/v1/events?device=source&ticket=${encodeURIComponent(ticket)}`);
    const first = listen();
    const heard = [];
    globalThis.source = first;
    first.onmessage = ({ data }) => heard.push(JSON.parse(data));
    await new Promise((resolve) => (first.onopen = resolve));
    const second = listen();
    await new Promise((resolve) => (second.onerror = resolve));
    globalThis.heard = heard;
    return second.readyState;
  }, `http://${bench.proxy.addr}`);
  assert.equal(heard, 2, 'the second is refused for good');
  await bench.say('1');
  await alice.page.waitForFunction(() => heard.some(({ event, data }) => event === 'message.created' && data.text === '1'));
  assert.equal(await alice.page.evaluate(() => heard[0].event), 'hello');
});

sdkStory('kill -9 and a restart under two writers: once each, in order', async (bench) => {
  const [alice, bob] = await Promise.all([bench.tab('alice'), bench.tab('bob')]);
  for (const tab of [alice, bob]) await tab.live();
  await alice.says(numbers(101, 200));
  await bob.says(numbers(201, 300));
  for (const much of [30, 90]) {
    await eventually(async () => assert.ok((await bob.texts()).length > much));
    await bench.server.kill();
    await bench.server.restart();
  }
  for (const tab of [alice, bob]) await tab.page.waitForFunction(() => lines().length === 200 && lines().every(({ status }) => status !== 'pending'));
  const stored = await bench.stored();
  assert.deepEqual(stored.filter((text) => text <= '200'), numbers(101, 200));
  assert.deepEqual(stored.filter((text) => text > '200'), numbers(201, 300));
  for (const tab of [alice, bob]) {
    await tab.unbroken(201);
    await tab.shows(...stored);
  }
});

for (const transport of ['websocket', 'events', 'poll']) {
  sdkStory(`a node that is drained hands its session to another, without a gap: ${transport}`, async (bench) => {
    const other = await bench.join();
    const alice = await bench.tab('alice', { transports: transport });
    const before = await alice.live();
    await bench.say('1');
    await alice.shows('1');
    await alice.page.evaluate(() => {
      globalThis.statuses = [];
      parley.connection.subscribe(() => statuses.push(parley.connection.get().status));
    });
    const drained = bench.server.drain();
    bench.proxy.to = other.addr; // as a balancer does, once the node says that it is not ready
    await alice.says(numbers(101, 140));
    for (const text of numbers(2, 40)) await other.call('bob', 'message.send', { room: bench.room, client_id: text, text });
    await drained;
    await alice.live(transport, before);
    await alice.unbroken(81);
    const { messages } = await other.call('bob', 'message.list', { room: bench.room, limit: 200 });
    await alice.shows(...messages.map(({ text }) => text));
    assert.equal(messages.length, 80);
    // The server gives the first session to leave no time, so that the next one may be on its way still: but it is on its way.
    assert.ok(!(await alice.page.evaluate(() => statuses)).includes('waiting'));
  }, { cluster: true });
}

sdkStory('a slow network loses nothing', async (bench) => {
  const alice = await bench.tab('alice');
  const devtools = await alice.page.context().newCDPSession(alice.page);
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 200, downloadThroughput: 60_000, uploadThroughput: 20_000 });
  await alice.page.reload();
  await alice.live();
  const talk = bench.say(...numbers(1, 15));
  await alice.says(numbers(101, 105));
  await talk;
  await eventually(async () => assert.equal((await bench.stored()).length, 20));
  await alice.unbroken(21);
  await alice.shows(...(await bench.stored()));
});

sdkStory('the browser is offline for a while, and says so: it is back at once, and nothing is lost', async (bench) => {
  const browser = await bench.browser();
  const alice = await bench.tab('alice', { browser });
  await alice.live();
  for (let round = 0; round < 3; round++) {
    await browser.setOffline(true);
    bench.proxy.cut();
    await alice.lost();
    await eventually(async () => assert.deepEqual(await alice.state().then(({ status, retryAt }) => [status, retryAt]), ['waiting', undefined]));
    await alice.say(`mine ${round}`);
    await bench.say(`theirs ${round}`);
    bench.proxy.mend();
    await browser.setOffline(false);
    await alice.shows(...[0, 1, 2].slice(0, round + 1).flatMap((n) => [`theirs ${n}`, `mine ${n}`]));
  }
  await alice.unbroken(7);
});

sdkStory('a network that is another one now is noticed when the browser says so, not by silence', async (bench) => {
  const browser = await bench.browser();
  const alice = await bench.tab('alice', { browser });
  const before = await alice.live();
  bench.proxy.swallow(); // what was sent over the old network goes nowhere, and nobody is told
  await browser.setOffline(true);
  await alice.say('mine');
  await bench.say('theirs');
  await browser.setOffline(false);
  await alice.live(undefined, before);
  await alice.shows('theirs', 'mine');
  await alice.unbroken(3);
});

sdkStory('a page that was frozen for a while goes on', async (bench) => {
  const alice = await bench.tab('alice');
  await alice.live();
  const devtools = await alice.page.context().newCDPSession(alice.page);
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
  await bench.say(...numbers(1, 5));
  bench.proxy.cut();
  bench.proxy.mend();
  await bench.say(...numbers(6, 9));
  await devtools.send('Page.setWebLifecycleState', { state: 'active' });
  await alice.shows(...numbers(1, 9));
  await alice.unbroken(10);
});
