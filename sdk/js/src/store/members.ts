// Who is in a room: asked for when somebody looks, and kept up by what the log says.

import type { Link } from "../link.js";
import type { Observable } from "../observable.js";
import { bounds } from "../protocol.js";
import type { Member, RoomEvent } from "../protocol.js";
import { Derived } from "./derived.js";

/** What is known of a room's members. */
export interface MembersState {
  /** in the order in which the server lists them, the newest last; at most 1,000 */
  readonly members: readonly Member[];
  /** false until the server has told them, and for who may not know them */
  readonly ready: boolean;
  /** the room has further ones: `member.list` pages through them */
  readonly more: boolean;
}

const none: MembersState = { members: [], ready: false, more: false };

/** The members of one room. */
export class Members implements Observable<MembersState> {
  readonly #room: string;
  readonly #link: Link;
  readonly #shown: Derived<MembersState>;
  #state = none;
  #watched = false;
  /** of the load that is under way: what the log has said meanwhile */
  #tape: RoomEvent[] | undefined;

  /** For Room: an application finds them at Room.members. */
  constructor(room: string, link: Link) {
    this.#room = room;
    this.#link = link;
    this.#shown = new Derived(none, () => this.#state, () => {
      this.#watched = true;
      if (!this.#state.ready && !this.#tape) void this.#load();
      return () => (this.#watched = false);
    });
  }

  get(): MembersState {
    return this.#shown.get();
  }

  /** Tells of changes; they are asked for, and kept up to date, while anyone listens. */
  subscribe(listener: () => void): () => void {
    return this.#shown.subscribe(listener);
  }

  /** A session has opened, or its stream goes on elsewhere: what is known may have changed. Until it is told anew, it is shown. */
  stale(): void {
    this.#tape = undefined;
    if (this.#watched) void this.#load();
    else this.clear();
  }

  /** Takes an event of the room, in order. */
  take(event: RoomEvent): void {
    if (!event.event.startsWith("member.")) return;
    this.#tape?.push(event);
    if (this.#state.ready) this.#set({ ...this.#state, members: after(this.#state.members, event) });
  }

  /** Forgets what was told. */
  clear(): void {
    this.#tape = undefined;
    this.#set(none);
  }

  async #load(): Promise<void> {
    if (!this.#link.session.get()) return;
    const tape: RoomEvent[] = (this.#tape = []);
    try {
      const page = await this.#link.call("member.list", { room: this.#room, limit: bounds.maxListMembers });
      if (this.#tape !== tape) return;
      const members = tape.filter((event) => event.seq > page.head).reduce(after, page.members as readonly Member[]);
      this.#set({ members, ready: true, more: page.page !== undefined });
    } catch {
      // Who may not know them is told so; after a lost connection the next session asks again.
    }
    if (this.#tape === tape) this.#tape = undefined;
  }

  #set(state: MembersState): void {
    this.#state = state;
    this.#shown.invalidate();
  }
}

/** The members after an event. */
function after(members: readonly Member[], event: RoomEvent): readonly Member[] {
  switch (event.event) {
    case "member.joined": {
      const { users, role } = event.data;
      return [...members.filter((m) => !users.includes(m.user)), ...users.map((user) => ({ user, role, joined_at: event.at }))];
    }
    case "member.left":
      return members.filter((m) => !event.data.users.includes(m.user));
    case "member.updated":
      return members.map((m) => (m.user === event.data.user ? updated(m, event.data) : m));
    default:
      return members;
  }
}

function updated({ muted_until, ...member }: Member, data: { role?: Member["role"] | undefined; muted_until?: string | null | undefined }): Member {
  const mute = data.muted_until === undefined ? muted_until : (data.muted_until ?? undefined);
  return { ...member, role: data.role ?? member.role, ...(mute === undefined ? {} : { muted_until: mute }) };
}
