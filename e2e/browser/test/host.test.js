// The client in a page of an application, which hands it its users' tokens.

import assert from 'node:assert/strict';

import { Host } from '../host.js';
import { eventually } from '../person.js';
import { story } from '../stage.js';

/** A story with an application's site beside the server, which lets its pages in or not. */
function hosted(title, act, { allowed = true } = {}) {
  const host = Host.open();
  story(title, async (stage) => {
    const site = await host;
    site.client = `http://${stage.server.addr}/`;
    site.token = () => stage.server.token('alice');
    await stage.server.call('bob', 'user.update', { name: 'Bob' });
    try {
      await act(stage, site);
    } finally {
      await site.close();
    }
  }, { flags: async () => ['--origins', allowed ? (await host).origin : 'https://app.example.com'] });
}

/** A tab with the application's page, and the client in its frame. */
async function open(stage, site, browser) {
  const page = await stage.page(browser);
  await page.goto(site.origin);
  return { page, frame: page.frameLocator('iframe') };
}

const asked = (page) => page.evaluate(() => asked);

hosted('a host hands over a token, and its user is signed in', async (stage, site) => {
  const { page, frame } = await open(stage, site);
  await frame.getByText('@alice', { exact: true }).waitFor();
  await frame.getByText('No conversations yet').waitFor();
  assert.equal(await frame.getByRole('textbox', { name: 'Your name' }).count(), 0);
  assert.equal(await asked(page), 1);
});

hosted('a token that ends in the middle of a conversation is asked for again, and nothing is noticed', async (stage, site) => {
  let seconds = 3;
  site.token = async () => {
    const token = await stage.server.token('alice', { seconds });
    seconds = 3600;
    return token;
  };
  const { page, frame } = await open(stage, site);
  await frame.getByText('@alice', { exact: true }).waitFor();
  const { room } = await stage.server.call('bob', 'room.create', { kind: 'direct', members: ['alice'] });
  const say = (text) => stage.server.call('bob', 'message.send', { room: room.id, client_id: text, text });
  await say('before');
  await frame.getByRole('link').filter({ hasText: 'Bob' }).click();
  const log = frame.getByRole('log', { name: 'Messages' });
  await log.getByText('before', { exact: true }).waitFor();
  const end = Date.now() + 4_000;
  await eventually(async () => assert.equal(await asked(page), 2));
  await eventually(() => assert.ok(Date.now() > end, 'the first token has ended'));
  await say('after');
  await log.getByText('after', { exact: true }).waitFor();
  await frame.getByRole('textbox', { name: 'Message' }).fill('still here');
  await frame.getByRole('textbox', { name: 'Message' }).press('Enter');
  await log.getByRole('listitem').filter({ hasText: 'still here' }).getByRole('img', { name: /Sent|Delivered/ }).waitFor();
  assert.equal(await frame.getByRole('status').filter({ hasText: 'Connection' }).count(), 0);
});

hosted('the tabs of a host share one connection', async (stage, site) => {
  const browser = await stage.browser();
  const tabs = [];
  for (let i = 0; i < 3; i++) tabs.push(await open(stage, site, browser));
  for (const { frame } of tabs) await frame.getByText('@alice', { exact: true }).waitFor();
  const { sessions } = await stage.server.call('alice', 'session.list', {});
  assert.equal(sessions.length, 1);
  await stage.server.call('bob', 'room.create', { kind: 'group', name: 'Lunch', members: ['alice'] });
  for (const { frame } of tabs) await frame.getByText('Lunch').waitFor();
  await tabs[0].page.close();
  await stage.server.call('bob', 'room.create', { kind: 'group', name: 'Dinner', members: ['alice'] });
  for (const { frame } of tabs.slice(1)) await frame.getByText('Dinner').waitFor();
});

hosted('a page of another origin cannot frame the client, and is not asked for anything', async (stage, site) => {
  stage.refusal = true;
  const { page } = await open(stage, site);
  await eventually(() => assert.ok(page.frames()[1]?.url().startsWith('chrome-error://')));
  assert.equal(await asked(page), 0);
}, { allowed: false });

hosted('a page of another origin that opens the client cannot sign anybody in', async (stage, site) => {
  stage.refusal = true; // its frame
  const browser = await stage.browser();
  await browser.clock.install();
  const { page } = await open(stage, site, browser);
  const opened = page.waitForEvent('popup');
  await page.evaluate((client) => void window.open(client), site.client);
  const popup = await opened;
  await eventually(async () => assert.equal(await asked(page), 1, 'which says nothing that it may not know'));
  await browser.clock.fastForward(20_000); // so long nothing that it says is taken
  await popup.getByText('Paste a token to sign in').waitFor();
  assert.equal((await stage.server.call('alice', 'session.list', {})).sessions.length, 0);
}, { allowed: false });
