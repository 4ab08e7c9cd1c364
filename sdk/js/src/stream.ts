import type { Frame } from "./link.js";
import { bounds, type Resume } from "./protocol.js";

/**
 * How far one has got in every room, by what has been seen. It lets pass what comes next, drops what came before, and turns a hole into a reset:
 * sessions overlap when one replaces another, and not every way to a session can resume.
 */
export class Stream {
  #epoch = "";
  readonly #seqs = new Map<string, number>(); // in the order in which they moved

  /** Takes positions over from someone who knows better, as far as they are of the epoch. */
  adopt(resume: Resume): void {
    this.enter(resume.epoch);
    for (const [room, seq] of Object.entries(resume.rooms)) this.#move(room, seq);
  }

  /** Enters an epoch: positions of another one are void. */
  enter(epoch: string): void {
    if (epoch !== this.#epoch) this.#seqs.clear();
    this.#epoch = epoch;
  }

  /** Where a session goes on: the rooms that moved last, as many as can be named. Undefined where there is nothing to go on with. */
  resume(): Resume | undefined {
    if (this.#seqs.size === 0) return undefined;
    return { epoch: this.#epoch, rooms: Object.fromEntries([...this.#seqs].slice(-bounds.maxResumeRooms)) };
  }

  /** Notes where a room's stream begins, unless it goes on already. */
  follow(room: string, seq: number): void {
    if (!this.#seqs.has(room)) this.#move(room, seq);
  }

  /** Where a room's stream stands; undefined if nothing is known of it. */
  at(room: string): number | undefined {
    return this.#seqs.get(room);
  }

  /** Forgets a room. */
  drop(room: string): void {
    this.#seqs.delete(room);
  }

  /** Takes a frame and tells what to hand on: nothing, the frame, or a reset and the frame. */
  accept(frame: Frame): Frame[] {
    const { room } = frame;
    if (room === undefined) return [frame];
    switch (frame.event) {
      case "reset":
        this.#move(room, frame.data.head);
        return [frame];
      case "room.removed":
        this.drop(room);
        return [frame];
      case "skipped":
        return this.#next(room, frame.data.from, frame.data.to, frame);
      default:
        return "seq" in frame ? this.#next(room, frame.seq, frame.seq, frame) : [frame];
    }
  }

  #next(room: string, from: number, to: number, frame: Frame): Frame[] {
    const last = this.#seqs.get(room);
    if (last !== undefined && to <= last) return [];
    this.#move(room, to);
    // 0 is the beginning of what one may see, which need not be 1.
    return last && from > last + 1 ? [{ event: "reset", room, data: { head: from - 1 } }, frame] : [frame];
  }

  #move(room: string, seq: number): void {
    this.#seqs.delete(room);
    this.#seqs.set(room, seq);
  }
}
