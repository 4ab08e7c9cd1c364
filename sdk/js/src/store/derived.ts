import { Value } from "../observable.js";
import type { Observable } from "../observable.js";

/**
 * A value that is worked out when it is asked for: a burst of changes costs one computation. It may tell of a change that turns out to be none;
 * `get` then returns the object that it returned before.
 */
export class Derived<T> implements Observable<T> {
  readonly #version = new Value(0);
  readonly #compute: () => T;
  readonly #watched: (() => () => void) | undefined;
  #value: T;
  #fresh = true;
  #listeners = 0;
  #unwatched: (() => void) | undefined;

  /** `compute` makes the value after a change. `watched` is called when the first listener comes, and what it returns when the last has gone. */
  constructor(value: T, compute: () => T, watched?: () => () => void) {
    this.#value = value;
    this.#compute = compute;
    this.#watched = watched;
  }

  get(): T {
    if (!this.#fresh) {
      this.#fresh = true;
      this.#value = this.#compute();
    }
    return this.#value;
  }

  /** What the value is made of has changed. */
  invalidate(): void {
    this.#fresh = false;
    this.#version.set(this.#version.get() + 1);
  }

  subscribe(listener: () => void): () => void {
    let listening = true;
    const unsubscribe = this.#version.subscribe(listener);
    if (this.#listeners++ === 0) this.#unwatched = this.#watched?.();
    return () => {
      unsubscribe();
      if (listening && --this.#listeners === 0) this.#unwatched?.();
      listening = false;
    };
  }
}
