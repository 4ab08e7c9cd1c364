/** Bounds of the pauses between attempts, in milliseconds. */
export const pauses = {
  /** the longest pause before the first attempt after a session that broke off */
  first: 3_000,
  /** the longest pause before the next one, doubled with each that follows */
  base: 500,
  /** the longest pause of all */
  cap: 30_000,
  /** a session that lasted so long makes the next attempt a first one */
  stable: 60_000,
} as const;

/**
 * Draws the pause before an attempt, in milliseconds. `attempt` counts those since the last stable session, from 0. Every pause is jittered in full, so
 * that clients that were cut off together do not come back together; `random` is from 0 up to but not 1.
 */
export function pause(attempt: number, random: () => number): number {
  const most = attempt === 0 ? pauses.first : Math.min(pauses.cap, pauses.base * 2 ** Math.min(attempt - 1, 16));
  return Math.floor(random() * most);
}
