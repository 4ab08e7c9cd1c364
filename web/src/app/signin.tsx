import { useState, type FormEvent, type ReactNode } from "react";

import { Button } from "../design/button.js";
import { Mark } from "../design/mark.js";
import { NoNamesError, tokenByName, userIdOf, userOf, type Identity } from "./identity.js";

/** Somebody has said who they are; the token is the proof. */
export type SignedIn = (identity: Identity, token: string) => void;

/** Signing in: by name under development, otherwise with a token. `problem` says why one is back here. */
export function SignIn({ dev, problem, onSignedIn }: { dev: boolean; problem: string; onSignedIn: SignedIn }): ReactNode {
  const [byName, setByName] = useState(dev);
  return (
    <main className="signin">
      <div className="signin-card">
        <div className="signin-brand"><Mark /><div><h1>Parley</h1><p>Talk, and know it arrived.</p></div></div>
        {byName
          ? <ByName problem={problem} onSignedIn={onSignedIn} onNone={() => setByName(false)} />
          : <ByToken problem={problem} onSignedIn={onSignedIn} />}
        {dev && <Button look="plain" onClick={() => setByName(!byName)}>{byName ? "I have a token" : "Sign in by name"}</Button>}
      </div>
    </main>
  );
}

function ByName({ problem, onSignedIn, onNone }: { problem: string; onSignedIn: SignedIn; onNone(): void }): ReactNode {
  const [name, setName] = useState("");
  const user = userIdOf(name);
  const form = useForm(problem, async () => {
    if (!user) throw new Error("Use at least one letter from a to z, or a digit.");
    try {
      onSignedIn({ by: "name", user, name: name.trim() }, await tokenByName(user, name.trim()));
    } catch (error) {
      if (!(error instanceof NoNamesError)) throw error;
      onNone();
    }
  });
  return (
    <form onSubmit={form.submit}>
      <label className="signin-lead" htmlFor="name">What should people call you?</label>
      <input id="name" className="input" aria-label="Your name" required maxLength={60} autoComplete="off" autoFocus placeholder="Alice" value={name} onChange={(event) => setName(event.target.value)} />
      <p className="hint">{user ? `Others will find you as @${user}.` : "Open another tab to be somebody else."}</p>
      <p className="problem" role="alert">{form.problem}</p>
      <Button look="primary" type="submit" disabled={form.busy}>Start chatting</Button>
    </form>
  );
}

function ByToken({ problem, onSignedIn }: { problem: string; onSignedIn: SignedIn }): ReactNode {
  const [token, setToken] = useState("");
  const form = useForm(problem, async () => {
    const given = token.trim();
    onSignedIn({ by: "token", user: userOf(given), token: given }, given);
  });
  return (
    <form onSubmit={form.submit}>
      <label className="signin-lead" htmlFor="token">Paste a token to sign in</label>
      <textarea id="token" className="input" aria-label="Token" required rows={4} spellCheck={false} autoComplete="off" autoFocus value={token} onChange={(event) => setToken(event.target.value)} />
      <p className="hint">On the server’s machine, this prints one:</p>
      <pre tabIndex={0}><code>parley token --data DIR --user alice</code></pre>
      <p className="problem" role="alert">{form.problem}</p>
      <Button look="primary" type="submit" disabled={form.busy}>Sign in</Button>
    </form>
  );
}

function useForm(before: string, act: () => Promise<void>) {
  const [problem, setProblem] = useState(before);
  const [busy, setBusy] = useState(false);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    act()
      .catch((error: Error) => setProblem(error instanceof TypeError ? "The server cannot be reached. Try again in a moment." : error.message))
      .finally(() => setBusy(false));
  };
  return { problem, busy, submit };
}
