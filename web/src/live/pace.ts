// How fast a room runs. Pure.

/** A look at a room: when, and how many comments it had had by then. */
export interface Look {
  readonly at: number;
  readonly n: number;
}

/** The time that counts, in milliseconds. */
const lately = 3000;
/** So many comments in that time are more than one reads by the way. */
const many = 6;

/** The looks that count, with a new one. */
export function looked(looks: readonly Look[], now: Look): readonly Look[] {
  return [...looks.filter((look) => now.at - look.at <= lately).slice(-20), now];
}

/** Whether comments come so fast that one cannot read them unless they are held. */
export function busy(looks: readonly Look[]): boolean {
  const [first, last] = [looks[0], looks.at(-1)];
  return first !== undefined && last!.n - first.n >= many;
}

/** Seconds left until a time, in full: 0 from then on. */
export function secondsUntil(at: number, now: number): number {
  return Math.max(0, Math.ceil((at - now) / 1000));
}
