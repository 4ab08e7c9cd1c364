// Text of messages: finding links and mentions, and short forms.

const LINK = /https?:\/\/[^\s<>"'`]+/gi;
const TRAILING = /[.,;:!?…]+$/;
/** An @ that begins a word, and as much after it as may be a user id. */
const MENTION = /(?<![\w@.:/-])@([\w.:@-]+)/g;

/**
 * Cuts a text into parts {text, href?}. Only http and https are links; a full
 * stop or an unmatched bracket at the end belongs to the sentence around it.
 */
export function linkParts(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const link = trimLink(found);
    if (!URL.canParse(link)) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    parts.push({ text: link, href: link });
    end = index + link.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

function trimLink(found) {
  let link = found.replace(TRAILING, '');
  while (/[)\]]$/.test(link) && !closes(link)) link = link.slice(0, -1).replace(TRAILING, '');
  return link;
}

/** Whether the bracket at the end was opened within the link. */
function closes(link) {
  const [open, close] = link.endsWith(')') ? ['(', ')'] : ['[', ']'];
  return link.split(open).length >= link.split(close).length;
}

/**
 * Cuts a text into parts {text, user?}, those with a user being “@id” for one of
 * the ids that `known.has` tells. A full stop at the end of an id ends a sentence.
 */
export function mentionParts(text, known) {
  const parts = [];
  let end = 0;
  for (const { 1: found, index } of text.matchAll(MENTION)) {
    const user = [found, found.replace(TRAILING, '')].find((id) => known.has(id));
    if (!user) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    end = index + 1 + user.length;
    parts.push({ text: text.slice(index, end), user });
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** The users that a text names with “@id”, once each. `members` is a map or a set of ids, or null. */
export function mentionsIn(text, members) {
  if (!members) return [];
  return [...new Set(mentionParts(text, members).flatMap(({ user }) => user ?? []))];
}

/** One line of at most `length` characters. */
export function excerpt(text, length = 120) {
  const line = text.replace(/\s+/g, ' ').trim();
  const characters = [...line.slice(0, 2 * length + 2)];
  return characters.length > length ? `${characters.slice(0, length - 1).join('')}…` : line;
}

/** One or two letters that stand for a name. */
export function initials(name) {
  const words = name.split(/[\s._\-:@]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => [...word][0].toUpperCase()).join('') || '?';
}

/** A number from 0 to count - 1 that is always the same for the same text. */
export function hash(text, count) {
  let sum = 0;
  for (const character of text) sum = (sum * 31 + character.codePointAt(0)) >>> 0;
  return sum % count;
}
