// Times in words, in the reader's zone and language.

const day = 86_400_000;

/** The day that a time belongs to, as something to compare. */
export function dayOf(at: string | number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** The time of day. */
export function clock(at: string | number): string {
  return new Date(at).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

/** The whole time, for who wants to know it exactly. */
export function exactly(at: string | number): string {
  return new Date(at).toLocaleString([], { dateStyle: "full", timeStyle: "short" });
}

/** The title of a day in a conversation. */
export function dayTitle(at: string | number, now: number): string {
  const ago = daysAgo(at, now);
  if (ago === 0) return "Today";
  if (ago === 1) return "Yesterday";
  const date = new Date(at);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long", ...(sameYear ? {} : { year: "numeric" }) });
}

/** The shortest form, for lists. */
export function shortTime(at: string | number, now: number): string {
  const ago = daysAgo(at, now);
  if (ago <= 0) return clock(at);
  const date = new Date(at);
  if (ago < 7) return date.toLocaleDateString([], { weekday: "short" });
  return date.toLocaleDateString([], { day: "numeric", month: "short" });
}

/** How long ago somebody was seen last. */
export function lastSeen(at: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(at)) / 60_000);
  if (minutes < 1) return "Last seen just now";
  if (minutes < 60) return `Last seen ${minutes} min ago`;
  const ago = daysAgo(at, now);
  if (ago === 0) return `Last seen at ${clock(at)}`;
  if (ago === 1) return `Last seen yesterday at ${clock(at)}`;
  return `Last seen on ${shortTime(at, now)}`;
}

/** Calendar days between a time and now; days with a change of clocks count as one, too. */
function daysAgo(at: string | number, now: number): number {
  const midnight = (time: string | number): number => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(at)) / day);
}
