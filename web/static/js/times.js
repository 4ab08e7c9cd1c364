// Times in words, in the reader's zone and language.

const CLOCK = { hour: 'numeric', minute: '2-digit' };

/** The day that a time belongs to, as something to compare. */
export function dayOf(at) {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

export function clock(at) {
  return new Date(at).toLocaleTimeString([], CLOCK);
}

/** The title of a day in a conversation. */
export function dayTitle(at, now) {
  const ago = daysAgo(at, now);
  if (ago === 0) return 'Today';
  if (ago === 1) return 'Yesterday';
  const date = new Date(at);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return date.toLocaleDateString([], {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    year: sameYear ? undefined : 'numeric',
  });
}

/** The shortest form, for the list of rooms. */
export function shortTime(at, now) {
  const ago = daysAgo(at, now);
  if (ago <= 0) return clock(at);
  const date = new Date(at);
  if (ago < 7) return date.toLocaleDateString([], { weekday: 'short' });
  return date.toLocaleDateString([], { day: 'numeric', month: 'short' });
}

/** Calendar days between a time and now; days with a change of clocks count as one, too. */
function daysAgo(at, now) {
  const midnight = (time) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(at)) / 86_400_000);
}
