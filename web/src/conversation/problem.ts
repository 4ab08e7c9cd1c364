// Errors in words, for people.

import { LinkEndedError, LinkLostError, OutboxError, ParleyError } from "@parley-im/client";

import { shortTime } from "./times.js";

/** What went wrong, as a sentence. The server's own words are for developers, but better than none. */
export function words(error: unknown): string {
  if (error instanceof LinkLostError || error instanceof LinkEndedError) return "There is no connection right now. Try again in a moment.";
  if (error instanceof OutboxError) return error.message;
  if (!(error instanceof ParleyError)) return "Something went wrong in this page. Reload it and try again.";
  switch (error.code) {
    case "rate_limited":
      return `That was too fast. Try again ${inTime(error.retryAfterMs ?? 0)}.`;
    case "unavailable":
      return "The server is busy. Try again in a moment.";
    case "internal":
      return "Something went wrong on the server. Try again in a moment.";
    case "too_large":
      return "That is too long. Make it shorter.";
    case "not_found":
      if (error.field === "members" || error.field === "users") return "There is no such user yet. People exist here from their first sign-in.";
      return local(error.message);
    default:
      return local(error.message);
  }
}

/** The server tells times in UTC. */
function local(message: string): string {
  return message.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (at) => shortTime(at, Date.now()));
}

function inTime(ms: number): string {
  if (ms >= 60_000) return `in ${Math.ceil(ms / 60_000)} min`;
  return ms > 1000 ? `in ${Math.ceil(ms / 1000)} seconds` : "in a moment";
}
