import type { HelloParams, Push } from "../protocol.js";
import type { FakeRoom } from "./room.js";
import type { FakeServer } from "./server.js";

/** How a session's pushes reach its client. */
export interface Carrier {
  send(session: FakeSession, push: Push): void;
  /** Sends a heartbeat, where the transport has one. */
  beat?(): void;
  end(code: number, reason: string): void;
}

/** A session of the fake server. */
export class FakeSession {
  readonly id: string;
  readonly user: string;
  readonly device: string;
  /** It follows its user's rooms by itself. */
  readonly all: boolean;
  /** The users whose presence it is told. */
  readonly watched = new Set<string>();
  readonly #server: FakeServer;
  readonly #carrier: Carrier;
  readonly #positions = new Map<string, number>();
  #stop: () => void = () => {};

  constructor(server: FakeServer, user: string, hello: Omit<HelloParams, "token">, carrier: Carrier) {
    this.id = server.id("s");
    this.user = user;
    this.device = hello.device;
    this.all = hello.rooms !== "none";
    this.#server = server;
    this.#carrier = carrier;
  }

  /** Begins the streams, after hello was answered. */
  begin(hello: Omit<HelloParams, "token">): void {
    const { resume } = hello;
    this.#beat();
    if (this.all) {
      for (const room of this.#server.rooms.values()) {
        if (room.kind !== "live" && room.members.has(this.user) && resume?.rooms[room.id] === undefined) this.follow(room);
      }
    }
    for (const [id, seq] of Object.entries(resume?.rooms ?? {})) {
      const room = this.#server.rooms.get(id);
      if (!room || !(room.members.has(this.user) || room.kind === "live" || room.kind === "channel")) {
        this.push({ event: "room.removed", room: id, data: { reason: "gone" } });
        continue;
      }
      this.follow(room);
      if (resume?.epoch !== this.#server.epoch || seq > room.head || room.head - seq > this.#server.replay) {
        this.push({ event: "reset", room: id, data: { head: room.head } });
      } else {
        this.replay(room, seq);
      }
    }
  }

  follows(room: FakeRoom): boolean {
    return this.#positions.has(room.id);
  }

  follow(room: FakeRoom): void {
    this.#positions.set(room.id, room.head);
  }

  unfollow(room: FakeRoom): void {
    this.#positions.delete(room.id);
  }

  /** Sends what a room's log has after a position. */
  replay(room: FakeRoom, after: number): void {
    this.#positions.set(room.id, after);
    for (const frame of room.log.slice(after)) this.event(room, frame);
  }

  /** Sends an event of a room, if the session follows it. */
  event(room: FakeRoom, frame: Push): void {
    if (!this.follows(room) || !("seq" in frame)) return;
    this.#positions.set(room.id, frame.seq);
    this.push(frame);
  }

  /** The positions, as they are now. */
  positions(): Record<string, number> {
    return Object.fromEntries(this.#positions);
  }

  push(push: Push): void {
    this.#carrier.send(this, push);
  }

  /** Ends it. 1006 is without a word. */
  end(code: number, reason: string): void {
    if (!this.#server.sessions.delete(this)) return;
    this.#stop();
    this.#server.presenceChanged(this.user);
    this.#carrier.end(code, reason);
  }

  #beat(): void {
    this.#stop = this.#server.after(this.#server.heartbeatMs, () => {
      this.#carrier.beat?.();
      this.#beat();
    });
  }
}
