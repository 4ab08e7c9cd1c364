// What is inside an element.

import type { LinkState, Parley } from "@parley-im/client";
import { ParleyProvider, useConnection, useObservable, useParley, useRoom, useRooms } from "@parley-im/react";
import { Component, useState, type ReactNode } from "react";

import { Conversation } from "../conversation/conversation.js";
import { EmojiProvider, type EmojiSource } from "../conversation/emoji.js";
import { words } from "../conversation/problem.js";
import { Button } from "../design/button.js";
import { Live } from "../live/live.js";

/** What an element shows. */
export interface View {
  readonly kind: "chat" | "live";
  readonly room: string;
  readonly theme: "light" | "dark" | undefined;
  /** what is missing before anything can be shown, for whoever makes the page */
  readonly missing: string | undefined;
  readonly client: Parley | undefined;
  /** the same for as long as the server is */
  readonly emoji: EmojiSource | undefined;
}

/** The inside of an element, whatever goes wrong in it. */
export function Inside({ view: { kind, room, theme, missing, client, emoji } }: { view: View }): ReactNode {
  return (
    <div className="widget parley" data-theme={theme}>
      {!client
        ? <div className="widget-note"><p role="status">{missing}</p></div>
        : (
          <Fence key={`${kind} ${room}`}>
            <ParleyProvider client={client}>
              <Connection />
              <EmojiProvider value={emoji}><div className="widget-room">{kind === "live" ? <Live room={room} bare /> : <Chat room={room} />}</div></EmojiProvider>
            </ParleyProvider>
          </Fence>
        )}
    </div>
  );
}

/** A conversation; a channel that one is not in is joined first. */
function Chat({ room }: { room: string }): ReactNode {
  const parley = useParley();
  const entry = useRoom(room);
  const { ready } = useRooms();
  const about = useObservable(parley.room(room).about);
  const [thread, setThread] = useState<number>();
  const [problem, setProblem] = useState("");
  if (entry || !ready || about?.kind !== "channel") return <Conversation room={room} focus={false} thread={thread} onThread={setThread} />;
  return (
    <div className="widget-note">
      <h2>{about.name}</h2>
      {about.topic && <p>{about.topic}</p>}
      <Button look="primary" onClick={() => void parley.call("room.join", { room }).catch((error: unknown) => setProblem(words(error)))}>Join the conversation</Button>
      <p className="problem" role="alert">{problem}</p>
    </div>
  );
}

/** Says that there is no connection, and why, where that can be mended. */
function Connection(): ReactNode {
  const parley = useParley();
  const state = useConnection();
  const text = trouble(state);
  if (text === undefined) return null;
  return (
    <div className="widget-banner" role="status">
      <span>{text}</span>
      {state.status === "ended" && <Button look="plain" onClick={() => parley.start()}>Connect again</Button>}
    </div>
  );
}

/** What is wrong with a connection, in words; undefined while nothing is. */
export function trouble({ status, reason }: LinkState): string | undefined {
  if (status === "ended") return reason?.code === 4403 ? "You have been signed out here." : `The connection has ended: ${reason?.message ?? ""}`;
  if (status !== "waiting" && !(status === "connecting" && reason)) return undefined;
  switch (reason?.code) {
    case "token":
      return `There is no token for this page’s user: ${reason.message}`;
    case 4401:
    case "unauthenticated":
      return "The server does not accept this page’s token.";
    case "unreachable":
      return "The server cannot be reached, or does not allow this page to. Trying again…";
    default:
      return "Connection lost, reconnecting…";
  }
}

/** Keeps what goes wrong in an element within it. */
class Fence extends Component<{ children: ReactNode }, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError(): { broken: boolean } {
    return { broken: true };
  }

  override render(): ReactNode {
    if (!this.state.broken) return this.props.children;
    return (
      <div className="widget-note" role="alert">
        <p>Something went wrong here.</p>
        <Button onClick={() => this.setState({ broken: false })}>Show it again</Button>
      </div>
    );
  }
}
