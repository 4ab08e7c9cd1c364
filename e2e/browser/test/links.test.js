// Links to messages, also to those that are not there any more.

import assert from 'node:assert/strict';

import { eventually } from '../person.js';
import { story, UNLIMITED } from '../stage.js';

const COUNT = 300;
const GONE = 'This message is no longer there.';

story('a link to a message leads there; one to none says so and leads to the newest', async (stage) => {
  const alice = await stage.person('Alice');
  const { room: { id } } = await stage.server.call('bob', 'room.create', { kind: 'direct', members: ['alice'] });
  await stage.fill('bob', id, COUNT);
  const { messages } = await stage.server.call('bob', 'message.list', { room: id, limit: 200 });
  const deleted = messages[60].seq;
  await stage.server.call('bob', 'message.delete', { room: id, seq: deleted });
  const { page } = alice;
  const note = page.getByText(GONE);
  const visit = (seq) => page.evaluate((hash) => void (location.hash = hash), `#/r/${id}/m/${seq}`);
  const inView = (text) => eventually(async () => {
    const [row, log] = [await alice.log.locator('.text').getByText(text, { exact: true }).first().boundingBox({ timeout: 500 }), await alice.log.boundingBox()];
    assert.ok(row.y >= log.y && row.y + row.height <= log.y + log.height, `${text} is in view`);
  });
  const newest = async () => {
    await inView(String(COUNT));
    await note.waitFor();
    await eventually(async () => assert.equal(await alice.unread('bob'), 0));
    await note.waitFor({ state: 'detached' });
  };

  await visit(999_999); // beyond the newest, before anything was shown
  await newest();
  await visit(messages[100].seq);
  await inView(messages[100].text);
  assert.equal(await note.count(), 0);
  await visit(1); // of what is no message, or was pruned: there are only others behind it
  await newest();
  await visit(deleted);
  await inView('This message was deleted'); // where it was
  assert.equal(await note.count(), 0);
  await page.reload();
  await inView('This message was deleted');
  await visit(999_998);
  await page.reload();
  await newest();
}, { flags: ['--dev', ...UNLIMITED] });
