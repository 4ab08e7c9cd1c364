// A cable between browsers and the server that can be cut: a relay of TCP connections.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Cable {
  /** HOST:PORT to connect to instead of the server. */
  addr;

  #relay;
  #pairs = new Set();
  #isCut = false;

  /** Lays a cable to a server's HOST:PORT. */
  static async lay(to) {
    const cable = new Cable();
    const [host, port] = to.split(':');
    cable.#relay = createServer((near) => cable.#join(near, connect(Number(port), host)));
    cable.#relay.listen(0, '127.0.0.1');
    await once(cable.#relay, 'listening');
    cable.addr = `127.0.0.1:${cable.#relay.address().port}`;
    return cable;
  }

  #join(near, far) {
    const pair = { near, far };
    const end = () => {
      near.destroy();
      far.destroy();
      this.#pairs.delete(pair);
    };
    for (const side of [near, far]) side.on('error', end).on('close', end);
    this.#pairs.add(pair);
    if (this.#isCut) end();
    near.pipe(far).pipe(near);
  }

  /** From now on what the server says is lost, while what it is told still arrives. */
  deafen() {
    for (const { near, far } of this.#pairs) far.unpipe(near).resume();
  }

  /** Ends all connections; new ones end at once. */
  cut() {
    this.#isCut = true;
    for (const { near } of this.#pairs) near.destroy();
  }

  mend() {
    this.#isCut = false;
  }

  async close() {
    this.cut();
    this.#relay.close();
    await once(this.#relay, 'close');
  }
}
