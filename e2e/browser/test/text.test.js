// Whatever people write stays text, wherever it is shown.

import assert from 'node:assert/strict';

import { story, UNLIMITED } from '../stage.js';

const CORPUS = [
  '<script>window.pwned = 1</script>',
  '<img src=x onerror="window.pwned = 1">',
  '<svg/onload=window.pwned=1>',
  '<svg><script href="data:text/javascript,window.pwned=1" /></svg>',
  '<math><mtext><table><mglyph><style><img src=x onerror=window.pwned=1>',
  '"><iframe srcdoc="<script>parent.pwned = 1</script>"></iframe>',
  '<iframe src="javascript:parent.pwned=1"></iframe>',
  '<object data="javascript:window.pwned=1"></object><embed src="javascript:window.pwned=1">',
  '<video><source onerror="window.pwned=1"></video>',
  '<details open ontoggle=window.pwned=1>',
  '<form action="javascript:window.pwned=1"><button>send</button></form>',
  '<meta http-equiv="refresh" content="0;url=https://example.com/">',
  '<base href="https://example.com/">',
  '<link rel="stylesheet" href="https://example.com/x.css">',
  '<style>@import "https://example.com/x.css"; * { display: none }</style>',
  '<!--><img src=x onerror=window.pwned=1>-->',
  '<![CDATA[<img src=x onerror=window.pwned=1>]]>',
  '<template><img src=x onerror=window.pwned=1></template>',
  '<noscript><p title="</noscript><img src=x onerror=window.pwned=1>">',
  "' autofocus onfocus='window.pwned=1' x='",
  '</span></div></li></ol><style>* { display: none }</style>',
  '</textarea><script>window.pwned=1</script>',
  '</title><script>window.pwned=1</script>',
  'javascript:window.pwned=1',
  '[click](javascript:window.pwned=1)',
  '[click](JaVaScRiPt:window.pwned=1)',
  '[click](java\tscript:window.pwned=1)',
  '[click](&#106;avascript:window.pwned=1)',
  '[click](%6Aavascript:window.pwned=1)',
  '[click](data:text/html,<script>parent.pwned=1</script>)',
  '[click](vbscript:msgbox(1))',
  '[click](file:///etc/passwd)',
  '[click](blob:https://example.com/1)',
  '[click](//example.com/relative)',
  '[click](https://example.com "onmouseover=window.pwned=1")',
  '![picture](https://example.com/tracking.png)',
  '![picture](javascript:window.pwned=1)',
  '[a]: javascript:window.pwned=1',
  '<javascript:window.pwned=1>',
  '<a href="javascript:window.pwned=1">click</a>',
  'https://example.com/"onmouseover="window.pwned=1',
  'https://example.com/<img/src=x/onerror=window.pwned=1>',
  'https://user:password@example.com/%00?<script>',
  '{{constructor.constructor("window.pwned=1")()}} ${window.pwned=1} #{window.pwned=1}',
  '&lt;b&gt; &amp;amp; &#x3c;script&#x3e; &Tab;&NewLine;',
  '**<b>bold</b>** _<i>x</i>_ `<u>code</u>` ~~<s>gone</s>~~',
  '```html\n<script>window.pwned = 1</script>\n```',
  '> <script>window.pwned = 1</script>\n> <img src=x onerror=window.pwned=1>',
  '- <img src=x onerror=window.pwned=1>\n- [x](javascript:window.pwned=1)',
  '1. <iframe src=https://example.com>',
  '| a | b |\n| - | - |\n| <img src=x onerror=window.pwned=1> | [x](javascript:1) |',
  '__proto__ constructor toString hasOwnProperty',
  '@<img src=x onerror=window.pwned=1> @alice<script>',
  '\u202Egnp.exe\u2066<b>\u2069 \u200b\u200d\ufeff',
  `${'>'.repeat(300)} deep`,
  `${'*'.repeat(500)}a${'*'.repeat(500)}`,
  `${'['.repeat(400)}x${']('.repeat(200)}`,
];
/** What a message may be made of. Whatever else is an element of its text was written as one. */
const TAGS = ['P', 'STRONG', 'EM', 'DEL', 'CODE', 'PRE', 'A', 'UL', 'OL', 'LI', 'BLOCKQUOTE', 'SPAN', 'DIV'];
const ATTRIBUTES = ['class', 'dir', 'href', 'target', 'rel', 'start', 'tabindex'];
const MARKUP = ['script', 'img', 'iframe', 'style', 'b', 'i', 'u', 's', 'object', 'embed', 'video', 'table', 'base', 'meta', 'link', 'form[action]', 'details', 'math', 'template'];

