// Messages, and the loaded part of one room's history: its window.
//
// A window holds an unbroken run of messages that ends at the newest one. It is
// opened before the first page is asked for, so that what the stream brings in
// the meantime is in it; pages and events may then overlap in any order,
// because `seq` says which message it is and `rev` which copy is newer.
//
// Everything here is plain data and functions of it: no clock, no network.

const CHANGES = new Set(['message.edited', 'message.deleted', 'reaction.added', 'reaction.removed']);

/** Whether an event changes a message that exists already. */
export function isChange(frame) {
  return CHANGES.has(frame.event);
}

/** The message that a `message.created` event brings in. */
export function messageFromEvent(frame) {
  const { data } = frame;
  const message = {
    room: frame.room,
    seq: frame.seq,
    rev: frame.seq,
    n: data.n,
    user: frame.user,
    client_id: data.client_id,
    text: data.text ?? '',
    reply_to: data.reply_to,
    mentions: data.mentions,
    reactions: [],
    at: frame.at,
  };
  return isDeleted(frame) ? tombstone(message, frame.at) : message;
}

/**
 * The message as it stands after an event. An event that the copy already
 * contains (its seq is not above the copy's rev) changes nothing.
 */
export function changed(message, frame, me) {
  if (frame.seq <= message.rev) return message;
  const next = { ...message, rev: frame.seq };
  switch (frame.event) {
    case 'message.edited':
      if (isDeleted(frame)) return tombstone(next, frame.at);
      return { ...next, text: frame.data.text ?? '', edited_at: frame.at };
    case 'message.deleted':
      return tombstone(next, frame.at);
    case 'reaction.added':
      return { ...next, reactions: withReaction(message.reactions, frame.data.emoji, 1, frame.user === me) };
    case 'reaction.removed':
      return { ...next, reactions: withReaction(message.reactions, frame.data.emoji, -1, frame.user === me) };
    default:
      return message;
  }
}

/** An event that lost its content because its message was deleted later. */
function isDeleted(frame) {
  return Boolean(frame.deleted || frame.data.deleted);
}

function tombstone(message, at) {
  return { ...message, text: '', reactions: [], deleted_at: at };
}

function withReaction(reactions = [], emoji, step, mine) {
  const found = reactions.find((r) => r.emoji === emoji);
  if (!found) return step > 0 ? [...reactions, { emoji, count: 1, mine }] : reactions;
  return reactions
    .map((r) => (r === found ? { emoji, count: r.count + step, mine: mine ? step > 0 : r.mine } : r))
    .filter((r) => r.count > 0);
}

/** A window that knows nothing yet. */
export function newWindow() {
  return {
    messages: [], // ascending by seq
    more: true, // whether the server has older ones
    ready: false, // whether a first page is in
    loads: 0, // pages under way
    changes: [], // changes that came while pages were under way
    failed: false, // whether the last page could not be had
  };
}

/** The index of a message in the window, or where it would be inserted. */
function position(messages, seq) {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle].seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The message with this seq, or undefined where the window does not hold it. */
export function find(window, seq) {
  const message = window.messages[position(window.messages, seq)];
  return message?.seq === seq ? message : undefined;
}

/** Puts a message in its place; of two copies the one with the larger rev stays. */
export function insert(window, message) {
  const { messages } = window;
  const index = position(messages, message.seq);
  const held = messages[index];
  if (held?.seq !== message.seq) messages.splice(index, 0, message);
  else if (message.rev > held.rev) messages[index] = message;
}

/**
 * Applies a change to the message it speaks of. While a page is under way the
 * message may be in that page, as it stood before the change: so it is noted.
 */
export function applyChange(window, frame, me) {
  if (window.loads > 0) window.changes.push(frame);
  replaceTarget(window, frame, me);
}

function replaceTarget({ messages }, frame, me) {
  const index = position(messages, frame.data.target);
  if (messages[index]?.seq === frame.data.target) messages[index] = changed(messages[index], frame, me);
}

/** Says that a page has been asked for. */
export function beginPage(window) {
  window.loads++;
}

/** Takes in a page of `message.list`, or null where the call failed. */
export function endPage(window, page, me) {
  window.loads--;
  window.failed = page === null;
  if (page) {
    for (const message of page.messages) insert(window, message);
    window.more = page.more;
    window.ready = true;
    for (const frame of window.changes) replaceTarget(window, frame, me);
  }
  if (window.loads === 0) window.changes = [];
}

/** Forgets all but the newest messages: they can be loaded again. */
export function trim(window, keep) {
  if (window.messages.length <= keep || window.loads > 0) return;
  window.messages = window.messages.slice(-keep);
  window.more = true;
}
