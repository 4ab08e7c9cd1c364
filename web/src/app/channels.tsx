import type { RoomObject } from "@parley-im/client";
import { useParley, useRooms } from "@parley-im/react";
import { useEffect, useState, type ReactNode } from "react";

import { words } from "../conversation/problem.js";
import { Avatar } from "../design/avatar.js";
import { Button } from "../design/button.js";
import { Dialog } from "../design/dialog.js";
import { go } from "./route.js";

const pause = 200;

/** The dialog that finds channels and joins them. */
export function Channels({ onClose }: { onClose(): void }): ReactNode {
  const parley = useParley();
  const joined = new Set(useRooms().rooms.map((entry) => entry.room.id));
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<readonly RoomObject[]>();
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let over = false;
    const look = (): void => {
      parley.call("room.browse", { query: query.trim(), limit: 50 }).then(
        ({ rooms }) => {
          if (over) return;
          setFound(rooms);
          setProblem("");
        },
        (error: unknown) => over || setProblem(words(error)),
      );
    };
    const timer = setTimeout(look, query === "" ? 0 : pause);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [query, parley]);
  const enter = async (room: RoomObject): Promise<void> => {
    try {
      if (!joined.has(room.id)) await parley.call("room.join", { room: room.id });
      go({ page: "room", room: room.id });
      onClose();
    } catch (error) {
      setProblem(words(error));
    }
  };
  return (
    <Dialog title="Channels" onClose={onClose}>
      <input className="input" type="search" aria-label="Search channels" placeholder="Search channels" autoFocus={matchMedia("(hover: hover)").matches} value={query} onChange={(event) => setQuery(event.target.value)} />
      <p className="problem" role="alert">{problem}</p>
      {found?.length === 0 && <p className="hint">No channels found. You can start one with “New conversation”.</p>}
      <ul className="channel-list" role="list">
        {found?.map((room) => (
          <li key={room.id}>
            <Avatar id={room.id} name={room.name} kind="channel" />
            <div><strong>{room.name || "Channel"}</strong><p>{room.topic}</p></div>
            <Button look={joined.has(room.id) ? "small" : "small primary"} onClick={() => void enter(room)}>{joined.has(room.id) ? "Open" : "Join"}</Button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
