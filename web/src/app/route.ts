// Where one is, as the part of the address behind the #. It is never sent to a server, so it works wherever the client is served.

import { useMemo, useSyncExternalStore } from "react";

/** A place in the client. */
export type Route =
  | { readonly page: "inbox" }
  | { readonly page: "live"; readonly room: string }
  | {
      readonly page: "room";
      readonly room: string;
      /** the message to go to */
      readonly message?: number;
      /** the root of the thread that is open */
      readonly thread?: number;
    };

/** Reads a place; what is none is the inbox. */
export function parseRoute(hash: string): Route {
  const [, page, room = "", part, number = ""] = hash.replace(/^#/, "").split("/");
  if ((page !== "r" && page !== "live") || !/^[\w-]+$/.test(room)) return { page: "inbox" };
  if (page === "live") return { page, room };
  const seq = /^[1-9]\d{0,15}$/.test(number) ? Number(number) : undefined;
  return { page: "room", room, ...(seq !== undefined && part === "m" && { message: seq }), ...(seq !== undefined && part === "t" && { thread: seq }) };
}

/** Writes a place. */
export function hashOf(route: Route): string {
  if (route.page === "inbox") return "#/";
  if (route.page === "live") return `#/live/${route.room}`;
  const { room, message, thread } = route;
  return `#/r/${room}${message !== undefined ? `/m/${message}` : thread !== undefined ? `/t/${thread}` : ""}`;
}

/** Goes to a place. */
export function go(route: Route): void {
  location.hash = hashOf(route);
}

const subscribe = (listener: () => void): (() => void) => {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
};

/** The place where one is. */
export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => parseRoute(hash), [hash]);
}
