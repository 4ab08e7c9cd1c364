// Whatever people write stays text, wherever it is shown.

import assert from 'node:assert/strict';

import { story } from '../stage.js';

const CORPUS = [
  '<script>window.pwned = 1</script>',
  '<img src=x onerror="window.pwned = 1">',
  '<svg/onload=window.pwned=1>',
  '"><iframe srcdoc="<script>parent.pwned = 1</script>"></iframe>',
  "' autofocus onfocus='window.pwned=1' x='",
  'javascript:window.pwned=1',
  '[click](javascript:window.pwned=1)',
  '<a href="javascript:window.pwned=1">click</a>',
  'https://example.com/"onmouseover="window.pwned=1',
  'https://example.com/<img/src=x/onerror=window.pwned=1>',
  '{{constructor.constructor("window.pwned=1")()}} ${window.pwned=1}',
  '</span></div></li></ol><style>* { display: none }</style>',
  '&lt;b&gt; &amp;amp; &#x3c;script&#x3e;',
  '\u202Egnp.exe\u2066<b>\u2069',
];
const MARKUP = ['script', 'img', 'iframe', 'style', 'b', 'object'];

/** Nothing ran, and nothing that was written has become an element of the page. */
async function checkInert({ name, page }) {
  const found = await page.evaluate((tags) => {
    const body = [...document.body.querySelectorAll(tags.join())].map(({ outerHTML }) => outerHTML);
    const handlers = [...document.body.querySelectorAll('*')].filter((node) => node.getAttributeNames().some((attribute) => attribute.startsWith('on')));
    const links = [...document.links].map(({ href }) => href).filter((href) => !/^https?:/.test(href));
    return { pwned: window.pwned, body, handlers: handlers.length, links };
  }, MARKUP);
  assert.deepEqual(found, { pwned: undefined, body: [], handlers: 0, links: [] }, `${name}'s page`);
}

story('markup in messages, quotes and edits is shown as it was written', async (stage) => {
  const [alice, bob] = await stage.pair();
  await alice.say(...CORPUS);
  await bob.sees(...CORPUS);
  await alice.sees(...CORPUS);
  await bob.act(CORPUS[1], 'Reply');
  await bob.page.getByText('Reply to Alice').waitFor();
  await checkInert(bob);
  await bob.say('What is this?');
  await alice.message('What is this?').getByRole('button', { name: CORPUS[1] }).waitFor();
  await bob.act('What is this?', 'Edit');
  await bob.say('<b>edited</b>');
  await alice.sees(...CORPUS, '<b>edited</b>');
  for (const person of [alice, bob]) await checkInert(person);

  const links = alice.log.getByRole('link');
  assert.deepEqual(await links.evaluateAll((nodes) => nodes.map(({ href, rel }) => [href, rel])), [
    ['https://example.com/', 'noopener noreferrer nofollow'],
    ['https://example.com/', 'noopener noreferrer nofollow'],
  ]);
});

story('markup in names and topics is shown as it was written', async (stage) => {
  const mallory = await stage.visitor('Mallory');
  mallory.name = '<img src=x onerror="window.pwned=1">';
  await mallory.signIn();
  const victim = await stage.person('Victim');
  await mallory.startGroup('<iframe srcdoc="<b>x</b>">', ['victim']);
  await mallory.startChannel('<script>window.pwned=1</script>', '</p><style>* { display: none }</style>');
  await mallory.say('Come in');
  await victim.page.getByRole('button', { name: 'Browse channels' }).click();
  await victim.dialog.getByRole('listitem').filter({ hasText: '</p><style>' }).getByRole('button', { name: 'Join' }).click();
  await victim.sees('Come in');
  await victim.log.getByText(mallory.name, { exact: true }).waitFor();
  await victim.page.getByRole('button', { name: 'Details' }).click();
  await victim.page.getByRole('complementary').getByText(mallory.name).waitFor();
  await checkInert(victim);
  await victim.open('<iframe srcdoc="<b>x</b>">');
  await checkInert(victim);
});
