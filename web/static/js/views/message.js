// One message, and the rows that a conversation consists of.

import { el, icon } from '../dom.js';
import { status } from '../store.js';
import { excerpt, linkParts, mentionParts } from '../text.js';
import { clock, dayOf, dayTitle } from '../times.js';
import { hueOf, personAvatar } from './titles.js';

/** Messages of one author this close together are one group. */
const GROUP_MS = 5 * 60_000;
const STATUS_ICONS = { pending: 'clock', failed: 'alert', sent: 'tick', delivered: 'ticks', read: 'ticks' };
const STATUS_WORDS = {
  pending: 'Waiting to be sent',
  failed: 'Not sent',
  sent: 'Sent',
  delivered: 'Delivered',
  read: 'Read',
};

/** The key of a message's row. It stays the same when the server confirms the message. */
export function keyOf(message) {
  return message.client_id ? `${message.user} ${message.client_id}` : String(message.seq);
}

/**
 * The rows of a room for reconcile(): day lines, the line above the first
 * message with a number over `newAfter`, messages, and at the end what is not
 * confirmed yet.
 */
export function messageRows(room, newAfter, context) {
  const { store } = context;
  const pending = store.outbox.filter((entry) => entry.room === room.id).map((entry) => ({ ...entry, user: store.me }));
  const messages = [...room.window.messages, ...pending];
  const rows = [];
  let marked = newAfter === null;
  messages.forEach((message, index) => {
    const previous = messages[index - 1];
    if (!previous || dayOf(previous.at) !== dayOf(message.at)) rows.push(dayRow(message.at));
    if (!marked && message.n > newAfter && message.user !== store.me) {
      rows.push(line('new', 'New messages', 'new-line'));
      marked = true;
    }
    const shape = {
      first: !continues(previous, message),
      last: !messages[index + 1] || !continues(message, messages[index + 1]),
    };
    rows.push(messageRow(room, message, shape, context));
  });
  return rows;
}

function dayRow(at) {
  return line(`day ${dayOf(at)}`, dayTitle(at, Date.now()), 'day-line');
}

function line(key, text, kind) {
  return { key, version: text, make: () => el('li', { class: kind }, el('span', {}, text)) };
}

function continues(previous, message) {
  return (
    previous !== undefined &&
    previous.user === message.user &&
    dayOf(previous.at) === dayOf(message.at) &&
    new Date(message.at) - new Date(previous.at) < GROUP_MS
  );
}

function messageRow(room, message, { first, last }, context) {
  const { store, people, chat } = context;
  const own = message.user === store.me;
  const state = message.state ?? (own && !message.deleted_at ? status(room, message, store.me) : null);
  const name = people.name(message.user);
  const quote = message.reply_to && !message.deleted_at ? chat.quoted(room, message.reply_to) : undefined;
  const quoteName = !quote ? '' : quote.user === store.me ? 'You' : people.name(quote.user);
  const look = { own, state, first, last, name, quote, quoteName, direct: room.info.kind === 'direct' };
  return {
    key: keyOf(message),
    version: JSON.stringify([message.rev, message.error, own, state, first, last, name, quoteName, quote?.rev, quote === null]),
    make: () => messageNode(message, look, context),
  };
}

function messageNode(message, look, context) {
  const { own, first, last, name, direct } = look;
  const classes = ['message', own ? 'own' : 'other', first && 'first', last && 'last', direct && 'direct'];
  return el(
    'li',
    // Who writes knows what: a screen reader need not repeat it at every tick.
    { class: classes.filter(Boolean).join(' '), tabindex: '-1', 'aria-live': own ? 'off' : null, data: { key: keyOf(message), seq: message.seq ?? '' } },
    !own && !direct && first && personAvatar(message.user, context.people),
    el(
      'div',
      { class: `bubble${message.deleted_at ? ' deleted' : ''}` },
      authorNode(message, look),
      message.reply_to && !message.deleted_at && quoteNode(message, look, context),
      bodyNode(message, context.store.me),
      metaNode(message, look.state),
    ),
    message.reactions?.length > 0 && reactionsNode(message, context),
    look.state === 'failed' && failureNode(message, context),
  );
}

/** The author, shown only where that is not clear from the place, but always told to a screen reader. */
function authorNode({ user }, { own, first, name, direct }) {
  if (!own && !direct && first) return el('p', { class: `author ${hueOf(user)}` }, name);
  return el('p', { class: 'visually-hidden' }, own ? 'You' : name);
}

function bodyNode(message, me) {
  if (message.deleted_at) return el('span', { class: 'text' }, 'This message was deleted');
  const mentions = new Set(message.mentions);
  const part = ({ text, href }) => (href ? link(href, text) : mentionParts(text, mentions).map((piece) => mention(piece, me)));
  return el('span', { class: 'text' }, ...linkParts(message.text ?? '').flatMap(part));
}

function mention({ text, user }, me) {
  return user ? el('span', { class: `mention${user === me ? ' mine' : ''}` }, text) : text;
}

function link(href, text) {
  return el('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, text);
}

function metaNode(message, state) {
  return el(
    'span',
    { class: 'meta' },
    message.edited_at && !message.deleted_at && el('span', {}, 'edited'),
    el('time', { datetime: message.at, title: new Date(message.at).toLocaleString() }, clock(message.at)),
    state && el('span', { class: `status ${state}`, title: STATUS_WORDS[state] }, icon(STATUS_ICONS[state], STATUS_WORDS[state])),
  );
}

function quoteNode(message, { quote, quoteName }, { jumpTo }) {
  const text = quote === null || quote?.deleted_at ? 'Message deleted' : quote ? excerpt(quote.text ?? '', 90) : 'Loading…';
  return el(
    'button',
    { type: 'button', class: 'quote', onclick: () => jumpTo(message.reply_to) },
    quote && el('span', { class: `quote-name ${hueOf(quote.user)}` }, quoteName),
    el('span', { class: 'quote-text' }, text),
  );
}

function reactionsNode(message, { chat, attempt }) {
  const button = ({ emoji, count, mine }) =>
    el(
      'button',
      {
        type: 'button',
        class: 'reaction',
        'aria-pressed': String(Boolean(mine)),
        'aria-label': `${emoji}, ${count}`,
        onclick: () => attempt(chat.react(message, emoji)),
      },
      el('span', {}, emoji),
      el('span', { class: 'reaction-count' }, String(count)),
    );
  return el('div', { class: 'reactions' }, ...message.reactions.map(button));
}

function failureNode(message, { chat }) {
  return el(
    'div',
    { class: 'failure', role: 'alert' },
    el('span', {}, `Not sent: ${message.error}`),
    el('button', { type: 'button', class: 'button link', onclick: () => chat.retry(message.client_id) }, 'Try again'),
    el('button', { type: 'button', class: 'button link', onclick: () => chat.discard(message.client_id) }, 'Discard'),
  );
}
