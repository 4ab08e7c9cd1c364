// How the page looks: it fits, on a desk and on a phone, in light and dark. UPDATE_SCREENSHOTS=1 writes the pictures
// that the documents show: npm run screenshots.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { violations } from '../axe.js';
import { eventually } from '../person.js';
import { story } from '../stage.js';

const DESK = { width: 1200, height: 800 };
const PHONE = { width: 390, height: 844 };
const PICTURES = new URL('../../../docs/screenshots/', import.meta.url);

/** A time zone where it is past nine now, because the pictures say good morning. */
function zoneInTheMorning() {
  const ahead = ((9 - new Date().getUTCHours() + 36) % 24) - 12;
  return `Etc/GMT${ahead > 0 ? '-' : '+'}${Math.abs(ahead)}`; // these names count westwards
}

const pathOf = (name) => fileURLToPath(new URL(`${name}.png`, PICTURES));

/** Checks what somebody sees. */
async function look(person, where) {
  await checkFits(person, where);
  assert.deepEqual(await violations(person.page), [], where);
}

/** Checks what somebody sees and, if asked, takes the picture of that name. */
async function picture(person, name) {
  await person.page.mouse.move(0, 0);
  await look(person, name);
  if (!process.env.UPDATE_SCREENSHOTS) return;
  await person.page.screenshot({ path: pathOf(name), animations: 'disabled' });
}

/** Nothing is wider than the window, and nothing that can be used lies outside it. */
async function checkFits({ page }, name) {
  const outside = await page.evaluate(() => {
    const { innerWidth: width, innerHeight: height } = window;
    const used = [...document.querySelectorAll('header button, footer button, textarea, input, [role=toolbar] button, [role=menuitem], [role=combobox]')].filter((node) => node.checkVisibility());
    const lies = (node) => {
      const { left, right, top, bottom } = node.getBoundingClientRect();
      return left < 0 || top < 0 || right > width || bottom > height;
    };
    const scrolls = document.documentElement.scrollWidth > width ? ['the page scrolls sideways'] : [];
    return [...scrolls, ...used.filter(lies).map(({ outerHTML }) => outerHTML)];
  });
  assert.deepEqual(outside, [], name);
}

/** Waits until a message is in view. */
async function inView(message, log) {
  await eventually(async () => {
    const [row, view] = [await message.boundingBox({ timeout: 500 }), await log.boundingBox()];
    assert.ok(row.y >= view.y && row.y + row.height <= view.y + view.height, `${row.y} is in view`);
  });
}

