// Tells the server how far this user's messages have been delivered and read.
//
// Moves are gathered: one `receipt.delivered` speaks of all rooms, and a room
// has one `receipt.read` under way at most. What could not be told is told after
// the next connection, because both are derived from the rooms' positions.

import { newestFromOthers } from './store.js';

const GATHER_MS = 250;
const CURSORS_PER_CALL = 1_000;

export class Receipts {
  #store;
  #call;
  #setTimeout;
  #gathering = false;
  #reading = new Set(); // rooms with a call under way

  constructor({ store, call, setTimeout }) {
    this.#store = store;
    this.#call = call;
    this.#setTimeout = setTimeout;
  }

  /** Says, a moment later, that everything up to the rooms' positions has arrived. */
  delivered() {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#setTimeout(() => this.#tellDelivered(), GATHER_MS);
  }

  async #tellDelivered() {
    this.#gathering = false;
    const moved = [...this.#store.rooms.values()]
      .filter((room) => room.position > room.delivered)
      .slice(0, CURSORS_PER_CALL)
      .map((room) => [room, room.position]);
    if (moved.length === 0) return;
    try {
      await this.#tell(moved);
    } catch (error) {
      // A room that was left in this moment fails the call for all.
      if (error.code !== 'not_found') return;
      for (const one of moved) await this.#tell([one]).catch(() => {});
    }
  }

  async #tell(moved) {
    const cursors = Object.fromEntries(moved.map(([room, seq]) => [room.id, seq]));
    await this.#call('receipt.delivered', { cursors });
    for (const [room, seq] of moved) room.delivered = Math.max(room.delivered, seq);
  }

  /** Marks as read what others have written in a room that the user is looking at. */
  read(room) {
    const newest = newestFromOthers(room, this.#store.me);
    if (newest && newest.seq > room.read) this.#store.markRead(room, newest.seq);
    this.#tellRead(room);
  }

  async #tellRead(room) {
    if (this.#reading.has(room.id)) return;
    this.#reading.add(room.id);
    try {
      while (room.readAcked < room.read) {
        const seq = room.read;
        await this.#call('receipt.read', { room: room.id, seq });
        room.readAcked = Math.max(room.readAcked, seq);
        room.delivered = Math.max(room.delivered, seq);
      }
    } catch {
      // The next look at the room, or the next connection, tells it again.
    } finally {
      this.#reading.delete(room.id);
    }
  }

  /** Tells what an earlier connection could not. */
  resume() {
    this.delivered();
    for (const room of this.#store.rooms.values()) if (room.readAcked < room.read) this.#tellRead(room);
  }
}
