// An application that has the client in a frame, or opens it in a window, and hands it its users' tokens.

import { once } from 'node:events';
import { createServer } from 'node:http';

/** The page of the application; it says in `asked` how often it was asked for a token. */
const page = (client) => `<!doctype html>
<html lang="en">
<title>Host</title>
<link rel="icon" href="data:,">
<iframe title="Chat" src="${client}" width="900" height="600"></iframe>
<script type="module">
  globalThis.asked = 0;
  addEventListener('message', async ({ data, source, origin }) => {
    if (origin !== '${new URL(client).origin}' || data?.type !== 'parley.ready') return;
    globalThis.asked++;
    const response = await fetch('/token');
    source.postMessage({ type: 'parley.token', token: await response.text() }, origin);
  });
</script>
</html>`;

export class Host {
  origin;
  /** The address of the client that its page shows. */
  client;
  /** Makes the token that it hands over. */
  token;

  #server;

  static async open() {
    const host = new Host();
    host.#server = createServer(async ({ url }, answer) => {
      if (url === '/') return answer.setHeader('Content-Type', 'text/html').end(page(host.client));
      if (url === '/token') return answer.end(await host.token());
      answer.writeHead(404).end();
    });
    host.#server.listen(0, '127.0.0.1');
    await once(host.#server, 'listening');
    host.origin = `http://127.0.0.1:${host.#server.address().port}`;
    return host;
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
