// The toolbar of the message under the pointer or the focus. There is one; it
// moves to where it is needed.

import { el, iconButton } from '../dom.js';

const EMOJI = ['👍', '❤️', '😂', '🎉', '😮', '😢', '🙏', '👀'];
const MODERATORS = new Set(['moderator', 'admin', 'owner']);

export class MessageActions {
  #root = el('div', { class: 'actions', role: 'toolbar', 'aria-label': 'Message' });
  #seq = null;
  #on; // {reply(message), edit(message), remove(message), react(message, emoji)}

  constructor(on) {
    this.#on = on;
  }

  /** Shows what the user may do with a message, in its row. */
  show(row, message, { me, role }) {
    if (this.#seq === message.seq && row.contains(this.#root)) return;
    this.#seq = message.seq;
    if (message.deleted_at) {
      this.hide();
      return;
    }
    const own = message.user === me;
    this.#root.replaceChildren(
      iconButton('smile', 'React', () => this.#pickEmoji(message)),
      iconButton('reply', 'Reply', () => this.#act('reply', message)),
      ...(own ? [iconButton('edit', 'Edit', () => this.#act('edit', message))] : []),
      ...(own || MODERATORS.has(role) ? [iconButton('delete', 'Delete', () => this.#act('remove', message))] : []),
    );
    this.#root.classList.remove('picking');
    row.querySelector('.bubble').append(this.#root);
  }

  /** The message whose row the toolbar was in when that row was drawn anew, or null. */
  get lost() {
    return this.#root.isConnected ? null : this.#seq;
  }

  hide() {
    this.#seq = null;
    this.#root.remove();
  }

  #pickEmoji(message) {
    const button = (emoji) =>
      el('button', { type: 'button', class: 'emoji', 'aria-label': `React with ${emoji}`, onclick: () => this.#act('react', message, emoji) }, emoji);
    this.#root.classList.add('picking');
    this.#root.replaceChildren(...EMOJI.map(button));
    this.#root.firstChild.focus();
  }

  #act(name, message, ...details) {
    this.hide();
    this.#on[name](message, ...details);
  }
}
