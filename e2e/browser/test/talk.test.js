// Two people talk.

import assert from 'node:assert/strict';

import { eventually } from '../person.js';
import { story } from '../stage.js';

story('sign in by name, and be somebody', async (stage) => {
  const alice = await stage.visitor('Alice');
  await alice.page.getByRole('textbox', { name: 'Your name' }).fill('Alice');
  await alice.page.getByText('Others will find you as @alice.').waitFor();
  await alice.signIn();
  await alice.page.getByText('@alice', { exact: true }).waitFor();
  await alice.page.getByText('No conversations yet').waitFor();
  await alice.page.getByRole('button', { name: 'Sign out' }).click();
  await alice.page.getByRole('textbox', { name: 'Your name' }).waitFor();
});

story('a direct conversation goes both ways, and the ticks follow: sent, delivered, read', async (stage) => {
  const alice = await stage.person('Alice');
  const bob = await stage.person('Bob');
  await alice.startDirect('bob');
  await alice.entry('Bob').waitFor();
  stage.outage = true;
  await bob.offline(true);
  await alice.say('Hello, Bob');
  await alice.sent('Hello, Bob', 'Sent');
  await bob.offline(false);
  await alice.sent('Hello, Bob', 'Delivered');
  assert.equal(await bob.unread('Alice'), 1);

  await bob.open('Alice');
  await bob.sees('Hello, Bob');
  await alice.sent('Hello, Bob', 'Read');
  await bob.say('Hello, Alice');
  await alice.sees('Hello, Bob', 'Hello, Alice');
  await bob.sent('Hello, Alice', 'Read');
});

story('typing is shown, and goes', async (stage) => {
  const [alice, bob] = await stage.pair();
  await alice.composer.pressSequentially('Hm');
  await bob.page.getByText('Alice is typing…').waitFor();
  await alice.composer.fill('');
  await bob.page.getByText('Alice is typing…').waitFor({ state: 'detached' });
  await alice.composer.pressSequentially('So');
  await bob.page.getByText('Alice is typing…').waitFor();
  await alice.composer.press('Enter');
  await bob.sees('So');
  await bob.page.getByText('typing…').first().waitFor({ state: 'detached' });
  await alice.composer.pressSequentially('And');
  await bob.page.getByText('Alice is typing…').waitFor();
});

story('reloading in the middle of a conversation keeps everything', async (stage) => {
  const [alice, bob] = await stage.pair();
  const said = Array.from({ length: 12 }, (_, index) => `Line ${index + 1}`);
  await alice.say(...said.slice(0, 6));
  await bob.sees(...said.slice(0, 6));
  await bob.page.reload();
  await alice.say(...said.slice(6));
  await bob.sees(...said);
  await alice.sees(...said);
  await alice.page.reload();
  await alice.sees(...said);
  await bob.say('Got all of it');
  await alice.sees(...said, 'Got all of it');
  await eventually(async () => assert.equal(await alice.unread('Bob'), 0));
});

story('two tabs of one user on two devices agree on what is unread', async (stage) => {
  const bob = await stage.person('Bob');
  const desk = await stage.person('Alice');
  const phone = await stage.person('Alice');
  await bob.startDirect('alice');
  await bob.say('One', 'Two', 'Three');
  for (const tab of [desk, phone]) await eventually(async () => assert.equal(await tab.unread('Bob'), 3));
  await eventually(async () => assert.equal(await phone.page.title(), '(3) Parley'));

  await desk.open('Bob');
  for (const tab of [desk, phone]) await eventually(async () => assert.equal(await tab.unread('Bob'), 0));
  await phone.open('Bob');
  await phone.sees('One', 'Two', 'Three');
  await desk.say('Four');
  await phone.sees('One', 'Two', 'Three', 'Four');
  await desk.sent('Four', 'Read');
});

story('a duplicated tab takes over, and the first one says so', async (stage) => {
  const alice = await stage.person('Alice');
  const [twin] = await Promise.all([
    alice.page.waitForEvent('popup'),
    alice.page.evaluate(() => void window.open(location.href)), // with a copy of the session, as duplicating does
  ]);
  await twin.getByText('@alice', { exact: true }).waitFor();
  await alice.page.getByText('This conversation list is open in another tab.').waitFor();
  await alice.page.getByRole('button', { name: 'Use it here' }).click();
  await alice.page.getByText('is open in another tab').waitFor({ state: 'detached' });
  assert.equal(await twin.getByText('is open in another tab').count(), 0, 'two devices from now on');
});
