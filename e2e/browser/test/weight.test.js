// What the client weighs on its way to a browser, compressed as servers in front of it do.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';

import { story } from '../stage.js';

const KIB = 1024;
const PAGE = 160 * KIB;
const WIDGET = 60 * KIB;

story('the scripts of the first page, and the widget, stay small', async (stage) => {
  const tab = await stage.page();
  const scripts = [];
  const asked = [];
  tab.on('response', (response) => {
    if (response.request().resourceType() !== 'script') return;
    asked.push(new URL(response.url()).pathname);
    scripts.push(response.body());
  });
  await tab.goto(`http://${stage.server.addr}/`);
  await tab.getByRole('textbox', { name: 'Your name' }).waitFor();
  const sizes = (await Promise.all(scripts)).map((body) => gzipSync(body, { level: 9 }).length);
  const page = sizes.reduce((sum, size) => sum + size, 0);
  const response = await fetch(`http://${stage.server.addr}/widget.js`);
  const widget = gzipSync(Buffer.from(await response.arrayBuffer()), { level: 9 }).length;
  console.log(`scripts of the first page: ${(page / KIB).toFixed(1)} KiB in ${sizes.length} files; the widget: ${(widget / KIB).toFixed(1)} KiB`);
  assert.ok(!asked.includes('/emoji.js'), 'the choice of emoji comes when it is opened');
  assert.ok(page > 0 && page <= PAGE, `${page} bytes`);
  assert.ok(response.ok && widget <= WIDGET, `${widget} bytes`);
});
