// Signing in: by name where the server allows it, otherwise with a token.

import { el, icon } from '../dom.js';
import { userIdOf } from '../ids.js';
import { SignInByNameOff } from '../session.js';

export class SignInView {
  #root;
  #session;
  #onSignedIn;
  #drawn = false;
  #problem = el('p', { class: 'problem', role: 'alert' });

  constructor(root, { session, onSignedIn }) {
    this.#root = root;
    this.#session = session;
    this.#onSignedIn = onSignedIn;
  }

  draw() {
    if (this.#drawn) return;
    this.#drawn = true;
    this.#show(this.#byName());
  }

  /** Asks for another token, because the server did not take the last one. */
  refused() {
    this.#drawn = true;
    this.#show(this.#byToken('The server did not accept that token.'));
  }

  #show(form) {
    this.#problem.textContent = '';
    this.#root.replaceChildren(
      el(
        'div',
        { class: 'card' },
        el('div', { class: 'brand large' }, icon('mark'), el('h1', {}, 'Parley')),
        form,
      ),
    );
    form.querySelector('input, textarea').focus();
  }

  #byName() {
    const hint = el('p', { class: 'hint' }, 'Open another tab to be somebody else.');
    const name = el('input', {
      id: 'name',
      required: true,
      maxlength: 60,
      autocomplete: 'off',
      placeholder: 'Alice',
      oninput: () => {
        const user = userIdOf(name.value);
        hint.textContent = user ? `Others will find you as @${user}.` : 'Open another tab to be somebody else.';
      },
    });
    const submit = async () => {
      const user = userIdOf(name.value);
      if (!user) throw new Error('Use at least one letter from a to z, or a digit.');
      try {
        await this.#session.signIn({ user, name: name.value.trim() });
      } catch (error) {
        if (!(error instanceof SignInByNameOff)) throw error;
        this.#show(this.#byToken('This server does not sign people in by name.'));
        return false;
      }
      return true;
    };
    return this.#form(
      submit,
      el('p', { class: 'lead' }, 'What should people call you?'),
      el('label', { for: 'name', class: 'visually-hidden' }, 'Your name'),
      name,
      hint,
      this.#problem,
      el('button', { class: 'button primary' }, 'Start chatting'),
      this.#switch('I have a token', () => this.#byToken('')),
    );
  }

  #byToken(why) {
    const token = el('textarea', { id: 'token', required: true, rows: 4, spellcheck: 'false', autocomplete: 'off' });
    const submit = async () => {
      this.#session.useToken(token.value.trim());
      return true;
    };
    return this.#form(
      submit,
      el('p', { class: 'lead' }, why, why && ' ', 'Paste a token to sign in.'),
      el('label', { for: 'token', class: 'visually-hidden' }, 'Token'),
      token,
      el('p', { class: 'hint' }, 'On the server’s machine, this prints one:'),
      el('pre', {}, el('code', {}, 'parley token --data DIR --user alice')),
      this.#problem,
      el('button', { class: 'button primary' }, 'Sign in'),
      this.#switch('Sign in by name', () => this.#byName()),
    );
  }

  #form(submit, ...children) {
    const onsubmit = async (event) => {
      event.preventDefault();
      const button = event.target.querySelector('.primary');
      button.disabled = true;
      try {
        if (await submit()) this.#signedIn();
      } catch (error) {
        this.#problem.textContent =
          error instanceof TypeError ? 'The server cannot be reached. Try again in a moment.' : error.message;
      } finally {
        button.disabled = false;
      }
    };
    return el('form', { onsubmit }, ...children);
  }

  #switch(label, make) {
    return el('button', { type: 'button', class: 'button link', onclick: () => this.#show(make()) }, label);
  }

  #signedIn() {
    this.#drawn = false;
    this.#onSignedIn();
  }
}
