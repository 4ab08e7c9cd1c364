import type { LinkState } from "@parley-im/client";
import { useConnection } from "@parley-im/react";
import { useRef, useSyncExternalStore, type ReactNode } from "react";

import { Button } from "../design/button.js";

/** What brings one back. */
export type Help = "sign in" | "here" | "reload";

/** Why the connection does not come back by itself, for people, and what the button to go on is called. */
export function ending({ code, message }: { code: string | number; message: string }): { text: string; action: string; then: Help } {
  switch (code) {
    case 4403:
      return { text: "You have been signed out of this device.", action: "Sign in again", then: "sign in" };
    case 4409:
      return { text: "This conversation list is open in another tab.", action: "Use it here", then: "here" };
    default:
      return { text: `The server and this page do not understand each other: ${message}`, action: "Reload", then: "reload" };
  }
}

const network = (listener: () => void): (() => void) => {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => {
    removeEventListener("online", listener);
    removeEventListener("offline", listener);
  };
};

/** Says, quietly, that there is no connection; aloud, that there will be none without help. */
export function Banner({ onHelp }: { onHelp(then: Help): void }): ReactNode {
  const state: LinkState = useConnection();
  const online = useSyncExternalStore(network, () => navigator.onLine);
  const connected = useRef(false);
  if (state.status === "live") connected.current = true;
  if (state.status === "ended" && state.reason) {
    const { text, action, then } = ending(state.reason);
    return <div className="banner final" role="status"><span>{text}</span><Button look="small" onClick={() => onHelp(then)}>{action}</Button></div>;
  }
  // A connection may take a minute to notice that the network is gone.
  const away = !online || state.status === "waiting" || (state.status === "connecting" && (connected.current || state.reason !== undefined));
  if (!away) return null;
  return <div className="banner" role="status"><span className="spinner small" aria-hidden="true" />{connected.current ? "Connection lost, reconnecting…" : "The server cannot be reached. Trying again…"}</div>;
}
