// Much of everything: what waits, and what was said. The page stays as small as the window.

import assert from 'node:assert/strict';

import { eventually } from '../person.js';
import { story, UNLIMITED } from '../stage.js';

const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
/** Elements of messages in the document at most: some windows full. */
const MOST = 120;

const flags = ['--dev', ...UNLIMITED];

/** The messages in the document, by their numbers; they follow each other. */
async function numbers(person) {
  const shown = (await person.texts()).map(Number);
  assert.deepEqual(shown, shown.map((_, i) => shown[0] + i), 'without a hole, in order');
  assert.ok(shown.length <= MOST, `${shown.length} messages are in the document`);
  return shown;
}

/** Waits until a message is in the document and in view. */
async function comesTo(person, number) {
  await eventually(async () => {
    await numbers(person);
    const [box] = await person.message(String(number)).evaluateAll((rows) => rows.map((row) => row.getBoundingClientRect().toJSON()));
    const log = await person.log.boundingBox();
    assert.ok(box && box.bottom > log.y && box.top < log.y + log.height, `${number} is in view`);
  });
}

/** Bob has said so much to Alice, who was not there. */
async function said(stage, count) {
  const { server } = stage;
  for (const user of ['alice', 'bob']) await server.call(user, 'user.update', { name: user });
  const { room } = await server.call('bob', 'room.create', { kind: 'direct', members: ['alice'] });
  await stage.fill('bob', room.id, count);
  return room.id;
}

story('5,000 unread: two tabs and a phone agree on them, and on what is read', async (stage) => {
  await said(stage, 5_000);
  const [desk, other, phone] = await Promise.all([stage.person('Alice'), stage.person('Alice'), stage.person('Alice', PHONE)]);
  const all = [desk, other, phone];
  const agree = (check) => Promise.all(all.map((person) => eventually(async () => check(await person.unread('bob')))));
  await agree((unread) => assert.equal(unread, 5_000));
  await eventually(async () => assert.equal(await other.page.title(), '(5000) Parley'));

  await desk.open('bob');
  await comesTo(desk, 1);
  await desk.log.getByText('New messages').waitFor();
  await agree((unread) => assert.ok(unread < 5_000 && unread > 4_900, `${unread} unread`));
  const [first] = await Promise.all(all.map((person) => person.unread('bob')));
  await agree((unread) => assert.equal(unread, first));

  await desk.page.getByRole('button', { name: 'To the newest message' }).click();
  await comesTo(desk, 5_000);
  await agree((unread) => assert.equal(unread, 0));
  await phone.entry('bob').tap();
  await comesTo(phone, 5_000);
}, { flags });

story('50,000 messages: scrolling keeps what is in the document small, and the order right', async (stage) => {
  const room = await said(stage, 50_000);
  await stage.server.call('alice', 'receipt.read', { room, seq: 50_001 });
  const alice = await stage.person('Alice');
  await alice.open('bob');
  await comesTo(alice, 50_000);
  await alice.log.hover();
  // Upwards, past what a timeline holds at a time. The wheel is turned once a step: it moves the list, and then what comes in above must not move it back.
  for (let top = 50_000; top > 48_000; ) {
    await alice.page.mouse.wheel(0, -4_000);
    await eventually(async () => {
      const [next] = await numbers(alice);
      assert.ok(next < top, `${next} is further up than ${top}`);
      top = next;
    });
  }
  // Down again, as far.
  for (let bottom = 0; bottom < 49_500; ) {
    await alice.page.mouse.wheel(0, 4_000);
    await eventually(async () => {
      const next = (await numbers(alice)).at(-1);
      assert.ok(next > bottom, `${next} is further down than ${bottom}`);
      bottom = next;
    });
  }
  // Into the middle, and back to the end.
  await alice.page.evaluate((hash) => void (location.hash = hash), `#/r/${room}/m/25001`);
  await comesTo(alice, 25_000);
  await stage.server.call('bob', 'message.send', { room, client_id: 'last', text: '50001' });
  await comesTo(alice, 25_000);
  await alice.page.getByRole('button', { name: 'To the newest message' }).click();
  await comesTo(alice, 50_001);
}, { flags });
