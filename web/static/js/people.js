// The names of users. Asked for in batches, once; until a name is known, and
// where there is none, a user is called by its id.

const PER_CALL = 200;

export class People {
  #names = new Map(); // user → name
  #wanted = new Set();
  #asked = new Set();
  #call;
  #onNames;

  constructor({ call, onNames }) {
    this.#call = call;
    this.#onNames = onNames;
  }

  name(user) {
    if (!user) return 'System'; // events of a back end have no user
    if (!this.#asked.has(user)) this.#want(user);
    return this.#names.get(user) || user;
  }

  learn(user, name) {
    this.#asked.add(user);
    if (name) this.#names.set(user, name);
  }

  /** Asks again, after a new connection, for those whose answer was lost. */
  resume() {
    this.#ask();
  }

  #want(user) {
    this.#asked.add(user);
    if (this.#wanted.size === 0) queueMicrotask(() => this.#ask());
    this.#wanted.add(user);
  }

  async #ask() {
    const users = [...this.#wanted].slice(0, PER_CALL);
    if (users.length === 0) return;
    try {
      const reply = await this.#call('user.get', { users });
      for (const { id, name } of reply.users) this.learn(id, name);
    } catch (error) {
      if (error.code === 'disconnected') return;
      // Whatever else is wrong, ids do as names.
    }
    for (const user of users) this.#wanted.delete(user);
    this.#onNames();
    await this.#ask();
  }
}
