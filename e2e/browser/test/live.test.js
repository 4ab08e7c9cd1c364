// Live comments: a crowd writes, and who watches can still read.

import assert from 'node:assert/strict';

import { violations } from '../axe.js';
import { eventually } from '../person.js';
import { story, UNLIMITED } from '../stage.js';

const flags = ['--dev', ...UNLIMITED];
/** Comments in the document at most: what fits, and what one may scroll back to. */
const MOST = 400;

/** A live room, and a watcher before it. */
async function live(stage, settings = {}) {
  await stage.server.call('host', 'user.update', { name: 'Host' });
  const { room } = await stage.server.call('host', 'room.create', { kind: 'live', name: 'The final', topic: 'Kick-off at eight', settings });
  const alice = await stage.person('Alice');
  await alice.page.evaluate((hash) => void (location.hash = hash), `#/live/${room.id}`);
  const log = alice.page.getByRole('log', { name: 'Comments' });
  await log.waitFor();
  const texts = () => log.getByRole('listitem').locator('.text').allTextContents();
  return { room: room.id, alice, log, texts };
}

story('a flood of comments: the page stays small, stands still under the pointer, and goes on to the newest', async (stage) => {
  const { room, alice, log, texts } = await live(stage); // not sampled: or one would not know which is the last that is pushed
  await stage.fill('crowd', room, 3_000);
  await eventually(async () => assert.equal((await texts()).at(-1), '3000'));
  const shown = (await texts()).map(Number);
  assert.ok(shown.length <= MOST, `${shown.length} comments are in the document`);
  assert.deepEqual(shown, [...shown].sort((a, b) => a - b));

  await log.hover();
  await alice.page.mouse.wheel(0, -400);
  const held = await texts();
  await stage.fill('others', room, 500);
  const more = alice.page.getByRole('button', { name: /\d+ new: to the newest comment/ });
  await more.waitFor();
  assert.deepEqual(await texts(), held, 'what is read stands still');
  await more.click();
  await alice.page.mouse.move(0, 0);
  await eventually(async () => assert.equal((await texts()).at(-1), '500'));
  assert.ok((await texts()).length <= MOST);
}, { flags });

story('viewers are counted, comments and reactions go around, and nobody comes before the slow mode lets them', async (stage) => {
  const { room, alice, log } = await live(stage, { slow_mode_s: 30 });
  const bob = await stage.person('Bob');
  await bob.page.evaluate((hash) => void (location.hash = hash), `#/live/${room}`);
  for (const { page } of [alice, bob]) await page.getByTitle('Watching now').getByText('2', { exact: true }).waitFor();
  await alice.page.getByRole('textbox', { name: 'Comment' }).fill('What a save');
  await alice.page.getByRole('textbox', { name: 'Comment' }).press('Enter');
  await bob.page.getByRole('log', { name: 'Comments' }).getByText('What a save').waitFor();
  await alice.page.getByRole('button', { name: /^Send in \d+ s$/ }).waitFor();
  await bob.page.getByRole('toolbar', { name: 'Reactions' }).getByRole('button', { name: 'Send 🔥' }).click();
  await log.getByText('🔥').waitFor();
  await bob.page.close();
  await alice.page.getByTitle('Watching now').getByText('1', { exact: true }).waitFor();
  for (const scheme of ['dark', 'light']) {
    await alice.scheme(scheme);
    assert.deepEqual(await violations(alice.page), [], scheme);
  }
}, { flags });
