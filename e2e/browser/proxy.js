// A proxy between browsers and the server, as companies have them: it may refuse WebSockets, or event streams, or go
// away altogether; and it is where a balancer would be, which sends who comes anew to another node.

import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';

const REFUSED = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

export class Proxy {
  /** HOST:PORT to connect to instead of the server. */
  addr;
  /** HOST:PORT of the server for what comes from now on. */
  to;
  /** What is refused: 'websocket', 'events', or both. */
  refuses = new Set();

  /** which of the servers a session is on that is not a WebSocket */
  #nodes = new Map();
  #agent = new Agent({ keepAlive: true });
  #server;
  #near = new Set();
  #sockets = new Map();
  #isCut = false;

  static async before(to) {
    const proxy = new Proxy();
    proxy.to = to;
    proxy.#server = createServer((asked, answer) => proxy.#forward(asked, answer))
      .on('upgrade', (asked, near, head) => proxy.#upgrade(asked, near, head))
      .on('connection', (near) => proxy.#connected(near));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.addr = `127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  /** How many WebSockets are open. */
  get sockets() {
    return this.#sockets.size;
  }

  #connected(near) {
    if (this.#isCut) return near.destroy();
    this.#near.add(near);
    near.on('error', () => near.destroy()).on('close', () => this.#near.delete(near));
  }

  #ask({ method, url, headers }, to = this.to) {
    const [host, port] = to.split(':');
    return request({ agent: this.#agent, host, port, method, path: url, headers });
  }

  async #forward(asked, answer) {
    if (this.refuses.has('events') && asked.url.startsWith('/v1/events') && asked.method === 'GET') {
      answer.writeHead(403, { 'Access-Control-Allow-Origin': '*' }).end();
      return;
    }
    const body = Buffer.concat(await asked.toArray());
    // What is about a session goes to the node that has it: a call says so in a header, a poll in its body.
    const session = asked.url === '/v1/poll' ? JSON.parse(body.toString() || '{}').session : asked.headers['parley-session'];
    const to = this.#nodes.get(session) ?? this.to;
    const far = this.#ask(asked, to).on('error', () => answer.destroy());
    far.on('response', (response) => {
      const opened = response.headers['parley-session'];
      if (opened) this.#nodes.set(opened, to);
      answer.writeHead(response.statusCode, response.headers);
      answer.flushHeaders();
      response.on('error', () => answer.destroy()).pipe(answer);
    });
    answer.on('close', () => far.destroy());
    far.end(body);
  }

  #upgrade(asked, near, head) {
    if (this.refuses.has('websocket')) return near.end(REFUSED);
    const asks = this.#ask(asked).on('error', () => near.destroy());
    asks.on('response', (response) => near.end(`HTTP/1.1 ${response.statusCode} Refused\r\nConnection: close\r\n\r\n`));
    asks.on('upgrade', (response, far) => {
      const lines = response.rawHeaders.flatMap((text, i, all) => (i % 2 ? [] : [`${text}: ${all[i + 1]}`]));
      near.write(['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n'));
      far.write(head);
      this.#sockets.set(near, far);
      near.on('close', () => this.#sockets.delete(near) && far.destroy());
      far.on('error', () => near.destroy()).on('close', () => near.destroy());
      near.pipe(far).pipe(near);
    });
    asks.end();
  }

  /** From now on nothing passes through the WebSockets that are open, and neither end is told. */
  swallow() {
    for (const [near, far] of this.#sockets) {
      near.unpipe(far).resume();
      far.unpipe(near).resume();
    }
  }

  /** Ends all connections; new ones end at once. */
  cut() {
    this.#isCut = true;
    for (const near of this.#near) near.destroy();
  }

  mend() {
    this.#isCut = false;
  }

  async close() {
    this.cut();
    this.#agent.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
