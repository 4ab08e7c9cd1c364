import type { Session } from "@parley-im/client";
import { useParley, usePresence, useUser } from "@parley-im/react";
import { useEffect, useState, type FormEvent, type ReactNode } from "react";

import { words } from "../conversation/problem.js";
import { shortTime } from "../conversation/times.js";
import { Avatar } from "../design/avatar.js";
import { Button } from "../design/button.js";
import { Choices } from "../design/choices.js";
import { Dialog } from "../design/dialog.js";
import { Field } from "./new-conversation.js";
import { useNotify } from "./notices.js";
import { chooseTheme, chosenTheme, type Theme } from "./theme.js";

const statuses = { online: "Online", away: "Away", invisible: "Invisible" } as const;
const themes = { system: "As the system", light: "Light", dark: "Dark" } as const;

/** The user's own side: name, status, how the client looks, where they are signed in. `onRenamed` is told a new name. */
export function Profile({ me, onRenamed, onClose }: { me: string; onRenamed(name: string): void; onClose(): void }): ReactNode {
  const parley = useParley();
  const user = useUser(me);
  const presence = usePresence(me);
  const notify = useNotify();
  const [name, setName] = useState(user?.name ?? "");
  const [theme, setTheme] = useState(chosenTheme);
  const [problem, setProblem] = useState("");
  const save = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      const user = await parley.users.update({ name: name.trim() });
      onRenamed(user.name);
      notify("Your name was changed.");
      setProblem("");
    } catch (error) {
      setProblem(words(error));
    }
  };
  return (
    <Dialog title="You" onClose={onClose}>
      <div className="profile-head">
        <Avatar id={me} name={user?.name || me} size="large" />
        <div><strong>{user?.name || me}</strong><p className="handle">@{me}</p></div>
      </div>
      <form className="form with-button" onSubmit={(event) => void save(event)}>
        <Field label="Name" value={name} onChange={setName} maxLength={200} />
        <Button type="submit" disabled={name.trim() === "" || name.trim() === user?.name}>Save</Button>
      </form>
      <p className="problem" role="alert">{problem}</p>
      <Choices
        label="Others see you as" options={statuses} value={presence === undefined ? undefined : presence.status === "offline" ? "invisible" : presence.status}
        onChoose={(status) => void parley.setStatus(status).catch((error: unknown) => setProblem(words(error)))}
      />
      <Choices label="Appearance" options={themes} value={theme} onChoose={(theme: Theme) => {
        chooseTheme(theme);
        setTheme(theme);
      }} />
      <Sessions />
    </Dialog>
  );
}

/** Where the user is signed in. */
function Sessions(): ReactNode {
  const parley = useParley();
  const [sessions, setSessions] = useState<readonly Session[]>([]);
  const load = (): void => void parley.call("session.list", {}).then(({ sessions }) => setSessions(sessions), () => {});
  useEffect(load, [parley]);
  const end = (session: string): void => void parley.call("session.revoke", { session }).then(load, load);
  return (
    <section>
      <h3 className="label">Signed in</h3>
      <ul className="session-list" role="list">
        {sessions.map(({ session, client, created_at, current }) => (
          <li key={session}>
            <span>{client || "Unnamed client"}{current && " (here)"}</span>
            <span className="handle">since {shortTime(created_at, Date.now())}</span>
            {!current && <Button look="plain danger" onClick={() => end(session)}>Sign out</Button>}
          </li>
        ))}
      </ul>
    </section>
  );
}
