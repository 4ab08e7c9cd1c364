// The open conversation: its head, its messages and how they scroll.

import { el, icon, iconButton, reconcile } from '../dom.js';
import { find } from '../messages.js';
import { unread } from '../store.js';
import { MessageActions } from './actions.js';
import { Composer } from './composer.js';
import { confirmDelete } from './dialogs.js';
import { messageRows } from './message.js';
import { roomAvatar, roomTitle } from './titles.js';

const AT_END_PX = 48;
const LOAD_AHEAD_PX = 600;
/** How far a jump to a quoted message goes back at most. */
const JUMP_PAGES = 10;

export class ConversationView {
  #context;
  #room = null;
  #newAfter = null; // number of the last message that was read when the room was opened
  #placed = false; // whether the first page has been scrolled to its place
  #atEnd = true;
  #headShows = '';
  #pointer = ''; // where it was last

  #blank = el('div', { class: 'blank' });
  #head = el('header', { class: 'bar' });
  #list = el('ol', { class: 'messages', role: 'list' });
  #older = el('div', { class: 'older' });
  #log = el('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': 'Messages', tabindex: '0' });
  #toEnd = el('button', { type: 'button', class: 'to-end', 'aria-label': 'To the newest message', hidden: true }, icon('down'));
  #roomNode;
  #composer;
  #actions;

