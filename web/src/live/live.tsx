// A live room: what is shown, and the comments beside or under it. It needs a ParleyProvider above it, and knows nothing of the program around it.

import type { RoomObject } from "@parley-im/client";
import { useAudience, useObservable, useParley } from "@parley-im/react";
import { useState, type ReactNode } from "react";

import { Icon } from "../design/icon.js";
import { Burst } from "./burst.js";
import { Comments } from "./comments.js";
import { Screen } from "./screen.js";

/** What a live room is made with. */
export interface LiveProps {
  /** the id of the room */
  readonly room: string;
  /** comments alone, below what the page around shows */
  readonly bare?: boolean;
  /** what stands before the title, such as a way back */
  readonly leading?: ReactNode;
  /** what stands at the end of the title's line */
  readonly actions?: ReactNode;
}

/** One live room, as a whole. Shows nothing until it is known that there is one. */
export function Live(props: LiveProps): ReactNode {
  const about = useObservable(useParley().room(props.room).about);
  if (about === undefined) return <div className="live" aria-busy="true" />;
  if (about === null) return <div className="live empty"><h2>Nothing here</h2><p>There is no such live room, or you may not see it.</p></div>;
  return <Known key={about.id} about={about} {...props} />;
}

function Known({ about, bare = false, leading, actions }: LiveProps & { about: RoomObject }): ReactNode {
  const [sparks, setSparks] = useState<readonly string[]>([]);
  return (
    <div className="live">
      <div className="live-parts">
        {!bare && <Screen title={about.name} />}
        <div className={bare ? "live-side bare" : "live-side"}>
          <header className="bar">
            {leading}
            <div className="bar-title"><h2>{about.name || "Live"}</h2>{about.topic && <p>{about.topic}</p>}</div>
            <Audience room={about.id} />
            {actions}
          </header>
          <Comments about={about} onSparks={setSparks} />
          <Burst emoji={sparks} />
        </div>
      </div>
    </div>
  );
}

/** How many watch, once that is known. */
function Audience({ room }: { room: string }): ReactNode {
  const watching = useAudience(room);
  return (
    <p className="audience">
      <span className="live-badge">Live</span>
      {watching !== undefined && <span className="audience-count" title="Watching now"><Icon name="eye" label="Watching" small />{watching.toLocaleString()}</span>}
    </p>
  );
}