story('the main states', async (stage) => {
  const options = { viewport: DESK, deviceScaleFactor: 1.5, locale: 'en-GB', timezoneId: zoneInTheMorning() };
  const alice = await stage.visitor('Alice', options);
  await picture(alice, 'sign-in');
  await alice.signIn();
  await alice.page.getByText('No conversations yet').waitFor();
  await picture(alice, 'empty');

  const [bob, carol] = await stage.people('Bob', 'Carol');
  await carol.startChannel('releases', 'What is new');
  await carol.say('0.1 is tagged, notes are in the changelog');
  await alice.page.getByRole('button', { name: 'Browse channels' }).first().click();
  await alice.dialog.getByRole('button', { name: 'Join' }).waitFor();
  await look(alice, 'the list of channels');
  await alice.dialog.getByRole('button', { name: 'Join' }).click();
  await alice.sees('0.1 is tagged, notes are in the changelog');
  await carol.startGroup('Demo crew', ['alice', 'bob']);
  await carol.page.getByText('3 members').waitFor();
  await carol.say('The projector works again', '@alice can you bring the adapter?');

  await carol.startDirect('alice');
  await carol.say('Who takes the photos on Thursday?');
  await alice.open('Carol');
  await alice.say('I asked Dave, he would love to');

  await bob.startDirect('alice');
  await bob.say('Morning! Is the demo still on for Thursday?');
  await alice.open('Bob');
  await alice.say('It is. 14:00, the small room', 'I moved the slides into the shared folder');
  await bob.act('I moved the slides into the shared folder', 'Reply');
  await bob.page.getByText('Reply to Alice').waitFor();
  await bob.say('Found them. Slide 4 says too much at once, I would leave out the table and only show the curve');
  await alice.say('Agreed, I will cut it');
  await bob.act('Agreed, I will cut it', 'React');
  await bob.page.getByRole('button', { name: 'React with ❤️' }).click();
  await bob.say('Shall we try it once on Wednesday?');
  await alice.say('Yes, after lunch. I bring coffee');
  await alice.sent('Yes, after lunch. I bring coffee', 'Read');
  await alice.page.getByRole('button', { name: '❤️, 1' }).waitFor();
  await eventually(async () => assert.equal(await alice.unread('Demo crew'), 2));
  await carol.composer.pressSequentially('Lovely,');
  await alice.entry('Carol').getByText('typing…').waitFor();
  await picture(alice, 'conversation');
  await alice.scheme('dark');
  await picture(alice, 'conversation-dark');
  await alice.scheme('light');
  await alice.page.getByRole('button', { name: 'Emoji' }).click();
  await alice.page.getByRole('option', { name: 'grinning face', exact: true }).waitFor();
  await picture(alice, 'emoji');
  await alice.page.keyboard.press('Escape');
  await alice.composer.focus();
  await alice.page.setViewportSize(PHONE);
  await picture(alice, 'phone');
  await alice.page.setViewportSize(DESK);
  await bob.act('I moved the slides into the shared folder', 'Thread');
  await bob.page.getByRole('complementary', { name: 'Thread' }).getByRole('textbox', { name: 'Message' }).fill('The link is in the folder, too');
  await bob.page.keyboard.press('Enter');
  await alice.act('I moved the slides into the shared folder', 'Thread');
  await alice.page.getByRole('complementary', { name: 'Thread' }).getByText('The link is in the folder, too').waitFor();
  await alice.log.first().hover();
  await alice.page.mouse.wheel(0, 2000);
  await inView(alice.message('The link is in the folder, too').first(), alice.log.first());
  await picture(alice, 'thread');
  await alice.page.getByRole('complementary', { name: 'Thread' }).getByRole('button', { name: /Close/ }).click();
  await alice.page.getByRole('searchbox', { name: 'Search' }).fill('slide');
  await alice.conversations.getByRole('link').filter({ hasText: 'Slide 4 says too much' }).waitFor();
  await picture(alice, 'search');
  await alice.page.getByRole('button', { name: 'Clear search' }).click();
  await alice.open('Demo crew');
  await alice.page.getByRole('button', { name: 'Details' }).click();
  await alice.act('@alice can you bring the adapter?', 'Reply');
  await alice.say('Yes, see https://example.com/adapter');
  await alice.message('Yes, see https://example.com/adapter').getByRole('button', { name: 'Carol' }).waitFor();
  for (const colorScheme of ['dark', 'light']) {
    await alice.scheme(colorScheme);
    await look(alice, `a group with its details, ${colorScheme}`);
  }
});

story('a phone shows one thing at a time, and everything can be reached', async (stage) => {
  const alice = await stage.person('Alice', { viewport: PHONE, isMobile: true, hasTouch: true });
  const bob = await stage.person('Bob');
  const { page } = alice;
  await look(alice, 'a phone without conversations');
  await page.getByRole('button', { name: 'Start a conversation' }).tap();
  await look(alice, 'the dialog on a phone');
  await page.keyboard.press('Escape');
  await bob.startDirect('alice');
  const long = `A long word: ${'o'.repeat(200)}`;
  await bob.say('Are you on your way?', long);
  await alice.entry('Bob').tap();
  await alice.sees('Are you on your way?', long);
  assert.equal(await alice.conversations.isVisible(), false);
  await look(alice, 'a conversation on a phone');

  await alice.composer.fill('Yes');
  await page.getByRole('button', { name: 'Send' }).tap();
  await bob.sees('Are you on your way?', long, 'Yes');
  await alice.message('Are you on your way?').tap();
  const menu = page.getByRole('menu', { name: 'Message' });
  await menu.waitFor();
  await look(alice, 'the menu of a message on a phone');
  await menu.getByRole('menuitem', { name: 'React with 👍' }).tap();
  await bob.message('Are you on your way?').getByRole('button', { name: '👍, 1' }).waitFor();

  await page.getByRole('button', { name: 'Details' }).tap();
  await page.getByRole('complementary', { name: 'Details' }).getByText('@bob').waitFor();
  await look(alice, 'details on a phone');
  await page.getByRole('button', { name: 'Close details' }).tap();
  await page.getByRole('button', { name: 'Back to the conversations' }).tap();
  await alice.entry('Bob').waitFor();
  assert.equal(await alice.log.isVisible(), false);
});

