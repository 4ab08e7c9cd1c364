// The dialogs: a new conversation, the channels, deleting a message.

import { el, icon, iconButton } from '../dom.js';
import { words } from '../errors.js';
import { peopleField } from './people-field.js';

const SEARCH_MS = 200;

/** Shows a modal dialog that is gone once it is closed; answers how to close it. */
function show(title, ...content) {
  const close = () => dialog.close();
  const dialog = el(
    'dialog',
    { 'aria-label': title, onclose: () => dialog.remove() },
    el('header', {}, el('h2', {}, title), iconButton('close', 'Close', close)),
    ...content,
  );
  document.body.append(dialog);
  dialog.showModal();
  return close;
}

const KINDS = {
  direct: { label: 'Direct', does: 'Between you and one other person.' },
  group: { label: 'Group', does: 'Only people who are added can see it.' },
  channel: { label: 'Channel', does: 'Anyone here can find it and join.' },
};

export function newConversation(context) {
  const { chat, openRoom, store, people } = context;
  const person = peopleField(context, { label: 'With', several: false });
  const members = peopleField(context, { label: 'Members', several: true });
  const name = el('input', { id: 'room-name', maxlength: 200, autocomplete: 'off' });
  const topic = el('input', { id: 'room-topic', maxlength: 1000, autocomplete: 'off', placeholder: 'What is it about?' });
  const nameField = field(name, 'Name');
  const topicField = field(topic, 'Topic');
  const does = el('p', { class: 'hint' });
  const problem = el('p', { class: 'problem', role: 'alert' });
  let kind = 'direct';

  function choose(chosen) {
    kind = chosen;
    does.textContent = KINDS[kind].does;
    person.node.hidden = kind !== 'direct';
    members.node.hidden = kind !== 'group';
    nameField.hidden = kind === 'direct';
    topicField.hidden = kind !== 'channel';
    name.placeholder = kind === 'group' ? 'Optional' : 'general';
    problem.textContent = '';
  }

  function params() {
    if (kind === 'direct') {
      const [user] = person.value();
      if (!user) throw new Error('Say who it is with.');
      if (user === store.me) throw new Error('That is you. Name somebody else.');
      return { kind, members: [user] };
    }
    if (kind === 'channel') {
      if (!name.value.trim()) throw new Error('Give the channel a name.');
      return { kind, name: name.value.trim(), topic: topic.value.trim() || undefined };
    }
    const users = members.value().filter((user) => user !== store.me);
    if (users.length === 0) throw new Error('Add at least one person.');
    const everyone = [store.me, ...users].map((user) => people.name(user));
    return { kind, name: name.value.trim() || everyone.slice(0, 4).join(', '), members: users };
  }

  async function onsubmit(event) {
    event.preventDefault();
    try {
      openRoom(await chat.create(params()));
      close();
    } catch (error) {
      problem.textContent = problemOf(error);
    }
  }

  const choices = Object.entries(KINDS).map(([value, { label }]) =>
    el(
      'label',
      { class: 'choice' },
      el('input', { type: 'radio', name: 'kind', value, checked: value === kind, onchange: () => choose(value) }),
      el('span', {}, label),
    ),
  );
  choose(kind);
  const close = show(
    'New conversation',
    el(
      'form',
      { onsubmit },
      el('fieldset', { class: 'choices' }, el('legend', { class: 'visually-hidden' }, 'Kind'), ...choices),
      does,
      person.node,
      nameField,
      topicField,
      members.node,
      problem,
      el('footer', {}, el('button', { class: 'button primary' }, 'Start')),
    ),
  );
  person.node.querySelector('input').focus();
}

function field(input, label) {
  return el('div', { class: 'field' }, el('label', { for: input.id }, label), input);
}

/** Errors of this page's own checks have no code; a user that is not known is the most common of the server's. */
export function problemOf(error) {
  if (error.code === undefined && error.constructor === Error) return error.message;
  if (error.code === 'not_found' && /^(members|users)/.test(error.field ?? '')) {
    return 'There is no such user yet. People exist here from their first sign-in.';
  }
  return words(error);
}

export function browseChannels(context) {
  const { chat, store, openRoom } = context;
  const results = el('ul', { class: 'channel-list', role: 'list' });
  const note = el('p', { class: 'hint', role: 'status' });
  const query = el('input', {
    type: 'search',
    'aria-label': 'Search channels',
    placeholder: 'Search channels',
    autofocus: matchMedia('(hover: hover)').matches, // a phone's keyboard would cover the list
    oninput: () => later(),
  });

  async function join(id) {
    try {
      openRoom(await chat.join(id));
      close();
    } catch (error) {
      note.textContent = words(error);
    }
  }

  function row(info) {
    const joined = store.rooms.has(info.id);
    const go = () => (joined ? (openRoom(info.id), close()) : join(info.id));
    return el(
      'li',
      {},
      icon('hash'),
      el('div', {}, el('strong', {}, info.name || 'Channel'), el('p', {}, info.topic)),
      el('button', { type: 'button', class: `button small${joined ? '' : ' primary'}`, onclick: go }, joined ? 'Open' : 'Join'),
    );
  }

  async function search() {
    try {
      const rooms = await chat.browse(query.value.trim());
      results.replaceChildren(...rooms.map(row));
      note.textContent = rooms.length > 0 ? '' : 'No channels found. You can start one with “New conversation”.';
    } catch (error) {
      results.replaceChildren();
      note.textContent = words(error);
    }
  }

  let timer;
  function later() {
    clearTimeout(timer);
    timer = setTimeout(search, SEARCH_MS);
  }

  const close = show('Channels', query, note, results);
  search();
}

export function confirmDelete({ chat, attempt }, message) {
  const remove = () => {
    close();
    attempt(chat.remove(message));
  };
  const close = show(
    'Delete message?',
    el('p', {}, 'It will be gone for everyone, for good.'),
    el(
      'footer',
      {},
      el('button', { type: 'button', class: 'button', onclick: () => close() }, 'Keep it'),
      el('button', { type: 'button', class: 'button danger', onclick: remove }, 'Delete'),
    ),
  );
}
