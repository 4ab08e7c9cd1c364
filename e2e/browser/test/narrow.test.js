// Where there is little room: the tools of a message cover no message, and all of them can be reached.

import assert from 'node:assert/strict';

import { story } from '../stage.js';

const TEXTS = ['Short', 'A text that is as long as it takes to fill one line of a narrow column and to go on in the next', 'Yes', 'Another one that is as long as it takes to fill a line, and more than that'];

/** Hovers over each message, and checks where its tools come up. */
async function check(where, log, texts) {
  for (const text of texts) {
    const row = log.getByRole('listitem').filter({ has: log.page().locator('.text').getByText(text, { exact: true }) });
    await row.locator('.bubble').hover();
    const toolbar = row.getByRole('toolbar', { name: 'Message' });
    await toolbar.waitFor();
    const covered = await toolbar.evaluate((bar) => {
      const at = bar.getBoundingClientRect();
      const column = bar.closest('.log').getBoundingClientRect();
      const over = ({ left, right, top, bottom }) => left < at.right - 1 && right > at.left + 1 && top < at.bottom - 1 && bottom > at.top + 1;
      const bubbles = [...bar.getRootNode().querySelectorAll('.bubble')].filter((bubble) => over(bubble.getBoundingClientRect()));
      return [...bubbles.map(({ innerText }) => innerText), ...(at.left < column.left || at.right > column.right ? ['it is cut off'] : [])];
    });
    assert.deepEqual(covered, [], `${where}: the tools of “${text}”`);
  }
}

story('the tools of a message cover no message in a narrow window, in a thread and in the widget', async (stage) => {
  const narrow = { viewport: { width: 360, height: 740 } };
  const [alice, bob] = [await stage.person('Alice', narrow), await stage.person('Bob')];
  await bob.startGroup('Harbour', ['alice']);
  await alice.open('Harbour');
  for (const [i, text] of TEXTS.entries()) await (i % 3 === 0 ? alice : bob).say(text);
  await alice.sees(...TEXTS);
  await check('a window', alice.log, TEXTS);
  await alice.act('Short', 'Edit');
  await alice.composer.fill('Sure');
  await alice.composer.press('Enter');
  await bob.sees('Sure', ...TEXTS.slice(1));

  await bob.act('Sure', 'Thread');
  const thread = bob.page.getByRole('complementary', { name: 'Thread' });
  const replies = ['In the thread', 'And a reply there that takes more than a line of its narrow column to say'];
  for (const text of replies) {
    await thread.getByRole('textbox', { name: 'Message' }).fill(text);
    await bob.page.keyboard.press('Enter');
  }
  await check('a thread', thread.getByRole('log'), replies);
  await thread.getByRole('button', { name: 'More' }).click();
  await bob.page.getByRole('menuitem', { name: 'React with 🎉' }).click();
  await thread.getByRole('button', { name: '🎉, 1' }).waitFor();

  const { server } = stage;
  const tab = await stage.page();
  await tab.setViewportSize(narrow.viewport);
  await tab.goto(`http://${server.addr}/demo`);
  const chat = tab.locator('parley-chat');
  for (const text of TEXTS) {
    await chat.getByRole('textbox', { name: 'Message' }).fill(text);
    await chat.getByRole('textbox', { name: 'Message' }).press('Enter');
    await chat.getByRole('log').getByText(text, { exact: true }).waitFor();
  }
  await check('the widget', chat.getByRole('log'), TEXTS);
});
