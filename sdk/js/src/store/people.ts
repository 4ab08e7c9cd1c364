// Who the others are, and whether they are there. Both are asked for what is on screen: many questions within a moment are one call.

import type { Link, Platform } from "../link.js";
import type { Observable } from "../observable.js";
import { bounds } from "../protocol.js";
import type { PresenceData, User, UserPresence, UserUpdateParams } from "../protocol.js";
import { Derived } from "./derived.js";

/** How long questions are gathered. */
const moment = 50;
/** How long a presence is kept up after the last look at it: lists scroll back. */
const linger = 10_000;
/** Profiles held at most, apart from those in view. */
const most = 1000;

/** Gathers ids for a moment and acts on all of them, 200 at a time. */
class Gatherer {
  readonly #after: Platform["after"];
  readonly #act: (ids: string[]) => void;
  #ids = new Set<string>();

  constructor(after: Platform["after"], act: (ids: string[]) => void) {
    this.#after = after;
    this.#act = act;
  }

  add(id: string): void {
    if (this.#ids.size === 0) this.#after(moment, () => this.#flush());
    this.#ids.add(id);
  }

  #flush(): void {
    const ids = [...this.#ids];
    this.#ids = new Set();
    for (let i = 0; i < ids.length; i += bounds.maxUsersPerCall) this.#act(ids.slice(i, i + bounds.maxUsersPerCall));
  }
}

interface Looked<T> {
  value: T | undefined;
  readonly shown: Derived<T | undefined>;
  watched: boolean;
}

/** Things that are known by user, and looked at. */
class Lookup<T> {
  readonly #watch: (id: string, looked: Looked<T>) => () => void;
  readonly looked = new Map<string, Looked<T>>();

  constructor(watch: (id: string, looked: Looked<T>) => () => void) {
    this.#watch = watch;
  }

  of(id: string): Looked<T> {
    let looked = this.looked.get(id);
    if (!looked) {
      const made: Looked<T> = {
        value: undefined,
        watched: false,
        shown: new Derived<T | undefined>(undefined, () => made.value, () => {
          made.watched = true;
          this.looked.set(id, made);
          const end = this.#watch(id, made);
          return () => {
            made.watched = false;
            end();
          };
        }),
      };
      this.looked.set(id, (looked = made));
    }
    return looked;
  }

  set(id: string, value: T): void {
    const looked = this.looked.get(id);
    if (!looked) return;
    looked.value = value;
    looked.shown.invalidate();
  }

  /** Whoever looks again is told anew. */
  forget(id: string): void {
    const looked = this.looked.get(id);
    if (looked) looked.value = undefined;
    this.looked.delete(id);
  }
}

/** Users' profiles, asked for when somebody looks. */
export class Users {
  readonly #link: Link;
  readonly #lookup: Lookup<User>;
  readonly #wanted: Gatherer;

  constructor(link: Link, platform: Pick<Platform, "after">) {
    this.#link = link;
    this.#wanted = new Gatherer(platform.after, (ids) => void this.#ask(ids));
    this.#lookup = new Lookup<User>((id, looked) => {
      if (!looked.value) this.#wanted.add(id);
      return () => this.#shrink();
    });
  }

  /** A user's profile: undefined until it is known, and of users who do not exist. It is asked for once somebody subscribes. */
  get(id: string): Observable<User | undefined> {
    return this.#lookup.of(id).shown;
  }

  /** Finds users by the beginning of their id or name, two characters at least, among those one may talk to. */
  async search(query: string, limit?: number): Promise<User[]> {
    const { users } = await this.#link.call("user.search", { query, ...(limit === undefined ? {} : { limit }) });
    for (const user of users) this.#lookup.set(user.id, user);
    return users;
  }

  /** Changes the user's own profile: absent = unchanged. */
  async update(profile: UserUpdateParams): Promise<User> {
    const { user } = await this.#link.call("user.update", profile);
    this.#lookup.set(user.id, user);
    return user;
  }

  /** A session has opened: profiles in view may have changed meanwhile. */
  live(): void {
    for (const [id, looked] of this.#lookup.looked) {
      if (looked.watched) this.#wanted.add(id);
      else this.#lookup.forget(id);
    }
  }

  async #ask(ids: string[]): Promise<void> {
    if (!this.#link.session.get()) return; // the next one asks for all in view
    try {
      const { users } = await this.#link.call("user.get", { users: ids });
      for (const user of users) this.#lookup.set(user.id, user);
    } catch {
      // the next session asks again
    }
  }

  #shrink(): void {
    for (const [id, looked] of this.#lookup.looked) {
      if (this.#lookup.looked.size <= most) return;
      if (!looked.watched) this.#lookup.forget(id);
    }
  }
}

/** Who is online, of those somebody looks at. */
export class Presences {
  readonly #link: Link;
  readonly #lookup: Lookup<UserPresence>;
  readonly #wanted: Gatherer;
  readonly #unwanted: Gatherer;

  constructor(link: Link, platform: Pick<Platform, "after">) {
    this.#link = link;
    this.#wanted = new Gatherer(platform.after, (ids) => void this.#subscribe(ids.filter((id) => this.#lookup.of(id).watched)));
    this.#unwanted = new Gatherer(platform.after, (ids) => this.#unsubscribe(ids));
    this.#lookup = new Lookup<UserPresence>((id, looked) => {
      if (!looked.value) this.#wanted.add(id);
      return () => platform.after(linger, () => looked.watched || this.#unwanted.add(id));
    });
  }

  /** How a user is seen, for as long as somebody subscribes; undefined until it is known and while there is no session. */
  get(id: string): Observable<UserPresence | undefined> {
    return this.#lookup.of(id).shown;
  }

  /** Takes a `presence` signal. */
  take(user: string, data: PresenceData): void {
    this.#lookup.set(user, { user, ...data });
  }

  /** A session has opened: nothing is subscribed to yet. */
  live(): void {
    for (const [id, looked] of this.#lookup.looked) {
      if (looked.watched) this.#wanted.add(id);
      else this.#lookup.forget(id);
    }
  }

  /** A session has ended: nobody's presence is known. */
  clear(): void {
    for (const looked of this.#lookup.looked.values()) {
      if (!looked.value) continue;
      looked.value = undefined;
      looked.shown.invalidate();
    }
  }

  async #subscribe(users: string[]): Promise<void> {
    if (users.length === 0 || !this.#link.session.get()) return;
    try {
      const result = await this.#link.call("presence.subscribe", { users });
      for (const presence of result.users) this.#lookup.set(presence.user, presence);
    } catch {
      // Too many are in view, or the session has ended: they stay unknown.
    }
  }

  #unsubscribe(ids: string[]): void {
    const users = ids.filter((id) => !this.#lookup.looked.get(id)?.watched);
    for (const id of users) this.#lookup.forget(id);
    if (users.length > 0 && this.#link.session.get()) this.#link.call("presence.unsubscribe", { users }).catch(() => {});
  }
}
