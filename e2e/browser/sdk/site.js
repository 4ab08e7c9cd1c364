// An application's own site: a page with the SDK in it, and a back end that hands out tokens.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const PAGE = fileURLToPath(new URL('page.ts', import.meta.url));
const DOCUMENT = '<!doctype html><html lang="en"><title>SDK</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script></html>';

const bundled = build({ entryPoints: [PAGE], bundle: true, format: 'esm', target: 'es2022', write: false });

export class Site {
  /** The origin of its pages. */
  origin;
  /** Makes a token for a user; may fail. */
  token;

  #server;

  static async open() {
    const site = new Site();
    const script = (await bundled).outputFiles[0].text;
    site.#server = createServer(async ({ url }, answer) => {
      const { pathname, searchParams } = new URL(url, site.origin);
      if (pathname === '/') return answer.setHeader('Content-Type', 'text/html').end(DOCUMENT);
      if (pathname === '/page.js') return answer.setHeader('Content-Type', 'text/javascript').end(script);
      if (pathname !== '/token') return answer.writeHead(404).end();
      try {
        answer.end(await site.token(searchParams.get('user')));
      } catch {
        answer.writeHead(503).end();
      }
    });
    site.#server.listen(0, '127.0.0.1');
    await once(site.#server, 'listening');
    site.origin = `http://127.0.0.1:${site.#server.address().port}`;
    return site;
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
