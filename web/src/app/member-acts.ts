// What one may do with another member: the server decides, this only offers what it would not refuse.

import type { InboxEntry, Member, Parley, Role } from "@parley-im/client";

import type { IconName } from "../design/icon.js";
import { go } from "./route.js";

/** From the least to the most. */
export const roles: readonly Role[] = ["member", "moderator", "admin", "owner"];

/** Something that is offered. */
export interface MemberAct {
  readonly label: string;
  readonly icon: IconName;
  readonly danger?: boolean;
  readonly act: (parley: Parley) => Promise<unknown>;
}

const hour = 3_600_000;

/** What is offered about a member, to the user of the entry. */
export function actsOn({ room, me }: InboxEntry, { user, role, muted_until }: Member, self: string | undefined, now: number): MemberAct[] {
  if (user === self || room.kind === "direct") return [];
  const message: MemberAct = {
    label: "Message", icon: "reply",
    act: async (parley) => go({ page: "room", room: (await parley.direct(user)).id }),
  };
  const rank = roles.indexOf(me.role);
  const above = rank > roles.indexOf(role) || me.role === "owner";
  if (rank < roles.indexOf("moderator") || !above) return [message];
  const at = { room: room.id, user };
  const muted = muted_until !== undefined && Date.parse(muted_until) > now;
  const given: Role[] = rank >= roles.indexOf("admin") ? roles.filter((other) => other !== role && (me.role === "owner" || roles.indexOf(other) < rank)) : [];
  return [
    message,
    ...given.map((role): MemberAct => ({ label: `Make ${role}`, icon: "user", act: (parley) => parley.call("member.update", { ...at, role }) })),
    muted
      ? { label: "Unmute", icon: "bell", act: (parley) => parley.call("member.update", { ...at, muted_until: null }) }
      : { label: "Mute for an hour", icon: "bellOff", act: (parley) => parley.call("member.update", { ...at, muted_until: new Date(now + hour).toISOString() }) },
    { label: "Remove", icon: "exit", danger: true, act: (parley) => parley.call("member.remove", at) },
    { label: "Ban", icon: "close", danger: true, act: (parley) => parley.call("member.ban", at) },
  ];
}
