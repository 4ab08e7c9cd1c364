// The client behind networks that block, and on one that is slow.

import assert from 'node:assert/strict';

import { eventually } from '../person.js';
import { Proxy } from '../proxy.js';
import { story } from '../stage.js';

const lines = (name, count) => Array.from({ length: count }, (_, i) => `${name} ${i + 1}`);

for (const [title, refused] of [
  ['WebSockets are refused, and event streams serve', ['websocket']],
  ['event streams are refused, too, and polling serves', ['websocket', 'events']],
]) {
  story(`${title}: two people talk, with ticks and typing`, async (stage) => {
    stage.outage = true; // Chromium writes of each refused attempt
    const proxy = await Proxy.before(stage.server.addr);
    try {
      for (const what of refused) proxy.refuses.add(what);
      const [alice, bob] = await stage.pair({ addr: proxy.addr });
      assert.equal(proxy.sockets, 0);
      await alice.say('Can you read this?');
      await bob.sees('Can you read this?');
      await alice.sent('Can you read this?', 'Read');
      await bob.composer.pressSequentially('I');
      await alice.page.getByText('Bob is typing…').waitFor();
      await bob.say('I can');
      await alice.sees('Can you read this?', 'I can');
      proxy.cut();
      await alice.cutOff();
      await alice.say('And now?');
      await alice.sent('And now?', 'Waiting to be sent');
      proxy.mend();
      for (const person of [alice, bob]) await person.sees('Can you read this?', 'I can', 'And now?');
      await alice.sent('And now?', 'Read');
    } finally {
      await proxy.close();
    }
  });
}

story('a slow network: nothing is lost, nothing is doubled, and what is written is shown at once', async (stage) => {
  const [alice, bob] = await stage.pair();
  const devtools = await alice.page.context().newCDPSession(alice.page);
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 300, downloadThroughput: 50_000, uploadThroughput: 20_000 });
  const [mine, theirs] = [lines('Alice', 8), lines('Bob', 8)];
  await Promise.all([alice.say(...mine), bob.say(...theirs)]);
  await alice.sent('Alice 8', 'Read');
  const seen = await bob.texts();
  assert.deepEqual(seen.filter((text) => text.startsWith('Alice')), mine);
  assert.deepEqual(seen.filter((text) => text.startsWith('Bob')), theirs);
  await alice.sees(...seen);
  await alice.page.reload();
  await alice.sees(...seen);
  await bob.sees(...seen);
  await eventually(async () => assert.equal(await alice.unread('Bob'), 0));
});
