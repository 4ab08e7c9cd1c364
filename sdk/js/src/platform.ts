import type { Awareness, Platform } from "./link.js";

/** Fills up a platform with the globals of where the program runs. */
export function platformOf(given: Partial<Platform> = {}): Platform {
  return {
    WebSocket: globalThis.WebSocket,
    fetch: (input, init) => globalThis.fetch(input, init),
    now: Date.now,
    random: Math.random,
    after: (ms, call) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
    awareness: browser(),
    ...given,
  };
}

/** What the browser knows; outside of browsers there always is a network. */
function browser(): Awareness {
  const { document, addEventListener, removeEventListener } = globalThis as Partial<typeof globalThis>;
  return {
    online: () => globalThis.navigator?.onLine ?? true,
    subscribe: (listener) => {
      const shown = (): void => {
        if (document?.visibilityState === "visible") listener();
      };
      addEventListener?.("online", listener);
      addEventListener?.("offline", listener);
      document?.addEventListener("visibilitychange", shown);
      return () => {
        removeEventListener?.("online", listener);
        removeEventListener?.("offline", listener);
        document?.removeEventListener("visibilitychange", shown);
      };
    },
  };
}
