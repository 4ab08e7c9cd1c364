// The side of a conversation: who is in it, adding people, leaving.

import { el, iconButton, reconcile } from '../dom.js';
import { problemOf } from './dialogs.js';
import { peopleField } from './people-field.js';
import { personAvatar, roomAvatar, roomTitle } from './titles.js';

const ROLE_ORDER = ['owner', 'admin', 'moderator', 'member'];

export class DetailsView {
  #root;
  #context;
  #room = null;
  #shown = false;
  #about = el('div', { class: 'details-about' });
  #aboutShows = '';
  #list = el('ul', { class: 'member-list', role: 'list' });
  #adding;
  #addForm;
  #problem = el('p', { class: 'problem', role: 'alert' });
  #leave;

  constructor(root, context) {
    this.#root = root;
    this.#context = context;
    this.#adding = peopleField(context, { label: 'Add people', several: true });
    this.#addForm = el(
      'form',
      { class: 'details-add', onsubmit: (event) => this.#add(event) },
      this.#adding.node,
      this.#problem,
      el('button', { class: 'button' }, 'Add'),
    );
    this.#leave = el('button', { type: 'button', class: 'button danger', onclick: () => this.#leaveRoom() });
    root.append(
      el('header', { class: 'bar' }, el('h2', {}, 'Details'), iconButton('close', 'Close details', () => this.toggle())),
      el('div', { class: 'details-scroll' }, this.#about, el('h3', {}, 'Members'), this.#list, this.#addForm, this.#leave),
    );
  }

  toggle() {
    this.#shown = !this.#shown;
    this.draw();
  }

  draw() {
    const { store } = this.#context;
    const room = store.rooms.get(store.open) ?? null;
    this.#root.hidden = !this.#shown || !room;
    if (this.#root.hidden) return;
    if (room !== this.#room) {
      this.#room = room;
      this.#adding.clear();
      this.#problem.textContent = '';
    }
    const { kind } = room.info;
    this.#drawAbout(room);
    this.#drawMembers(room);
    this.#addForm.hidden = !(kind === 'group' || (kind === 'channel' && room.role !== 'member'));
    this.#leave.textContent = kind === 'direct' ? 'Hide conversation' : `Leave ${kind}`;
  }

  #drawAbout(room) {
    const { people } = this.#context;
    const shows = JSON.stringify([room.id, roomTitle(room, people), room.info.topic]);
    if (shows === this.#aboutShows) return;
    this.#aboutShows = shows;
    this.#about.replaceChildren(
      roomAvatar(room, people),
      el('h3', {}, roomTitle(room, people)),
      ...(room.info.topic ? [el('p', {}, room.info.topic)] : []),
    );
  }

  #drawMembers(room) {
    const { people, store } = this.#context;
    const order = ({ user, role }) => `${ROLE_ORDER.indexOf(role)} ${people.name(user).toLowerCase()}`;
    const members = [...(room.members?.values() ?? [])].sort((a, b) => (order(a) < order(b) ? -1 : 1));
    reconcile(
      this.#list,
      members.map(({ user, role }) => ({
        key: user,
        version: `${role} ${people.name(user)}`,
        make: () =>
          el(
            'li',
            {},
            personAvatar(user, people),
            el('span', { class: 'member-name' }, people.name(user), user === store.me && ' (you)'),
            el('span', { class: 'member-id' }, `@${user}`),
            role !== 'member' && room.info.kind !== 'direct' && el('span', { class: 'role' }, role),
          ),
      })),
    );
  }

  async #add(event) {
    event.preventDefault();
    const users = this.#adding.value();
    if (users.length === 0) return;
    try {
      await this.#context.chat.addMembers(this.#room, users);
      this.#adding.clear();
      this.#problem.textContent = '';
    } catch (error) {
      this.#problem.textContent = problemOf(error);
    }
  }

  async #leaveRoom() {
    const { attempt, chat, openRoom } = this.#context;
    if (await attempt(chat.leave(this.#room))) openRoom(null);
  }
}
