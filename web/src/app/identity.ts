// Who this tab is. Under development each tab is somebody: their name lives in sessionStorage, so that another tab can be another user, and nothing
// outlives the tab. A token is never in a URL, and never in localStorage.

/** Who signed in, and how tokens for them are had. */
export type Identity =
  | {
      /** by a name, which a server in development mode signs tokens for */
      readonly by: "name";
      readonly user: string;
      readonly name: string;
    }
  | {
      /** with a token that was pasted, and cannot be renewed */
      readonly by: "token";
      readonly user: string;
      readonly token: string;
    }
  | {
      /** by the page that has opened or framed this one, which is asked again when a token nears its end */
      readonly by: "host";
      readonly user: string;
    };

const key = "parley.identity";
const deviceKey = "parley.device";

/** The server does not hand out tokens by name. */
export class NoNamesError extends Error {
  override readonly name = "NoNamesError";
}

/** What was kept of an earlier page in this tab. What a host has handed over is not: it is asked anew. */
export function keptIdentity(storage: Storage): Identity | undefined {
  const kept = storage.getItem(key);
  return kept === null ? undefined : (JSON.parse(kept) as Identity);
}

/** Keeps an identity for the next page in this tab; undefined keeps none. */
export function keepIdentity(storage: Storage, identity: Identity | undefined): void {
  if (identity) storage.setItem(key, JSON.stringify(identity));
  else storage.removeItem(key);
}

/** The device that a storage stands for: this tab, or with localStorage this browser. */
export function deviceOf(storage: Storage): string {
  return storage.getItem(deviceKey) ?? newDevice(storage);
}

/** Makes it another device: a duplicated tab begins with its twin's. */
export function newDevice(storage: Storage): string {
  const device = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  storage.setItem(deviceKey, device);
  return device;
}

/** A user id made of a name: letters, digits and dots of it, or "" where there are none. */
export function userIdOf(name: string): string {
  const plain = name.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").trim().toLowerCase();
  return plain.replace(/\s+/g, ".").replace(/[^a-z0-9_\-.:@]/g, "").slice(0, 128);
}

/** Asks a server in development mode for a token. Throws a NoNamesError where it is not in that mode, an Error for people where it refuses. */
export async function tokenByName(user: string, name: string): Promise<string> {
  const response = await fetch("/dev/token", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user, name }) });
  if (response.status === 404) throw new NoNamesError();
  const answer = (await response.json().catch(() => ({}))) as { token?: string; error?: { message?: string } };
  if (!response.ok || !answer.token) throw new Error(answer.error?.message ?? `The server answered ${response.status}.`);
  return answer.token;
}

/** The user of a token, as far as it says: the server decides. Throws an Error for people if it is no token. */
export function userOf(token: string): string {
  try {
    const [, claims = ""] = token.split(".");
    const bytes = Uint8Array.from(atob(claims.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
    if (typeof sub === "string" && sub) return sub;
  } catch {
    // told below
  }
  throw new Error("That is no token. Copy all of it, with its two dots.");
}
