// Groups and channels, and what can be done with a message.

import assert from 'node:assert/strict';

import { eventually } from '../person.js';
import { story } from '../stage.js';

/** Three people in a group that all of them have open. */
async function trio(stage) {
  const people = await stage.people('Alice', 'Bob', 'Carol');
  const [alice, bob, carol] = people;
  await alice.startGroup('Lunch', ['bob', 'carol']);
  for (const person of [bob, carol]) await person.open('Lunch');
  return people;
}

story('a group of three: reply, reaction, edit', async (stage) => {
  const [alice, bob, carol] = await trio(stage);
  for (const person of [alice, bob, carol]) await person.page.getByText('3 members').waitFor();
  await alice.say('Noodles or soup?');
  await bob.act('Noodles or soup?', 'Reply');
  await bob.page.getByText('Reply to Alice').waitFor();
  await bob.say('Soup');
  await alice.message('Soup').getByRole('button', { name: 'You Noodles or soup?' }).waitFor();
  await carol.message('Soup').getByRole('button', { name: 'Alice Noodles or soup?' }).waitFor();

  await carol.act('Soup', 'React');
  await carol.page.getByRole('button', { name: 'React with 👍' }).click();
  await bob.message('Soup').getByRole('button', { name: '👍, 1' }).waitFor();
  await alice.message('Soup').getByRole('button', { name: '👍, 1' }).click();
  await carol.message('Soup').getByRole('button', { name: '👍, 2', pressed: true }).waitFor();
  await carol.message('Soup').getByRole('button', { name: '👍, 2' }).click();
  await bob.message('Soup').getByRole('button', { name: '👍, 1' }).waitFor();

  await bob.act('Soup', 'Edit');
  await bob.say('Noodles, then');
  for (const person of [alice, bob, carol]) {
    await person.sees('Noodles or soup?', 'Noodles, then');
    await person.message('Noodles, then').getByText('edited').waitFor();
  }
  await alice.sent('Noodles or soup?', 'Read');
});

story('a deleted message is gone: from the page, from quotes, from the list, and after a reload', async (stage) => {
  const [alice, bob, carol] = await trio(stage);
  const secret = 'The door code is 4711';
  await alice.say(secret);
  await bob.act(secret, 'Reply');
  await bob.say('Thanks');
  await alice.act(secret, 'Delete');
  await alice.dialog.getByRole('button', { name: 'Delete' }).click();
  for (const person of [alice, bob, carol]) {
    await person.sees('This message was deleted', 'Thanks');
    await person.message('Thanks').getByText('Message deleted').waitFor();
    assert.ok(!(await person.everything()).includes('4711'), `${person.name}'s page still holds it`);
    await person.page.reload();
    await person.sees('This message was deleted', 'Thanks');
    assert.ok(!(await person.everything()).includes('4711'), `${person.name}'s page got it anew`);
  }
});

story('only who may delete is offered it', async (stage) => {
  const [alice, bob] = await trio(stage);
  await alice.say('Mine');
  await bob.message('Mine').hover();
  const toolbar = bob.page.getByRole('toolbar', { name: 'Message' });
  await toolbar.getByRole('button', { name: 'Reply' }).waitFor();
  assert.deepEqual(await toolbar.getByRole('button').evaluateAll((buttons) => buttons.map(({ title }) => title)), ['React', 'Reply', 'Thread']);
});

story('a channel: made, found, joined, left', async (stage) => {
  const [alice, bob, carol] = await stage.people('Alice', 'Bob', 'Carol');
  await alice.startChannel('releases', 'What is new');
  await alice.say('0.1 is out');
  await bob.page.getByRole('button', { name: 'Browse channels' }).first().click();
  await bob.dialog.getByRole('searchbox', { name: 'Search channels' }).fill('rel');
  await bob.dialog.getByRole('listitem').filter({ hasText: 'What is new' }).getByRole('button', { name: 'Join' }).click();
  await bob.sees('0.1 is out');
  await bob.say('At last');
  await alice.sees('0.1 is out', 'At last');
  await alice.page.getByText('2 members · What is new').waitFor();
  assert.equal(await carol.entry('releases').count(), 0);

  await bob.page.getByRole('button', { name: 'Details' }).click();
  await bob.page.getByRole('complementary', { name: 'Details' }).getByRole('button', { name: 'Leave channel' }).click();
  await bob.entry('releases').waitFor({ state: 'detached' });
  await alice.page.getByText('1 member · What is new').waitFor();
});

story('people are added to a group, and see it from then on', async (stage) => {
  const [alice] = await trio(stage);
  const dave = await stage.person('Dave');
  await alice.page.getByRole('button', { name: 'Details' }).click();
  const details = alice.page.getByRole('complementary', { name: 'Details' });
  await details.getByRole('combobox', { name: 'Add people' }).fill('nobody');
  await details.getByRole('button', { name: 'Add', exact: true }).click();
  await details.getByRole('alert').filter({ hasText: 'There is no such user yet.' }).waitFor();
  await details.getByRole('button', { name: 'Remove nobody' }).click();
  await details.getByRole('combobox', { name: 'Add people' }).fill('dave');
  await details.getByRole('button', { name: 'Add', exact: true }).click();
  await dave.open('Lunch');
  await details.getByText('@dave').waitFor();
  await alice.say('Welcome');
  await dave.sees('Welcome');
});

story('who is named with @ is told so in the list', async (stage) => {
  const [alice, bob, carol] = await stage.people('Alice', 'Bob', 'Carol');
  await alice.startGroup('Lunch', ['bob', 'carol']);
  await alice.page.getByText('3 members').waitFor();
  await alice.say('@bob, do you come along?', 'It is next door');
  await eventually(async () => assert.equal(await bob.unread('Lunch'), 2));
  await eventually(async () => assert.equal(await carol.unread('Lunch'), 2));
  await bob.entry('Lunch').getByRole('img', { name: 'You are mentioned' }).waitFor();
  assert.equal(await carol.entry('Lunch').getByRole('img', { name: 'You are mentioned' }).count(), 0);
  await bob.page.reload();
  await bob.entry('Lunch').getByRole('img', { name: 'You are mentioned' }).waitFor();
  await bob.open('Lunch');
  await bob.entry('Lunch').getByRole('img', { name: 'You are mentioned' }).waitFor({ state: 'detached' });
});
