// Sends what waits in the store's outbox.
//
// Messages of one room go one after the other, each after the answer to the one
// before it, so that they keep their order when one has to be sent again. A
// message that may have been stored is sent again under the same client_id: the
// server stores it once.

/** Errors that say "not now": the same message is sent again. */
const PASSING = new Set(['unavailable', 'rate_limited']);
const RETRY_MS = 2_000;
const STORAGE_KEY = 'parley.outbox';

export class Outbox {
  #store;
  #call;
  #storage;
  #setTimeout;
  #busy = new Set(); // rooms with a message under way, or waiting to try again

  /** `call(method, params)` as a connection's; `storage` as sessionStorage. */
  constructor({ store, call, storage, setTimeout }) {
    this.#store = store;
    this.#call = call;
    this.#storage = storage;
    this.#setTimeout = setTimeout;
  }

  /** Brings back what a page that was closed or reloaded had not sent. */
  restore() {
    this.#store.outbox = JSON.parse(this.#storage.getItem(STORAGE_KEY) ?? '[]');
  }

  add(entry) {
    this.#store.enqueue(entry);
    this.#save();
    this.#run(entry.room);
  }

  /** Sends what waits, in all rooms. */
  flush() {
    for (const room of new Set(this.#store.outbox.map((entry) => entry.room))) this.#run(room);
  }

  /** Sends a message again that was refused. */
  retry(clientId) {
    this.#store.updatePending(clientId, { state: 'pending', error: undefined });
    this.#save();
    this.flush();
  }

  discard(clientId) {
    this.#store.discard(clientId);
    this.#save();
  }

  clear() {
    this.#store.outbox = [];
    this.#save();
  }

  async #run(room) {
    if (this.#busy.has(room)) return;
    this.#busy.add(room);
    let pause = 0;
    for (let entry = this.#next(room); entry && pause === 0; entry = this.#next(room)) {
      pause = await this.#send(entry);
      this.#save();
    }
    const again = () => {
      this.#busy.delete(room);
      this.#run(room);
    };
    if (pause > 0 && pause < Infinity) this.#setTimeout(again, pause);
    else this.#busy.delete(room);
  }

  #next(room) {
    return this.#store.outbox.find((entry) => entry.room === room && entry.state === 'pending');
  }

  /** Answers how long to wait before the room's next attempt; Infinity: until there is a connection. */
  async #send(entry) {
    const { room, client_id, text, reply_to, mentions } = entry;
    try {
      this.#store.confirm(entry, await this.#call('message.send', { room, client_id, text, reply_to, mentions }));
    } catch (error) {
      if (error.code === 'disconnected') return Infinity;
      if (PASSING.has(error.code)) return error.retryAfter ?? RETRY_MS;
      this.#store.updatePending(client_id, { state: 'failed', error: error.message });
    }
    return 0;
  }

  #save() {
    this.#storage.setItem(STORAGE_KEY, JSON.stringify(this.#store.outbox));
  }
}
