// Hooks over the stores of @parley-im/client, and nothing else: all that is known is in the client. A store that a component looks at is kept up to
// date while the component is mounted.

import type { InboxEntry, InboxState, LinkState, Observable, Parley, Room, Timeline, TimelineState, User, UserPresence } from "@parley-im/client";
import { createContext, useCallback, useContext, useSyncExternalStore, type ReactNode } from "react";

const Context = createContext<Parley | undefined>(undefined);

/** Gives a client to the hooks below it. It neither starts nor stops the client: whoever made it does. */
export function ParleyProvider({ client, children }: { client: Parley; children: ReactNode }): ReactNode {
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client of the provider above. Throws if there is none. `Data` is the application's own type of `message.data`. */
export function useParley<Data = unknown>(): Parley<Data> {
  const client = useContext(Context);
  if (!client) throw new Error("There is no ParleyProvider above this component.");
  return client as Parley<Data>;
}

/** The value of an observable, kept up to date. A part of it with `select`, which must return the same object or primitive while that part is the same. */
export function useObservable<T, S = T>(observable: Observable<T>, select: (value: T) => S = whole): S {
  const subscribe = useCallback((listener: () => void) => observable.subscribe(listener), [observable]);
  const get = (): S => select(observable.get());
  return useSyncExternalStore(subscribe, get, get);
}

function whole<T, S>(value: T): S {
  return value as unknown as S;
}

/** What the connection is doing. */
export function useConnection(): LinkState {
  return useObservable(useParley().connection);
}

/** The user's rooms, and what is unread in all of them. */
export function useRooms(): InboxState {
  return useObservable(useParley().inbox);
}

/** One room of the user's: its name, what is unread, one's own settings. Undefined if it is none of theirs. */
export function useRoom(room: string): InboxEntry | undefined {
  return useObservable(useParley().room(room).entry);
}

/** What is unread in all rooms: what an icon shows (`badge`), or all of it, or what names the user. */
export function useUnread(which: "badge" | "unread" | "mentions" = "badge"): number {
  return useObservable(useParley().inbox, (state) => state[which]);
}

/** The messages of a room, or the replies below one, with the room and the timeline to act on. It is loaded while the component is mounted. */
export function useTimeline<Data = unknown>(
  id: string,
  thread?: number,
): TimelineState<Data> & { readonly room: Room<Data>; readonly timeline: Timeline<Data> } {
  const room = useParley<Data>().room(id);
  const timeline = thread === undefined ? room.timeline : room.thread(thread);
  return { ...useObservable(timeline), room, timeline };
}

/** The other members of a room who type now. */
export function useTyping(room: string): readonly string[] {
  return useObservable(useParley().room(room).typing);
}

/** How many sessions watch a live room; undefined until that is told. */
export function useAudience(room: string): number | undefined {
  return useObservable(useParley().room(room).audience);
}

/** How a user is seen: undefined until that is known, and while there is no connection. */
export function usePresence(user: string): UserPresence | undefined {
  return useObservable(useParley().presence(user));
}

/** A user's profile: undefined until it is known. */
export function useUser(user: string): User | undefined {
  return useObservable(useParley().users.get(user));
}
