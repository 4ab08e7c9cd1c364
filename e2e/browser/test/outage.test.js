// The network or the server goes away in the middle of it. What is on the screen as sent stays; what was not sent
// yet is sent once.

import assert from 'node:assert/strict';

import { Cable } from '../cable.js';
import { eventually } from '../person.js';
import { story } from '../stage.js';

story('what is written offline is sent afterwards: once each, in order', async (stage) => {
  stage.outage = true;
  const [alice, bob] = await stage.pair();
  await alice.say('Going into a tunnel');
  await bob.sees('Going into a tunnel');

  await alice.offline(true);
  await bob.say('I wait');
  await alice.say('First', 'Second', 'Third');
  for (const text of ['First', 'Second', 'Third']) await alice.sent(text, 'Waiting to be sent');
  await bob.sent('I wait', 'Sent');

  await alice.offline(false);
  const all = ['Going into a tunnel', 'I wait', 'First', 'Second', 'Third'];
  for (const person of [alice, bob]) await person.sees(...all);
  await alice.sent('Third', 'Read');
  await bob.sent('I wait', 'Read');
  for (const person of [alice, bob]) {
    await person.page.reload();
    await person.sees(...all);
  }
});

story('what was written offline survives a reload, too', async (stage) => {
  stage.outage = true;
  const cable = await Cable.lay(stage.server.addr);
  try {
    const [alice, bob] = await stage.pair({ addr: cable.addr });
    cable.deafen();
    await alice.say('Is this stored?', 'And this?');
    await bob.page.goto(`http://${stage.server.addr}/`); // around the cable, to see what has reached the server
    await bob.signIn();
    await bob.open('Alice');
    await bob.sees('Is this stored?');
    await alice.sent('Is this stored?', 'Waiting to be sent');
    cable.cut();
    cable.mend();
    await alice.page.reload();
    for (const person of [alice, bob]) await person.sees('Is this stored?', 'And this?');
  } finally {
    await cable.close();
  }
});

story('a cable that is cut again and again loses nothing and doubles nothing', async (stage) => {
  stage.outage = true;
  const cable = await Cable.lay(stage.server.addr);
  try {
    const bob = await stage.person('Bob');
    const alice = await stage.person('Alice', { addr: cable.addr });
    await alice.startDirect('bob');
    await bob.open('Alice');
    const said = [];
    for (let round = 1; round <= 4; round++) {
      said.push(`Answered ${round}`, `Unanswered ${round}`, `From Bob ${round}`);
      const [answered, unanswered, fromBob] = said.slice(-3);
      await alice.say(answered);
      await bob.sees(...said.slice(0, -2));
      await alice.sent(answered, 'Read');
      cable.deafen();
      await alice.say(unanswered);
      await bob.sees(...said.slice(0, -1));
      await bob.say(fromBob);
      await bob.sent(fromBob, 'Sent');
      cable.cut();
      await alice.cutOff();
      cable.mend();
      await alice.sees(...said);
    }
    await bob.sees(...said);
  } finally {
    await cable.close();
  }
});

story('kill -9 while both type: what was acknowledged is there, what was not arrives once', async (stage) => {
  stage.outage = true;
  const [alice, bob] = await stage.pair();
  const lines = (name, from, to) => Array.from({ length: to - from + 1 }, (_, index) => `${name} ${from + index}`);

  const typing = [alice, bob].map((person) => person.say(...lines(person.name, 1, 8)));
  await eventually(async () => assert.ok((await bob.texts()).includes('Alice 3')));
  await stage.server.kill();
  await Promise.all(typing);
  await Promise.all([alice.cutOff(), bob.cutOff()]);
  const acknowledged = (await Promise.all([alice.acknowledged(), bob.acknowledged()])).flat();
  await Promise.all([alice, bob].map((person) => person.say(...lines(person.name, 9, 10))));
  for (const person of [alice, bob]) await person.sent(`${person.name} 10`, 'Waiting to be sent');

  await stage.server.restart();
  await Promise.all([alice.backAgain(), bob.backAgain()]);
  await alice.sent('Alice 10', 'Read');
  await bob.sent('Bob 10', 'Read');
  const seen = await alice.texts();
  for (const { name } of [alice, bob]) {
    assert.deepEqual(seen.filter((text) => text.startsWith(name)), lines(name, 1, 10));
  }
  assert.deepEqual(acknowledged.filter((text) => !seen.includes(text)), []);
  for (const person of [alice, bob]) {
    await person.sees(...seen);
    await person.page.reload();
    await person.sees(...seen);
  }
});
