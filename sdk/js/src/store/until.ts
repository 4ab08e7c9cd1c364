import type { Observable } from "../observable.js";

/** Waits until an observable has a value that is so, which it looks for at once, and resolves with it. For programs and tests; a page subscribes. */
export function until<T>(observable: Observable<T>, is: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    const look = (): void => {
      const value = observable.get();
      if (!is(value)) return;
      leave();
      resolve(value);
    };
    const leave = observable.subscribe(look);
    look();
  });
}
