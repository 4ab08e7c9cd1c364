// The page without a mouse, and as it is told to who cannot see it.

import assert from 'node:assert/strict';

import { story } from '../stage.js';

/** What can be used or means something, and is called nothing. */
const NAMELESS = /^\s*- (button|link|textbox|searchbox|combobox|radio|img|heading|dialog|navigation|complementary|log|toolbar|group)(:| \[|$)/m;

const CONVERSATION = `
- main:
  - heading "Bob" [level=2]
  - paragraph: Online
  - button "Search here"
  - button "Details"
  - log "Messages":
    - list:
      - listitem:
        - heading "Bob" [level=3]
        - paragraph: This is the beginning of the conversation.
      - listitem: Today
      - listitem:
        - paragraph: You
        - text: Is it raining?
        - time: TIME
        - img "Read"
      - listitem:
        - paragraph: Bob
        - button "You Is it raining?"
        - text: It pours
        - time: TIME
  - textbox "Message":
    - /placeholder: Write a message
  - button "Emoji"
  - button "Send" [disabled]
`.trim();

/** The page as a screen reader tells it, with times and addresses left out. */
async function told(locator) {
  const lines = (await locator.ariaSnapshot()).split('\n').filter((line) => !line.includes('/url:'));
  return lines.join('\n').replaceAll(/\b\d{1,2}:\d{2}( [AP]M)?/g, 'TIME');
}

story('everything works from the keyboard', async (stage) => {
  const bob = await stage.person('Bob');
  const alice = await stage.visitor('Alice');
  const { keyboard } = alice.page;
  const type = async (text, key) => {
    await keyboard.type(text);
    await keyboard.press(key);
  };
  const focused = (role, name) => alice.page.getByRole(role, { name }).and(alice.page.locator(':focus')).waitFor();

  await focused('textbox', 'Your name');
  await type('Alice', 'Enter');
  await alice.page.getByRole('button', { name: 'Start a conversation' }).press('Enter');
  await focused('combobox', 'With');
  await keyboard.press('Escape');
  await alice.dialog.waitFor({ state: 'detached' });
  await focused('button', 'Start a conversation');
  await keyboard.press('Enter');
  await type('bob', 'Enter');
  await focused('textbox', 'Message');
  await type('Frist', 'Enter');
  await type('One line', 'Shift+Enter');
  await type('and another', 'Enter');
  await bob.open('Alice');
  await bob.sees('Frist', 'One line\nand another');

  await keyboard.press('ArrowUp');
  await alice.page.getByText('Edit message').waitFor();
  await keyboard.press('Escape');
  assert.equal(await alice.composer.inputValue(), '');

  await alice.log.focus();
  await keyboard.press('ArrowUp');
  await keyboard.press('ArrowUp');
  await keyboard.press('Tab');
  await focused('button', 'React');
  for (const name of ['Reply', 'Edit']) {
    await keyboard.press('Tab');
    await focused('button', name);
  }
  await keyboard.press('Enter');
  await focused('textbox', 'Message');
  await keyboard.press('ControlOrMeta+a');
  await type('First', 'Enter');
  await bob.sees('First', 'One line\nand another');

  await bob.say('Did you see the harbour?');
  await bob.sent('Did you see the harbour?', 'Read');
  const last = async () => {
    await alice.log.focus();
    await keyboard.press('ArrowUp');
    await alice.message('Did you see the harbour?').getByRole('toolbar', { name: 'Message' }).waitFor();
    await keyboard.press('Tab');
  };
  await last();
  await focused('button', 'React');
  await keyboard.press('Enter');
  await focused('button', 'React with 👍');
  await keyboard.press('Enter');
  await bob.message('Did you see the harbour?').getByRole('button', { name: '👍, 1' }).waitFor();
  await last();
  await keyboard.press('Tab');
  await focused('button', 'Reply');
  await keyboard.press('Enter');
  await focused('textbox', 'Message');
  await type('From here', 'Enter');
  await bob.message('From here').getByRole('button', { name: 'You Did you see the harbour?' }).waitFor();

  await alice.page.getByRole('searchbox', { name: 'Search' }).focus();
  await keyboard.type('harbour');
  const found = alice.conversations.getByRole('link').filter({ hasText: 'Did you see the harbour?' });
  await found.waitFor();
  while (!(await found.evaluate((link) => link === document.activeElement))) await keyboard.press('Tab');
  await keyboard.press('Enter');
  await alice.page.waitForURL(/\/m\/\d+$/);
});

story('a screen reader is told who said what, and where it stands', async (stage) => {
  const [alice, bob] = await stage.pair();
  await alice.say('Is it raining?');
  await bob.act('Is it raining?', 'Reply');
  await bob.page.getByText('Reply to Alice').waitFor();
  await bob.say('It pours');
  await alice.sent('Is it raining?', 'Read');
  await alice.sees('Is it raining?', 'It pours');
  assert.equal(await told(alice.page.getByRole('main')), CONVERSATION);
});

story('whatever can be used has a name', async (stage) => {
  const check = async (where, { page }) => {
    const snapshot = await told(page.locator('body'));
    assert.doesNotMatch(snapshot, NAMELESS, where);
    const twice = await page.evaluate(() => {
      const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
      return ids.filter((id, index) => ids.indexOf(id) !== index);
    });
    assert.deepEqual(twice, [], `ids that occur twice: ${where}`);
  };
  const alice = await stage.visitor('Alice');
  await check('sign-in', alice);
  await alice.signIn();
  await check('no conversations', alice);
  await alice.startChannel('general', 'Everything');
  await alice.say('Hello');
  await alice.sent('Hello', 'Sent');
  await alice.message('Hello').hover();
  await check('the toolbar of a message', alice);
  await alice.page.getByRole('button', { name: 'React' }).click();
  await check('the choice of reactions', alice);
  await alice.page.getByRole('button', { name: 'Details' }).click();
  await check('a channel with its details', alice);
  for (const [button, dialog] of [['New conversation', 'New conversation'], ['Browse channels', 'Channels']]) {
    await alice.page.getByRole('button', { name: button }).click();
    await alice.page.getByRole('dialog', { name: dialog }).waitFor();
    await check(dialog, alice);
    await alice.page.keyboard.press('Escape');
  }
});
