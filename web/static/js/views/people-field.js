// A field for users: one, or several that become chips.

import { el, iconButton } from '../dom.js';
import { userIdOf } from '../ids.js';

const SEARCH_MS = 200;
const SEARCH_LENGTH = 2;
/** The type of input event that choosing a suggestion makes. */
const PICKED = 'insertReplacementText';
let fields = 0;

/**
 * Makes the field; answers {node, value(), clear()}, value() being the user
 * ids. Suggestions come from the server, where it has any.
 */
export function peopleField({ chat, session }, { label, several }) {
  const id = `people-${++fields}`;
  const users = [];
  const chips = el('span', { class: 'chips' });
  const suggestions = el('datalist', { id: `${id}-suggestions` });
  // Who signs in by name gets an id made of it; so does who is asked for by name.
  const idOf = (text) => (session.person ? userIdOf(text) : text.trim().replace(/^@/, ''));

  const input = el('input', {
    id,
    list: suggestions.id,
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    placeholder: several ? 'Names, one after the other' : 'Name',
    // What is typed becomes a chip on Enter or when it is used, not on leaving the field: the form would move under the pointer.
    oninput: (event) => (several && event.inputType === PICKED ? add() : search()),
    onkeydown: (event) => key(event),
  });

  let timer;
  function search() {
    clearTimeout(timer);
    const query = input.value.trim();
    if (query.length < SEARCH_LENGTH) return;
    timer = setTimeout(async () => {
      const found = await chat.searchPeople(query).catch(() => []);
      suggestions.replaceChildren(...found.map((user) => el('option', { value: user.id }, user.name)));
    }, SEARCH_MS);
  }

  function add() {
    for (const user of input.value.split(/[,;\s]+/).map(idOf)) if (user && !users.includes(user)) users.push(user);
    input.value = '';
    draw();
  }

  function key(event) {
    if (!several) return;
    if ((event.key === 'Enter' || event.key === ',') && input.value.trim() !== '') {
      event.preventDefault();
      add();
    } else if (event.key === 'Backspace' && input.value === '' && users.length > 0) {
      users.pop();
      draw();
    }
  }

  function draw() {
    const remove = (user) => () => {
      users.splice(users.indexOf(user), 1);
      draw();
      input.focus();
    };
    chips.replaceChildren(...users.map((user) => el('span', { class: 'chip' }, user, iconButton('close', `Remove ${user}`, remove(user)))));
  }

  return {
    node: el('div', { class: 'field' }, el('label', { for: id }, label), el('div', { class: 'people-field' }, chips, input), suggestions),
    value() {
      if (!several) return [idOf(input.value)].filter(Boolean);
      add();
      return [...users];
    },
    clear() {
      users.length = 0;
      input.value = '';
      draw();
    },
  };
}
