import type { Observable } from "@parley-im/client";
import { useEffect, useState } from "react";

/** Between two looks, in milliseconds: a text that stands still for as long can be read while others come in. */
const still = 200;

/**
 * The value of an observable that changes more often than anybody can see: looked at with a frame, and then not again for a moment. While the page is
 * hidden it is not looked at at all.
 */
export function useFrames<T>(observable: Observable<T>): T {
  const [value, setValue] = useState(() => observable.get());
  useEffect(() => {
    let frame = 0;
    let last = -still;
    const look = (now: number): void => {
      if (now - last < still) {
        frame = requestAnimationFrame(look);
        return;
      }
      last = now;
      frame = 0;
      setValue(observable.get());
    };
    const changed = (): void => {
      frame ||= requestAnimationFrame(look);
    };
    const end = observable.subscribe(changed);
    changed();
    return () => {
      end();
      cancelAnimationFrame(frame);
    };
  }, [observable]);
  return value;
}
