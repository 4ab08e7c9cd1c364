import type { Platform } from "../link.js";

/** A clock that stands still until it is moved: time for a link and a fake server without waiting. */
export class TestClock implements Pick<Platform, "now" | "random" | "after"> {
  #now: number;
  #timers: { at: number; call: () => void }[] = [];

  /** What random answers: no jitter at 0, all but the most at 0.999. */
  chance = 0.5;

  constructor(now: number = Date.UTC(2026, 4, 1, 12)) {
    this.#now = now;
  }

  readonly now = (): number => this.#now;

  readonly random = (): number => this.chance;

  readonly after = (ms: number, call: () => void): (() => void) => {
    const timer = { at: this.#now + Math.max(0, ms), call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Moves the clock on by so many milliseconds, timer by timer, and lets all that follows from each happen first. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const next = this.#timers.reduce<{ at: number; call: () => void } | undefined>((a, b) => (a && a.at <= b.at ? a : b), undefined);
      if (!next || next.at > end) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.call();
    }
    this.#now = end;
    await settle();
  }
}

/** Waits until everything that promises have under way in memory has happened: what waits for a timer or for the network has not. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
}
