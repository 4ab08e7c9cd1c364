// One session for all tabs of a browser, by its own Web Locks and BroadcastChannel.

import assert from 'node:assert/strict';

import { eventually } from '../person.js';
import { sdkStory } from '../sdk/bench.js';

const share = { share: '' };
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);

/** Three tabs of alice's, once all of them are live, and bob's first word has come. */
async function three(bench) {
  const browser = await bench.browser();
  const tabs = [];
  for (let i = 0; i < 3; i++) tabs.push(await bench.tab('alice', { browser, ...share }));
  await Promise.all(tabs.map((tab) => tab.live()));
  await bench.say('0');
  await Promise.all(tabs.map((tab) => tab.shows('0')));
  return tabs;
}

async function oneSession(bench) {
  await eventually(async () => {
    assert.equal(bench.proxy.sockets, 1);
    assert.equal((await bench.server.call('alice', 'session.list', {})).sessions.length, 1);
  });
}

sdkStory('several tabs share one connection, and all of them hear and speak', async (bench) => {
  const tabs = await three(bench);
  await oneSession(bench);
  const sessions = await Promise.all(tabs.map((tab) => tab.live()));
  assert.equal(new Set(sessions).size, 1);
  await bench.say('from bob');
  for (const [i, tab] of tabs.entries()) {
    await tab.say(`from tab ${i}`);
    await bench.stores('0', 'from bob', ...tabs.slice(0, i + 1).map((_, j) => `from tab ${j}`));
  }
  for (const tab of tabs) {
    await tab.shows('0', 'from bob', 'from tab 0', 'from tab 1', 'from tab 2');
    await tab.unbroken(6);
  }
  await oneSession(bench);
});

for (const [how, leave] of [['closed', (tab) => tab.page.close()], ['killed', (tab) => tab.crash()]]) {
  sdkStory(`the tab that holds the connection is ${how} while both talk: another takes over, nothing is lost or doubled`, async (bench) => {
    const [holder, ...others] = await three(bench);
    const [writer, reader] = others;
    const talk = bench.say(...numbers(1, 60));
    await writer.says(numbers(101, 160));
    await reader.page.waitForFunction(() => seqs().length > 20);
    await leave(holder);
    await talk;
    await eventually(async () => assert.equal((await bench.stored()).length, 121));
    const stored = await bench.stored();
    assert.deepEqual(stored.filter((text) => text.length < 3), ['0', ...numbers(1, 60)]);
    assert.deepEqual(stored.filter((text) => text.length === 3), numbers(101, 160));
    for (const tab of others) {
      await tab.unbroken(122);
      await tab.shows(...stored);
    }
    await oneSession(bench);
  });
}

sdkStory('the tab that holds the connection is reloaded again and again', async (bench) => {
  const tabs = await three(bench);
  for (let round = 1; round <= 6; round++) {
    await tabs[round % 3].page.reload();
    await bench.say(`${round}`);
    for (const tab of tabs) await tab.shows(...numbers(0, round));
  }
  await oneSession(bench);
});
