// How long one has to wait before the next comment.

import type { Item } from "@parley-im/client";
import { useEffect, useState } from "react";

/** Now, in milliseconds since 1970, looked at each second until a time has come. */
export function useClock(until: number | undefined): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    setNow(Date.now());
    if (until === undefined || until <= Date.now()) return;
    const timer = setInterval(() => {
      setNow(Date.now());
      if (until <= Date.now()) clearInterval(timer);
    }, 1000);
    return () => clearInterval(timer);
  }, [until]);
  return now;
}

/** When one may comment again, in milliseconds since 1970: `slow` seconds after the last comment that was sent here, and not before what the server lets wait. */
export function waitUntil(items: readonly Item[], sentAt: number | undefined, slow: number): number {
  const told = items.map((item) => (item.type === "outgoing" && item.status === "pending" ? (item.outgoing.retryAt ?? 0) : 0));
  return Math.max(0, sentAt !== undefined && slow > 0 ? sentAt + slow * 1000 : 0, ...told.slice(-10));
}
