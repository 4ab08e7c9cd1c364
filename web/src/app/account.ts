// A signed-in user: the client for them, and how they got here.

import { browserStorage, Parley, shareLink, type Storage as ParleyStorage } from "@parley-im/client";

import type { Host } from "./host.js";
import { deviceOf, keepIdentity, tokenByName, userOf, type Identity } from "./identity.js";

/** Somebody who is signed in. */
export interface Account {
  readonly identity: Identity;
  readonly client: Parley;
  /** The user has another name from now on: tokens by name carry it. */
  renamed(name: string): void;
  /** Forgets what this browser has kept of them, and disconnects. */
  leave(): Promise<void>;
}

/** Makes the client of somebody. `first` is a token that is there already: the host's, or undefined. */
export function openAccount(identity: Identity, host: Host | undefined, first?: string): Account {
  const storage = browserStorage(identity.user);
  let ready = first;
  let called = identity.by === "name" ? identity.name : "";
  const token = async (): Promise<string> => {
    const given = ready;
    ready = undefined;
    if (given !== undefined) return given;
    switch (identity.by) {
      case "name":
        return tokenByName(identity.user, called);
      case "token":
        return identity.token;
      case "host":
        return sameUser(await host!.token(), identity.user);
    }
  };
  // Under development each tab is a device of its own. Elsewhere a browser is one device of its user, whose tabs share one connection.
  const shared = identity.by === "host";
  const client = new Parley({
    url: location.origin, token, storage, client: "parley-web", timelineMessages: 1000,
    device: deviceOf(shared ? localStorage : sessionStorage), ...(shared ? { open: shareLink } : {}),
  });
  return {
    identity,
    client,
    renamed(name) {
      if (identity.by !== "name") return;
      called = name;
      keepIdentity(sessionStorage, { ...identity, name });
    },
    async leave() {
      client.stop();
      await forget(storage);
    },
  };
}

/** A host whose user has changed hands over another user's token: the page must begin anew, as that user. */
function sameUser(token: string, user: string): string {
  if (userOf(token) !== user) location.reload();
  return token;
}

async function forget(storage: ParleyStorage): Promise<void> {
  for (const [key] of await storage.list("")) await storage.delete(key);
}
