// Where a message is written: new, as a reply, or to edit one.

import { el, icon, iconButton } from '../dom.js';
import { excerpt } from '../text.js';

const MAX_HEIGHT_PX = 200;

export class Composer {
  node;

  #context;
  #room = null;
  #drafts = new Map(); // room → text
  #about = null; // {kind: 'reply' | 'edit', message}
  #aboutNode = el('div', { class: 'about', hidden: true });
  #closedNode = el('p', { class: 'composer-closed', hidden: true }, 'Only moderators can write here.');
  #text;
  #send;
  #form;
  #onSent;
  #lastOwn;

  /** `onSent()` after a message was given away; `lastOwn()` answers the message that Arrow Up edits. */
  constructor(context, { onSent, lastOwn }) {
    this.#context = context;
    this.#onSent = onSent;
    this.#lastOwn = lastOwn;
    this.#text = el('textarea', {
      rows: 1,
      dir: 'auto',
      'aria-label': 'Message',
      placeholder: 'Write a message',
      oninput: () => this.#typed(),
      onkeydown: (event) => this.#key(event),
      onblur: () => this.#room && context.chat.stopTyping(this.#room),
    });
    this.#send = el('button', { class: 'send', 'aria-label': 'Send', title: 'Send', disabled: true }, icon('send'));
    const onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    this.#form = el('form', { class: 'composer', onsubmit }, this.#aboutNode, this.#text, this.#send);
    this.node = el('footer', { class: 'composer-area' }, this.#form, this.#closedNode);
  }

  /** Writes to another room from now on; what was begun in the last one is kept. */
  setRoom(room) {
    if (this.#room && this.#about?.kind !== 'edit') this.#drafts.set(this.#room.id, this.#text.value);
    if (this.#room) this.#context.chat.stopTyping(this.#room);
    this.#room = room;
    this.#setAbout(null);
    this.#setText((room && this.#drafts.get(room.id)) ?? '');
  }

  draw() {
    const closed = this.#room.info.settings?.post === 'moderators' && this.#room.role === 'member';
    this.#form.hidden = closed;
    this.#closedNode.hidden = !closed;
  }

  focus() {
    this.#text.focus();
  }

  reply(message) {
    if (this.#about?.kind === 'edit') this.#setText('');
    this.#setAbout({ kind: 'reply', message });
    this.focus();
  }

  edit(message) {
    this.#setAbout({ kind: 'edit', message });
    this.#setText(message.text ?? '');
    this.focus();
  }

  /** Goes back to writing a new message; answers whether there was anything to cancel. */
  cancel() {
    if (!this.#about) return false;
    if (this.#about.kind === 'edit') this.#setText('');
    this.#setAbout(null);
    return true;
  }

  #setAbout(about) {
    this.#about = about;
    this.#aboutNode.hidden = !about;
    this.#aboutNode.replaceChildren();
    if (!about) return;
    const { people } = this.#context;
    const title = about.kind === 'edit' ? 'Edit message' : `Reply to ${people.name(about.message.user)}`;
    this.#aboutNode.append(
      icon(about.kind),
      el('span', { class: 'about-title' }, title),
      el('span', { class: 'about-text' }, excerpt(about.message.text ?? '')),
      iconButton('close', 'Cancel', () => {
        this.cancel();
        this.focus();
      }),
    );
  }

  #setText(text) {
    this.#text.value = text;
    this.#fit();
  }

  #fit() {
    this.#send.disabled = this.#text.value.trim() === '';
    this.#text.style.height = 'auto';
    this.#text.style.height = `${Math.min(this.#text.scrollHeight, MAX_HEIGHT_PX)}px`;
  }

  #typed() {
    this.#fit();
    if (this.#send.disabled) this.#context.chat.stopTyping(this.#room);
    else if (this.#about?.kind !== 'edit') this.#context.chat.typing(this.#room);
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === 'Escape') {
      if (this.cancel()) event.stopPropagation();
    } else if (event.key === 'ArrowUp' && this.#text.value === '' && !this.#about) {
      const message = this.#lastOwn();
      if (!message) return;
      event.preventDefault();
      this.edit(message);
    }
  }

  #submit() {
    const { chat, attempt, limits, notify } = this.#context;
    const text = this.#text.value.trim();
    if (text === '') return;
    const most = limits().text_bytes;
    if (most > 0 && new TextEncoder().encode(text).length > most) {
      notify('That message is too long. Send it in parts.');
      return;
    }
    const about = this.#about;
    if (about?.kind === 'edit') {
      if (text !== about.message.text) attempt(chat.edit(about.message, text)).then((ok) => ok || this.#giveBack(about, text));
    } else {
      chat.send(this.#room, text, about?.message.seq);
      this.#onSent();
    }
    this.#setAbout(null);
    this.#setText('');
  }

  /** An edit that failed comes back, unless something else is being written by now. */
  #giveBack(about, text) {
    if (this.#room?.id !== about.message.room || this.#text.value !== '') return;
    this.#setAbout(about);
    this.#setText(text);
  }
}
