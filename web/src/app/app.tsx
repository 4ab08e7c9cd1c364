import { ParleyProvider, useConnection } from "@parley-im/react";
import { useEffect, useState, type ReactNode } from "react";

import { EmojiProvider, emojiFrom } from "../conversation/emoji.js";
import { openAccount } from "./account.js";
import { Banner, type Help } from "./banner.js";
import { Host } from "./host.js";
import { keepIdentity, keptIdentity, newDevice, userOf, type Identity } from "./identity.js";
import { Notices } from "./notices.js";
import type { Settings } from "./settings.js";
import { Shell } from "./shell.js";
import { SignIn } from "./signin.js";

const emoji = emojiFrom(location.origin, () => localStorage);

/** The whole client: whoever is signed in, or the way to be. */
export function App({ settings }: { settings: Settings }): ReactNode {
  const [host] = useState(() => Host.of(window, settings.origins));
  const [account, setAccount] = useState(() => {
    const kept = host ? undefined : keptIdentity(sessionStorage);
    return kept && openAccount(kept, host);
  });
  const [problem, setProblem] = useState("");
  const [asking, setAsking] = useState(host !== undefined);
  const [before, setBefore] = useState(account); // of this page: only the first can take over what an earlier page has left to send
  useEffect(() => account?.client.start(), [account]);

  const enter = (identity: Identity, token?: string): void => {
    if (identity.by !== "host") keepIdentity(sessionStorage, identity);
    if (before) return location.reload();
    const account = openAccount(identity, host, token);
    setAccount(account);
    setBefore(account);
  };
  useEffect(() => {
    if (!host) return;
    host
      .token()
      .then((token) => enter({ by: "host", user: userOf(token) }, token))
      .catch((error: Error) => setProblem(error.message))
      .finally(() => setAsking(false));
  }, [host]);

  const leave = async (): Promise<void> => {
    keepIdentity(sessionStorage, undefined);
    await account?.leave();
    location.hash = "";
    location.reload(); // nothing of one user may be seen by the next
  };
  const help = (then: Help): void => {
    if (then === "sign in") return void leave();
    if (then === "here") newDevice(sessionStorage);
    location.reload();
  };
  const refused = (): void => {
    keepIdentity(sessionStorage, undefined);
    account?.client.stop();
    setAccount(undefined);
    setProblem("The server did not accept that token, or it has run out.");
  };
  if (asking) return <main className="waiting" aria-busy="true"><span className="spinner" aria-hidden="true" /></main>;
  if (!account) return <SignIn key={problem} dev={settings.dev} problem={problem} onSignedIn={enter} />;
  return (
    <ParleyProvider client={account.client}>
      <Notices>
        <Banner onHelp={help} />
        <Refused identity={account.identity} onRefused={refused} />
        <EmojiProvider value={emoji}><Shell onSignOut={() => void leave()} onRenamed={account.renamed} /></EmojiProvider>
      </Notices>
    </ParleyProvider>
  );
}

/** Goes back to signing in when the server does not take a token that cannot be renewed. */
function Refused({ identity, onRefused }: { identity: Identity; onRefused(): void }): ReactNode {
  const { status, reason } = useConnection();
  const refused = identity.by === "token" && status === "waiting" && (reason?.code === 4401 || reason?.code === "unauthenticated");
  useEffect(() => {
    if (refused) onRefused();
  }, [refused]);
  return null;
}
