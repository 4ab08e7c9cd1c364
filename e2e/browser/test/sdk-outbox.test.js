// The SDK's outbox, in the browser's own IndexedDB: what was written and not sent outlives the page, and is sent once.

import assert from 'node:assert/strict';

import { sdkStory } from '../sdk/bench.js';

const THREE = ['First', 'Second', 'Third'];
const pending = (texts) => texts.map((text) => `${text} (pending)`);

sdkStory('three messages written while the server is away: once each, in order', async (bench) => {
  const alice = await bench.tab('alice');
  await alice.live();
  bench.proxy.cut();
  await alice.lost();
  await alice.say(...THREE);
  await bench.say('Meanwhile');
  await alice.shows(...pending(THREE));
  bench.proxy.mend();
  await alice.shows('Meanwhile', ...THREE);
  await bench.stores('Meanwhile', ...THREE);
});

sdkStory('the outbox survives a reload', async (bench) => {
  const alice = await bench.tab('alice');
  await alice.live();
  bench.proxy.cut();
  await alice.lost();
  await alice.say(...THREE);
  await alice.shows(...pending(THREE));
  await alice.page.reload();
  await alice.shows(...pending(THREE));
  bench.proxy.mend();
  await alice.shows(...THREE);
  await bench.stores(...THREE);
  await alice.page.reload();
  await alice.shows(...THREE);
  await bench.stores(...THREE);
});

sdkStory('the outbox survives a tab that is killed', async (bench) => {
  const browser = await bench.browser();
  const alice = await bench.tab('alice', { browser });
  await alice.live();
  bench.proxy.cut();
  await alice.lost();
  await alice.say(...THREE);
  await alice.shows(...pending(THREE));
  await alice.keeps(THREE.length);
  await alice.crash();
  const again = await bench.tab('alice', { browser });
  await again.shows(...pending(THREE));
  bench.proxy.mend();
  await again.shows(...THREE);
  await bench.stores(...THREE);
});

sdkStory('what a killed tab leaves is sent by another that is open', async (bench) => {
  const browser = await bench.browser();
  const [first, second] = [await bench.tab('alice', { browser }), await bench.tab('alice', { browser })];
  for (const tab of [first, second]) await tab.live();
  bench.proxy.cut();
  for (const tab of [first, second]) await tab.lost();
  await first.say(...THREE);
  await first.shows(...pending(THREE));
  await first.keeps(THREE.length);
  await first.crash();
  bench.proxy.mend();
  await second.shows(...THREE);
  await bench.stores(...THREE);
});

sdkStory('two tabs write while the server is away, and no message is sent by both', async (bench) => {
  const browser = await bench.browser();
  const tabs = [await bench.tab('alice', { browser }), await bench.tab('alice', { browser })];
  const sends = tabs.map((tab) => tab.sends());
  for (const tab of tabs) await tab.live();
  bench.proxy.cut();
  for (const tab of tabs) await tab.lost();
  await tabs[0].say(...THREE);
  await tabs[1].say('Fourth', 'Fifth');
  bench.proxy.mend();
  await tabs[0].live();
  await tabs[1].live();
  for (const tab of tabs) {
    await tab.contains(...THREE); // whichever tab is back first
    await tab.contains('Fourth', 'Fifth');
  }
  assert.deepEqual(sends, [THREE, ['Fourth', 'Fifth']]);
});
