// The list of conversations.

import { el, icon, iconButton, reconcile } from '../dom.js';
import { mentioned, unread } from '../store.js';
import { excerpt } from '../text.js';
import { shortTime } from '../times.js';
import { browseChannels, newConversation } from './dialogs.js';
import { personAvatar, roomAvatar, roomTitle } from './titles.js';

const BADGE_MAX = 99;

export class RoomsView {
  #context;
  #list = el('ul', { class: 'room-list', role: 'list' });
  #empty;
  #me = el('div', { class: 'me' });
  #meShows = '';

  constructor(root, context) {
    this.#context = context;
    const start = () => newConversation(context);
    const browse = () => browseChannels(context);
    this.#empty = el(
      'div',
      { class: 'empty' },
      el('p', { class: 'empty-title' }, 'No conversations yet'),
      el('p', {}, 'Start one with somebody you know, or look for a channel to join.'),
      el('button', { type: 'button', class: 'button primary', onclick: start }, 'Start a conversation'),
      el('button', { type: 'button', class: 'button', onclick: browse }, 'Browse channels'),
    );
    root.append(
      el(
        'header',
        { class: 'bar' },
        el('div', { class: 'brand' }, icon('mark'), el('span', {}, 'Parley')),
        iconButton('compass', 'Browse channels', browse),
        iconButton('plus', 'New conversation', start),
      ),
      el('div', { class: 'room-scroll' }, this.#list, this.#empty),
      this.#me,
    );
  }

  title(room) {
    return roomTitle(room, this.#context.people);
  }

  draw() {
    const { store } = this.#context;
    const rooms = store.roomList();
    this.#empty.hidden = !store.listed || rooms.length > 0;
    reconcile(this.#list, rooms.map((room) => this.#row(room)));
    this.#drawMe();
  }

  #row(room) {
    const { store, people, roomLink } = this.#context;
    const name = this.title(room);
    const count = unread(room);
    const named = mentioned(room);
    const open = room.id === store.open;
    const time = room.last ? shortTime(room.last.at, Date.now()) : '';
    const { text, kind } = this.#preview(room);
    const make = () =>
      el(
        'li',
        {},
        el(
          'a',
          { href: roomLink(room.id), class: `room-row${count ? ' has-unread' : ''}`, 'aria-current': open ? 'page' : null },
          roomAvatar(room, people),
          el('span', { class: 'room-name' }, name),
          el('time', { class: 'room-time', datetime: room.last?.at }, time),
          el('span', { class: `room-preview ${kind}` }, text),
          count > 0 && badges(count, named),
        ),
      );
    return { key: room.id, version: JSON.stringify([name, count, named, open, time, text, kind]), make };
  }

  #preview(room) {
    const { store, people } = this.#context;
    const [typist] = room.typing.keys();
    if (typist) return { text: room.info.kind === 'direct' ? 'typing…' : `${people.name(typist)} is typing…`, kind: 'typing' };
    const { last } = room;
    if (!last) return { text: room.info.topic || 'No messages yet', kind: 'faint' };
    if (last.deleted_at) return { text: 'Message deleted', kind: 'faint' };
    const who = last.user === store.me ? 'You: ' : room.info.kind === 'direct' ? '' : `${people.name(last.user)}: `;
    return { text: who + excerpt(last.text ?? ''), kind: '' };
  }

  #drawMe() {
    const { store, people, signOut } = this.#context;
    const shows = store.me && `${store.me} ${people.name(store.me)}`;
    if (!shows || shows === this.#meShows) return;
    this.#meShows = shows;
    this.#me.replaceChildren(
      personAvatar(store.me, people),
      el('span', { class: 'me-name' }, people.name(store.me)),
      el('span', { class: 'me-id' }, `@${store.me}`),
      iconButton('exit', 'Sign out', signOut),
    );
  }
}

function badges(count, named) {
  const text = count > BADGE_MAX ? `${BADGE_MAX}+` : String(count);
  return el(
    'span',
    { class: 'badges' },
    named && badge('@', 'You are mentioned'),
    badge(text, `${count} unread`),
  );
}

function badge(text, label) {
  return el('span', { class: 'badge', role: 'img', 'aria-label': label, title: label }, text);
}
