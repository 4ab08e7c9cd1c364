// What people and rooms are called.

import type { InboxEntry, Member, Message, Observable, RoomObject } from "@parley-im/client";
import { useObservable, useParley } from "@parley-im/react";

const unnamed = { direct: "Conversation", group: "Group", channel: "Channel", live: "Live" } as const;
const nothing: Observable<undefined> = { get: () => undefined, subscribe: () => () => {} };

/** What a user is called: by their id until the name is known, and where there is none. Events of a back end have no user. */
export function useName(user: string | null | undefined): string {
  const parley = useParley();
  const profile = useObservable(user ? parley.users.get(user) : nothing);
  return user ? profile?.name || user : "System";
}

/** The other user of a direct room; undefined elsewhere and until it is known. */
export function usePeer(room: string): string | undefined {
  return useObservable(useParley().room(room).peer);
}

/** A room's name; a direct room is called by the other one in it. */
export function useTitle(room: RoomObject): string {
  const peer = usePeer(room.id);
  const name = useName(peer);
  return peer ? name : room.name || unnamed[room.kind];
}

/** Who is in a room, asked for while the component is mounted. Nobody in live rooms, of whose audience there is no list. */
export function useMembers(room: string): { members: readonly Member[]; ready: boolean; more: boolean } {
  return useObservable(useParley().room(room).members);
}

/** A message wherever it is: undefined until it is known, null if there is none. Without a seq nothing is looked at. */
export function useMessage(room: string, seq: number | undefined): Message | null | undefined {
  const parley = useParley();
  return useObservable<Message | null | undefined>(seq === undefined ? nothing : parley.room(room).message(seq));
}

/** Whether a user may delete others' messages in a room, ban and mute. */
export function moderates(me: InboxEntry["me"] | undefined): boolean {
  return me !== undefined && me.role !== "member";
}
