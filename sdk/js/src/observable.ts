/**
 * A value that changes, in the shape that React's useSyncExternalStore and its relatives in other frameworks take.
 * `get` returns the same object until the value changes; listeners are called after it has changed, in the order in which they came.
 */
export interface Observable<T> {
  /** The value now. */
  get(): T;
  /** Calls listener after every change, until the function that is returned is called. */
  subscribe(listener: () => void): () => void;
}

/** The writable end of an Observable: whoever made it sets it, everyone else is given it as an Observable. */
export class Value<T> implements Observable<T> {
  #value: T;
  readonly #listeners = new Set<{ call: () => void }>();

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  /** Changes the value and tells it. Setting what it is already does nothing. */
  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) {
      if (this.#listeners.has(listener)) listener.call();
    }
  }

  subscribe(listener: () => void): () => void {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }
}
