// What a room and a person look like wherever they are shown: a name and an avatar.

import { el, icon } from '../dom.js';
import { hash, initials } from '../text.js';

const HUES = 8;
const UNNAMED = { direct: 'Conversation', group: 'Group', channel: 'Channel' };

/** A room's name; a direct room is called by the other one in it. */
export function roomTitle(room, people) {
  if (room.info.kind === 'direct' && room.peer) return people.name(room.peer);
  return room.info.name || UNNAMED[room.info.kind];
}

export function personAvatar(user, people) {
  return el('span', { class: `avatar ${hueOf(user)}`, 'aria-hidden': 'true' }, initials(people.name(user)));
}

export function roomAvatar(room, people) {
  const { kind } = room.info;
  if (kind === 'direct' && room.peer) return personAvatar(room.peer, people);
  const classes = `avatar square hue-${hash(room.id, HUES)}`;
  const sign = kind === 'channel' ? icon('hash') : initials(roomTitle(room, people));
  return el('span', { class: classes, 'aria-hidden': 'true' }, sign);
}

/** The class of a person's colour. */
export function hueOf(user) {
  return `hue-${hash(user ?? '', HUES)}`;
}
