// The elements in a page of another origin, whose own style sheet means everything.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { eventually } from '../person.js';
import { story } from '../stage.js';

/** Rules as other people's pages have them, and worse. */
const HOSTILE = `
  * { color: red !important; font: 30px cursive !important; display: block !important; position: static !important; margin: 40px !important; }
  div, li, ol, textarea, button { display: none !important; }
  .message, .bubble, .text, .composer { visibility: hidden !important; }
  parley-chat { display: block !important; margin: 0 !important; height: 480px !important; width: 420px !important; }
`;
/** What the guide says that a strict policy must allow, and no more; the style is this page's own. */
const policy = (server) => [
  "default-src 'none'", `script-src ${server}`, `connect-src ${server} ${server.replace('http', 'ws')}`, "style-src 'unsafe-inline'", 'img-src data:',
  "require-trusted-types-for 'script'", "trusted-types 'none'",
].join('; ');
const page = (server, user, room) => `<!doctype html>
<html lang="en">
<title>Somebody's page</title>
<link rel="icon" href="data:,">
<style>${HOSTILE}</style>
<script src="${server}/widget.js" defer></script>
<parley-chat room="${room}" development-user="${user}"></parley-chat>
</html>`;

/** A site that shows what it is told. */
async function site() {
  const server = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').setHeader('Content-Security-Policy', server.policy).end(server.page));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const opened = site();
const origin = async () => `http://127.0.0.1:${(await opened).address().port}`;

story('a conversation in a foreign page with hostile style: it can be read and written in, and nothing of it leaks', async (stage) => {
  const foreign = await opened;
  try {
    for (const user of ['alice', 'bob']) await stage.server.call(user, 'user.update', { name: user === 'bob' ? 'Bob' : 'Alice' });
    const { room } = await stage.server.call('bob', 'room.create', { kind: 'direct', members: ['alice'] });
    foreign.policy = policy(`http://${stage.server.addr}`);
    foreign.page = page(`http://${stage.server.addr}`, 'alice', room.id);
    const tab = await stage.page();
    await tab.goto(await origin());
    const chat = tab.locator('parley-chat');
    await stage.server.call('bob', 'message.send', { room: room.id, client_id: '1', text: 'Hello, page' });
    const said = chat.getByRole('log', { name: 'Messages' }).getByText('Hello, page', { exact: true });
    await said.waitFor();
    const style = await said.evaluate((node) => {
      const { color, fontSize, visibility } = getComputedStyle(node);
      return { red: color === 'rgb(255, 0, 0)', big: fontSize === '30px', visibility, leaked: document.querySelectorAll('.message').length };
    });
    assert.deepEqual(style, { red: false, big: false, visibility: 'visible', leaked: 0 });

    await chat.getByRole('textbox', { name: 'Message' }).fill('Hello, Bob');
    await chat.getByRole('button', { name: 'Emoji' }).click();
    await chat.getByRole('combobox', { name: 'Search emoji' }).fill('wav');
    await chat.getByRole('option', { name: 'waving hand' }).click();
    await chat.getByRole('textbox', { name: 'Message' }).press('Enter');
    await eventually(async () => {
      const { messages } = await stage.server.call('bob', 'message.list', { room: room.id });
      assert.deepEqual(messages.map(({ user, text }) => [user, text]), [['bob', 'Hello, page'], ['alice', 'Hello, Bob👋']]);
    });
    await tab.evaluate(() => document.querySelector('parley-chat').remove());
    await eventually(async () => assert.equal((await stage.server.call('alice', 'session.list', {})).sessions.length, 0));
  } finally {
    foreign.closeAllConnections();
    foreign.close();
  }
}, { flags: async () => ['--dev', '--origins', await origin()] });