story('live comments, and the widget in a page', async (stage) => {
  const { server } = stage;
  const people = { bob: 'Bob', carol: 'Carol', dave: 'Dave', erin: 'Erin', frank: 'Frank' };
  for (const [user, name] of Object.entries(people)) await server.call(user, 'user.update', { name });
  const { room } = await server.call('bob', 'room.create', { kind: 'live', name: 'Harbour run', topic: 'Ten kilometres along the water' });
  const say = (user, text) => server.call(user, 'message.send', { room: room.id, client_id: encodeURIComponent(text).slice(0, 64), text });
  const sharp = { deviceScaleFactor: 1.5, locale: 'en-GB', timezoneId: zoneInTheMorning() };
  const alice = await stage.person('Alice', { viewport: DESK, ...sharp });
  const write = async (room, ...said) => {
    for (const [i, [user, text]] of said.entries()) await server.call(user, 'message.send', { room, client_id: String(i), text });
  };
  const { room: crew } = await server.call('bob', 'room.create', { kind: 'group', name: 'Demo crew', members: ['alice', 'carol'] });
  await write(crew.id, ['carol', 'The projector works again'], ['bob', 'Then we are set for Thursday']);
  const { room: dave } = await server.call('dave', 'room.create', { kind: 'direct', members: ['alice'] });
  await write(dave.id, ['dave', 'Are you watching, too?'], ['alice', 'Just opened it']);
  await alice.entry('Dave').waitFor();
  await alice.page.evaluate((hash) => void (location.hash = hash), `#/live/${room.id}`);
  await alice.page.getByRole('log', { name: 'Comments' }).waitFor();
  for (const [user, text] of [
    ['bob', 'They are off!'], ['carol', 'That is a fast first kilometre'], ['dave', 'Number 12 looks relaxed'], ['erin', '👏👏'],
    ['frank', 'Is the wind against them after the bridge?'], ['bob', 'Yes, all the way to the turn'], ['carol', 'Then this is where it is decided'],
    ['dave', 'Go on, 12!'], ['erin', 'What a finish that will be'],
  ]) await say(user, text);
  await alice.page.getByText('What a finish that will be').waitFor();
  await picture(alice, 'live');
  await alice.scheme('dark');
  await picture(alice, 'live-dark');

  await alice.scheme('light');
  await alice.page.setViewportSize(PHONE);
  await picture(alice, 'live-phone');

  const { page: reader } = await stage.visitor('A reader', { viewport: DESK, ...sharp });
  await reader.goto(`http://${server.addr}/demo`);
  const chat = reader.locator('parley-chat');
  await chat.getByRole('textbox', { name: 'Message' }).waitFor();
  const article = await chat.getAttribute('room');
  for (const user of ['bob', 'carol']) await server.call(user, 'room.join', { room: article });
  await write(article, ['bob', 'The timetable says twelve so that I can finish my coffee'], ['carol', 'I learnt to read on that deck'], ['carol', 'A bridge has no deck']);
  await chat.getByRole('log').getByText('A bridge has no deck').waitFor();
  await chat.getByRole('textbox', { name: 'Message' }).fill('I would miss the eleven minutes');
  await chat.getByRole('textbox', { name: 'Message' }).press('Enter');
  await chat.getByRole('img', { name: 'Sent' }).waitFor();
  if (process.env.UPDATE_SCREENSHOTS) {
    await reader.setViewportSize({ ...DESK, height: await reader.evaluate(() => document.documentElement.scrollHeight) });
    await inView(chat.getByText('I would miss the eleven minutes'), chat.getByRole('log'));
    await reader.screenshot({ path: pathOf('widget'), animations: 'disabled' });
  }
});