  constructor(root, context) {
    this.#context = { ...context, jumpTo: (seq) => this.#jumpTo(seq) };
    this.#composer = new Composer(context, { onSent: () => this.#sent(), lastOwn: () => this.#lastOwn() });
    this.#actions = new MessageActions({
      reply: (message) => this.#composer.reply(message),
      edit: (message) => this.#composer.edit(message),
      remove: (message) => confirmDelete(context, message),
      react: (message, emoji) => context.attempt(context.chat.react(message, emoji)),
    });
    this.#blank.append(
      icon('mark'),
      el('p', { class: 'empty-title' }, 'Nothing open'),
      el('p', {}, 'Choose a conversation, or start a new one.'),
    );
    this.#log.append(this.#older, this.#list);
    this.#roomNode = el('div', { class: 'room' }, this.#head, el('div', { class: 'log-area' }, this.#log, this.#toEnd), this.#composer.node);
    root.append(this.#blank, this.#roomNode);
    this.#listen();
  }

  #listen() {
    this.#log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#log.addEventListener('pointermove', (event) => this.#pointerMoved(event), { passive: true });
    this.#log.addEventListener('pointerleave', () => this.#log.contains(document.activeElement) || this.#actions.hide());
    this.#log.addEventListener('focusin', (event) => this.#pointAt(event.target));
    this.#log.addEventListener('keydown', (event) => this.#key(event));
    this.#toEnd.addEventListener('click', () => this.#scrollToEnd());
    // The keyboard of a phone or a longer draft makes the log smaller: its end stays in view.
    new ResizeObserver(() => this.#atEnd && this.#scrollToEnd()).observe(this.#log);
  }

  /** Forgets the place in the room that was open. */
  leave() {
    this.#room = null;
    this.#composer.setRoom(null);
  }

  draw() {
    const { store } = this.#context;
    const room = store.rooms.get(store.open) ?? null;
    if (room !== this.#room) this.#enter(room);
    this.#blank.hidden = room !== null;
    this.#roomNode.hidden = room === null;
    if (!room) return;
    this.#drawHead(room);
    this.#composer.draw();
    this.#drawLog(room);
  }

  #enter(room) {
    this.#room = room;
    this.#placed = false;
    this.#atEnd = true;
    this.#newAfter = room && unread(room) > 0 ? room.seen : null;
    this.#headShows = '';
    this.#actions.hide();
    this.#composer.setRoom(room);
    if (room && matchMedia('(hover: hover)').matches) requestAnimationFrame(() => this.#composer.focus());
  }

  // -- head -------------------------------------------------------------------

  #drawHead(room) {
    const { people, openRoom, toggleDetails } = this.#context;
    const title = roomTitle(room, people);
    const { text, typing } = this.#subtitle(room);
    const shows = JSON.stringify([title, text, typing]);
    if (shows === this.#headShows) return;
    this.#headShows = shows;
    this.#head.replaceChildren(
      iconButton('back', 'Back to the conversations', () => openRoom(null), { class: 'icon-button back' }),
      roomAvatar(room, people),
      el(
        'div',
        { class: 'bar-title' },
        el('h2', {}, title),
        el('p', { class: typing ? 'typing' : '', 'aria-live': typing ? 'polite' : 'off' }, text),
      ),
      iconButton('people', 'Details', toggleDetails),
    );
  }

  #subtitle(room) {
    const { people } = this.#context;
    const typists = [...room.typing.keys()].map((user) => people.name(user));
    if (typists.length > 2) return { text: 'Several people are typing…', typing: true };
    if (typists.length > 0) return { text: `${typists.join(' and ')} ${typists.length > 1 ? 'are' : 'is'} typing…`, typing: true };
    if (room.info.kind === 'direct') return { text: room.peer ? `@${room.peer}` : '', typing: false };
    const count = room.members?.size;
    const members = count ? `${count} ${count === 1 ? 'member' : 'members'}` : '';
    return { text: [members, room.info.topic].filter(Boolean).join(' · '), typing: false };
  }

  // -- log --------------------------------------------------------------------

  #drawLog(room) {
    const { window } = room;
    this.#log.setAttribute('aria-busy', String(!window || window.loads > 0));
    this.#drawOlder(room);
    if (!window) return;
    const anchor = this.#placed && !this.#atEnd ? this.#topRow() : null;
    reconcile(this.#list, messageRows(room, this.#newAfter, this.#context));
    if (this.#actions.lost !== null) this.#pointAt(this.#rowOf(this.#actions.lost));
    if (!window.ready) return;
    if (!this.#placed) this.#place();
    else if (this.#atEnd) this.#scrollToEnd();
    else if (anchor) this.#log.scrollTop += this.#offsetOf(anchor.key) - anchor.offset;
    this.#afterScroll();
  }

  /** What stands above the oldest message that is loaded. */
  #drawOlder(room) {
    const { window } = room;
    const title = roomTitle(room, this.#context.people);
    const load = (text) => () =>
      el('button', { type: 'button', class: 'button small', onclick: () => this.#context.chat.loadOlder(room) }, text);
    let state = 'more';
    let make = load('Older messages');
    if (window?.failed) [state, make] = ['failed', load('Could not load messages. Try again')];
    else if (!window?.ready || window.loads > 0) {
      [state, make] = ['loading', () => el('span', { class: 'spinner', role: 'status', 'aria-label': 'Loading' })];
    } else if (!window.more) {
      const text = window.messages.length > 0 ? 'This is the beginning of the conversation.' : 'No messages yet. Say hello.';
      [state, make] = [text, () => this.#beginning(room, text)];
    }
    reconcile(this.#older, [{ key: room.id, version: JSON.stringify([state, title]), make }]);
  }

  #beginning(room, text) {
    const { people } = this.#context;
    return el('div', { class: 'beginning' }, roomAvatar(room, people), el('h3', {}, roomTitle(room, people)), el('p', {}, text));
  }

  /** Shows the first page: where reading goes on, or the end. */
  #place() {
    this.#placed = true;
    const mark = this.#list.querySelector('.new-line');
    if (mark) mark.scrollIntoView({ block: 'start' });
    else this.#scrollToEnd();
    this.#atEnd = this.#distance() < AT_END_PX;
  }

  /** The first row in view, as something to find again after the rows have changed. */
  #topRow() {
    const top = this.#log.scrollTop;
    const row = [...this.#list.children].find((child) => child.dataset.key && child.offsetTop + child.offsetHeight > top);
    return row && { key: row.dataset.key, offset: row.offsetTop };
  }

  #offsetOf(key) {
    return [...this.#list.children].find((child) => child.dataset.key === key)?.offsetTop ?? 0;
  }

  #distance() {
    return this.#log.scrollHeight - this.#log.clientHeight - this.#log.scrollTop;
  }

  #scrollToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  #scrolled() {
    if (!this.#placed) return;
    this.#atEnd = this.#distance() < AT_END_PX;
    this.#afterScroll();
  }

  #afterScroll() {
    const { chat } = this.#context;
    const room = this.#room;
    if (!room?.window?.ready) return;
    this.#toEnd.hidden = this.#atEnd;
    this.#toEnd.classList.toggle('has-unread', !this.#atEnd && unread(room) > 0);
    if (this.#log.scrollTop < LOAD_AHEAD_PX && !room.window.failed) chat.loadOlder(room);
    if (this.#atEnd && !document.hidden) chat.see(room);
  }

  // -- one message --------------------------------------------------------------

  /**
   * Browsers also report a pointer that rests while messages move below it:
   * that does not take the toolbar from the message that has the focus.
   */
  #pointerMoved({ clientX, clientY, target }) {
    const place = `${clientX} ${clientY}`;
    if (place === this.#pointer) return;
    this.#pointer = place;
    this.#pointAt(target);
  }

  #rowOf(seq) {
    return this.#list.querySelector(`[data-seq="${seq}"]`);
  }

  #pointAt(target) {
    const row = target?.closest('.message');
    const message = row?.dataset.seq && this.#room?.window && find(this.#room.window, Number(row.dataset.seq));
    if (message) this.#actions.show(row, message, { me: this.#context.store.me, role: this.#room.role });
  }

  /** Arrow keys go from message to message. */
  #key(event) {
    if (event.key === 'Escape') {
      this.#composer.focus();
      return;
    }
    const steps = { ArrowUp: -1, ArrowDown: 1 };
    const step = steps[event.key];
    if (!step || event.target.closest('.actions')) return;
    const rows = [...this.#list.querySelectorAll('.message')];
    const index = rows.indexOf(event.target.closest('.message'));
    const row = index < 0 ? rows.at(-1) : rows[index + step];
    if (!row) return;
    event.preventDefault();
    row.focus();
  }

  /** Who answers has read what was new, and wants to see the answer. */
  #sent() {
    this.#newAfter = null;
    this.#atEnd = true;
  }

  #lastOwn() {
    const { me } = this.#context.store;
    return this.#room?.window?.messages.findLast((message) => message.user === me && !message.deleted_at);
  }

  async #jumpTo(seq) {
    const room = this.#room;
    for (let pages = 0; pages < JUMP_PAGES && room.window && !find(room.window, seq) && room.window.more; pages++) {
      await this.#context.chat.loadOlder(room);
    }
    if (room !== this.#room) return;
    this.draw();
    const row = this.#rowOf(seq);
    if (!row) {
      this.#context.notify('That message is too far back to show.');
      return;
    }
    row.scrollIntoView({ block: 'center' });
    row.classList.remove('flash');
    requestAnimationFrame(() => row.classList.add('flash'));
  }
}
