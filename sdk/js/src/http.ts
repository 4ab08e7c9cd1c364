import type { Ending } from "./ending.js";
import { LinkLostError, ParleyError } from "./errors.js";
import type { Platform } from "./link.js";
import type { ErrorBody } from "./protocol.js";

/** A request that failed on the way, or was answered by something that is no Parley server, such as a proxy. */
export class Unreachable extends Error {}

/** Reads the refusal in an answer that is not 200. */
export async function refusal(response: Response): Promise<ParleyError | Unreachable> {
  const body = (await response.json().catch(() => undefined)) as { error?: ErrorBody } | undefined;
  // A 404 for the address itself comes from a server, or a proxy, that does not know this transport.
  if (typeof body?.error?.code !== "string") return new Unreachable(`The server answered ${response.status}.`);
  return new ParleyError(body.error);
}

/** The ending that an error means for a session which it kept from opening, or broke off. */
export function endingOf(error: unknown, open: boolean): Ending {
  // Only what says hello can be at fault for good; an open session that a server does not know any more is lost.
  if (error instanceof ParleyError && (!open || error.code === "unauthenticated" || error.code === "unavailable")) {
    return { code: error.code, message: error.message, ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: open ? "lost" : "unreachable", message };
}

/** Makes a POST request with a JSON body and reads the JSON answer. */
export async function post(
  platform: Platform, url: URL, token: string, body: string, options: { session?: string | undefined; signal?: AbortSignal | undefined },
): Promise<unknown> {
  const headers: Record<string, string> = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  if (options.session !== undefined) headers["Parley-Session"] = options.session;
  const response = await platform.fetch(url, { method: "POST", headers, body, cache: "no-store", signal: options.signal ?? null });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** What a call over HTTP failed with, as a session tells it: a session that is gone has not decided the call, and neither has the network. */
export function callError(error: unknown): Error {
  const decided = error instanceof ParleyError && !(error.code === "not_found" && error.field === "session");
  return decided ? error : new LinkLostError();
}
