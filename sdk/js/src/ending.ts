import { closes, type ErrorCode } from "./protocol.js";

/**
 * How a session, or an attempt to open one, came to its end: a close code of the server, the code of the error that hello was refused with,
 * or what went wrong on the way: `token` (the provider failed), `unreachable` (no session was opened), `lost` (it broke off), `silent` (nothing was heard).
 */
export interface Ending {
  code: number | ErrorCode | "token" | "unreachable" | "lost" | "silent";
  /** for people */
  message: string;
  /** come back no sooner; milliseconds */
  retryAfterMs?: number;
}

/** What follows an ending: no other attempt, one with a new token, or one after a pause. */
export type Verdict = "stop" | "token" | "again";

const verdicts: Record<(typeof closes)[keyof typeof closes]["reconnect"], Verdict> = {
  "no": "stop",
  "with a new token": "token",
  "as the client likes": "again",
  "yes, with backoff": "again",
};

/** Judges an ending: close codes by the protocol's own table, codes that are not in it as a connection that was lost. */
export function judge(ending: Ending): Verdict {
  const { code } = ending;
  if (typeof code === "number") return code in closes ? verdicts[closes[code as keyof typeof closes].reconnect] : "again";
  switch (code) {
    case "unauthenticated":
      return "token";
    case "bad_request":
    case "forbidden":
    case "not_found":
    case "conflict":
    case "too_large":
      return "stop"; // the hello itself is at fault, and the next would be the same
    default:
      return "again";
  }
}

/** Tells an ending of the way to the server from one that the server has decided: after the former another transport may do better. */
export function isMiss(ending: Ending): boolean {
  return ending.code === "unreachable" || ending.code === "silent" || ending.code === "lost";
}
