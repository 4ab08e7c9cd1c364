import type { Link, Platform } from "../link.js";
import { Value } from "../observable.js";
import type { TypingData } from "../protocol.js";

/** A start repeated within this time is not sent: the server would not pass it on. */
const again = 3000;
/** Without another key the user has stopped. */
const idle = 5000;

/** Who types in one room: the others, and the user. */
export class Typing {
  readonly #room: string;
  readonly #link: Link;
  readonly #platform: Pick<Platform, "now" | "after">;
  readonly #ends = new Map<string, () => void>();
  #told = -Infinity;
  #idle: (() => void) | undefined;

  /** The others who type now, in the order in which they began. */
  readonly users = new Value<readonly string[]>([]);

  constructor(room: string, link: Link, platform: Pick<Platform, "now" | "after">) {
    this.#room = room;
    this.#link = link;
    this.#platform = platform;
  }

  /** The user has pressed a key. */
  start(): void {
    this.#idle?.();
    this.#idle = this.#platform.after(idle, () => this.stop());
    if (this.#platform.now() - this.#told >= again) {
      this.#told = this.#platform.now();
      this.#tell("typing.start");
    }
  }

  /** The user has sent, or given up. */
  stop(): void {
    if (!this.#idle) return;
    this.#idle();
    this.#idle = undefined;
    this.#told = -Infinity;
    this.#tell("typing.stop");
  }

  /** Takes a `typing` signal. */
  take(user: string, { active, expires_ms }: TypingData): void {
    this.#ends.get(user)?.();
    if (active) this.#ends.set(user, this.#platform.after(expires_ms, () => this.ended(user)));
    else this.#ends.delete(user);
    const others = this.users.get();
    if (others.includes(user) !== active) this.users.set(active ? [...others, user] : others.filter((u) => u !== user));
  }

  /** A user types no more: they have said something, or nobody knows. */
  ended(user: string): void {
    this.take(user, { active: false, expires_ms: 0 });
  }

  /** Nobody is known to type: a session has ended. */
  clear(): void {
    for (const user of this.users.get()) this.ended(user);
  }

  /** Best effort: what is not told now is not told. */
  #tell(method: "typing.start" | "typing.stop"): void {
    if (this.#link.session.get()) this.#link.call(method, { room: this.#room }).catch(() => {});
  }
}