/** Nothing ran, and nothing that was written has become an element of the page. */
async function checkInert({ name, page }) {
  const found = await page.evaluate(([tags, allowed, attributes]) => {
    const body = [...document.body.querySelectorAll(tags.join())].map(({ outerHTML }) => outerHTML);
    const all = [...document.body.querySelectorAll('*')];
    const handlers = all.filter((node) => node.getAttributeNames().some((attribute) => attribute.startsWith('on'))).map(({ outerHTML }) => outerHTML);
    const links = [...document.links].map(({ href }) => href).filter((href) => !/^(https?:|mailto:)/.test(href));
    const inside = [...document.body.querySelectorAll('.text *')];
    const strange = inside.filter((node) => !allowed.includes(node.tagName) || node.getAttributeNames().some((name) => !attributes.includes(name)));
    return { pwned: window.pwned, body, handlers, links, strange: strange.map(({ outerHTML }) => outerHTML) };
  }, [MARKUP, TAGS, ATTRIBUTES]);
  assert.deepEqual(found, { pwned: undefined, body: [], handlers: [], links: [], strange: [] }, `${name}'s page`);
}

/** Notes whatever somebody's page asks of others than its server. */
function strangers({ page }, { addr }) {
  const asked = [];
  page.on('request', (request) => new URL(request.url()).host === addr || request.url().startsWith('data:') || asked.push(request.url()));
  return asked;
}

story('whatever is written stays text, in messages, quotes, edits and the list', async (stage) => {
  const [alice, bob] = await stage.pair();
  const asked = [alice, bob].map((person) => strangers(person, stage.server));
  for (const [i, text] of CORPUS.entries()) {
    await stage.server.call('alice', 'message.send', { room: stage.room(bob), client_id: `${i}`, text });
    if (i % 8 > 0) continue;
    await alice.say(`Up to ${i}`);
    for (const person of [alice, bob]) {
      await person.message(`Up to ${i}`).waitFor();
      await checkInert(person);
    }
  }

  for (const text of ['<img src=y onerror="window.pwned = 1">', '[click](javascript:window.pwned=2)']) {
    await alice.say(text);
    await bob.act(text, 'Reply');
    await bob.page.getByText('Reply to Alice').waitFor();
    await checkInert(bob);
    await bob.say('What is this?');
    await alice.message('What is this?').last().getByRole('button', { name: text }).waitFor();
    await bob.act('What is this?', 'Edit');
    await bob.say(`<b>edited</b> ${text}`);
    await alice.message(`<b>edited</b> ${text}`).waitFor();
    for (const person of [alice, bob]) await checkInert(person);
  }
  const links = await alice.log.getByRole('link').evaluateAll((nodes) => nodes.map(({ href, rel, target }) => [new URL(href).protocol, rel, target]));
  assert.ok(links.every(([protocol, rel, target]) => /^https?:$/.test(protocol) && rel === 'noopener noreferrer nofollow' && target === '_blank'), JSON.stringify(links));
  assert.deepEqual(asked, [[], []], 'no other host was asked for anything');
}, { flags: ['--dev', ...UNLIMITED] });

story('markup in names, topics and reactions is shown as it was written', async (stage) => {
  const mallory = await stage.visitor('Mallory');
  mallory.name = '<img src=x onerror="window.pwned=1">';
  await mallory.signIn();
  const victim = await stage.person('Victim');
  const asked = strangers(victim, stage.server);
  await mallory.startGroup('<iframe srcdoc="<b>x</b>">', ['victim']);
  await mallory.startChannel('<script>window.pwned=1</script>', '</p><style>* { display: none }</style>');
  await mallory.say('Come in');
  await victim.page.getByRole('button', { name: 'Browse channels' }).first().click();
  await victim.dialog.getByRole('listitem').filter({ hasText: '</p><style>' }).getByRole('button', { name: 'Join' }).click();
  await victim.sees('Come in');
  await victim.log.getByText(mallory.name, { exact: true }).waitFor();

  const room = stage.room(victim);
  const user = (await mallory.page.getByText(/^@/).first().innerText()).slice(1);
  const { messages: [{ seq }] } = await stage.server.call(user, 'message.list', { room });
  for (const emoji of ['<img src=x onerror=pwned=1>', '"><b>', 'javascript:1']) await stage.server.call(user, 'reaction.add', { room, seq, emoji });
  await victim.message('Come in').getByRole('button', { name: '<img src=x onerror=pwned=1>, 1' }).waitFor();
  const hostile = { url: 'javascript:window.pwned=1', type: 'text/html', name: '<img src=x onerror=window.pwned=1>', size: 1 };
  await stage.server.call(user, 'message.send', { room, client_id: 'a', attachments: [hostile] });
  await stage.server.call(user, 'message.send', { room, client_id: 'd', data: { html: '<img src=x onerror=window.pwned=1>' } });
  await stage.server.call(user, 'user.update', { avatar: 'https://example.com/avatar.png', data: { html: '<b>' } });
  await stage.server.call(user, 'message.send', { room, client_id: 'e', text: 'The end' });
  await victim.message('The end').waitFor();
  await checkInert(victim);

  await victim.page.getByRole('button', { name: 'Details' }).click();
  await victim.page.getByRole('complementary').getByText(mallory.name).waitFor();
  await checkInert(victim);
  await victim.open('<iframe srcdoc="<b>x</b>">');
  await checkInert(victim);
  assert.deepEqual(asked, [], 'no other host was asked for anything');
});
