// Emoji are chosen: for the text, and to react with.

import assert from 'node:assert/strict';

import { violations } from '../axe.js';
import { story } from '../stage.js';

const choice = (page) => {
  const dialog = page.getByRole('dialog', { name: 'Emoji' });
  return { dialog, search: dialog.getByRole('combobox', { name: 'Search emoji' }), option: (name) => dialog.getByRole('option', { name, exact: true }) };
};
const chosen = ({ dialog }, name) => dialog.getByRole('option', { name, exact: true, selected: true }).waitFor();
const hasFocus = (page, locator) => locator.and(page.locator(':focus')).waitFor();

story('an emoji is found, chosen and put where the caret is, from the keyboard', async (stage) => {
  const [alice, bob] = await stage.pair();
  const { page } = alice;
  const { keyboard } = page;
  const emoji = choice(page);
  const button = page.getByRole('button', { name: 'Emoji' });
  await alice.composer.fill('Lunch? now');
  for (let i = 0; i < 3; i++) await alice.composer.press('ArrowLeft');
  await keyboard.press('Tab');
  await hasFocus(page, button);
  await keyboard.press('Enter');
  await hasFocus(page, emoji.search);
  await chosen(emoji, 'grinning face');
  await keyboard.type('pizz');
  await chosen(emoji, 'pizza');
  assert.equal(await emoji.dialog.getByRole('option').count(), 1);
  await keyboard.press('Enter');
  await emoji.dialog.waitFor({ state: 'detached' });
  await hasFocus(page, alice.composer);
  await keyboard.type(' ');
  await keyboard.press('Enter');
  await bob.sees('Lunch? 🍕 now');

  await button.press('Enter');
  await hasFocus(page, emoji.search);
  await emoji.dialog.getByRole('group', { name: 'Used last' }).getByRole('option', { name: 'pizza' }).waitFor();
  await chosen(emoji, 'pizza');
  for (const [key, name] of [['ArrowDown', 'grinning face'], ['ArrowRight', 'smiling face with open mouth'], ['ArrowDown', 'upside-down face'], ['ArrowUp', 'smiling face with open mouth'], ['ArrowLeft', 'grinning face'], ['ArrowUp', 'pizza']]) {
    await keyboard.press(key);
    await chosen(emoji, name);
  }
  for (const scheme of ['dark', 'light']) {
    await alice.scheme(scheme);
    assert.deepEqual(await violations(page), [], scheme);
  }
  await keyboard.type('nothing is called so');
  await emoji.dialog.getByRole('status').getByText('No emoji found').waitFor({ state: 'attached' });
  await keyboard.press('Enter');
  await keyboard.press('Escape');
  await emoji.dialog.waitFor({ state: 'detached' });
  await hasFocus(page, button);
  assert.equal(await alice.composer.inputValue(), '');
  await bob.sees('Lunch? 🍕 now');
});

story('one reacts with any emoji, on a desk and on a phone', async (stage) => {
  const alice = await stage.person('Alice');
  const bob = await stage.person('Bob', { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true });
  await alice.startDirect('bob');
  await alice.say('Breakfast?');
  await alice.act('Breakfast?', 'React');
  await alice.page.getByRole('button', { name: 'More emoji' }).click();
  const desk = choice(alice.page);
  await desk.search.fill('avoc');
  await alice.page.mouse.move(0, 0); // what is open stays, wherever the pointer goes
  await desk.search.press('Enter');
  await desk.dialog.waitFor({ state: 'detached' });
  const row = alice.message('Breakfast?');
  await row.getByRole('button', { name: '🥑, 1' }).waitFor();
  await hasFocus(alice.page, row.locator('[data-key]'));

  await bob.entry('Alice').tap();
  await bob.message('Breakfast?').tap();
  await bob.page.getByRole('menuitem', { name: 'More emoji' }).tap();
  const phone = choice(bob.page);
  await phone.option('grinning face').waitFor();
  const box = await phone.dialog.boundingBox();
  assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= 360 && box.y + box.height <= 640, JSON.stringify(box));
  assert.deepEqual(await violations(bob.page), []);
  await phone.dialog.getByRole('button', { name: 'Food' }).tap();
  await phone.option('croissant').tap();
  await phone.dialog.waitFor({ state: 'detached' });
  await row.getByRole('button', { name: '🥐, 1' }).waitFor();
  await bob.message('Breakfast?').tap();
  await bob.page.getByRole('menuitem', { name: 'Reply' }).waitFor();
});
