// Short messages to the person that go away by themselves.

import { el, iconButton } from '../dom.js';

const SHOWN_MS = 6_000;
const AT_ONCE = 3;

export class Notices {
  #root;

  constructor(root) {
    this.#root = root;
  }

  show(text) {
    const notice = el('div', { class: 'notice' }, el('p', {}, text));
    notice.append(iconButton('close', 'Dismiss', () => notice.remove()));
    this.#root.append(notice);
    while (this.#root.children.length > AT_ONCE) this.#root.firstChild.remove();
    setTimeout(() => notice.remove(), SHOWN_MS);
  }
}
