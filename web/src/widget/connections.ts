// The connections of a page's elements: those that talk with the same server share one.

import { Parley } from "@parley-im/client";

/** Brings the user's token, asked anew for every session. */
export type TokenSource = () => Promise<string> | string;

interface Connection {
  readonly client: Parley;
  /** the elements that use it; whose token it uses comes first */
  readonly users: Map<object, TokenSource>;
}

/** Opens a client, and ends it when nothing on the page needs it. */
export class Connections {
  readonly #open = new Map<string, Connection>();
  readonly #make: (url: string, token: TokenSource) => Parley;

  constructor(make: (url: string, token: TokenSource) => Parley = (url, token) => new Parley({ url, token, client: "parley-widget" })) {
    this.#make = make;
  }

  /**
   * The client for a server, started. Elements of one page are one user: the token of the element that came first is used for all, until that one is gone.
   * An element that has joined may do so again with another source of tokens; where it is the one that is used, the session begins anew.
   */
  join(server: string, who: object, token: TokenSource): Parley {
    const known = this.#open.get(server);
    if (known) {
      const [first] = known.users.keys();
      const renewed = first === who && known.users.get(who) !== token;
      known.users.set(who, token);
      if (renewed) {
        known.client.stop();
        known.client.start();
      }
      return known.client;
    }
    const users = new Map<object, TokenSource>([[who, token]]);
    const client = this.#make(server, () => {
      const [source] = users.values();
      if (!source) throw new Error("The page has taken its chat away.");
      return source();
    });
    this.#open.set(server, { client, users });
    client.start();
    return client;
  }

  /** An element needs its client no more. */
  leave(server: string, who: object): void {
    const connection = this.#open.get(server);
    if (!connection?.users.delete(who) || connection.users.size > 0) return;
    this.#open.delete(server);
    connection.client.stop();
  }
}
