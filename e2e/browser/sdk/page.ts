// A page with nothing but the SDK in it. Its address says who uses it and how:
// ?url=SERVER&user=USER&room=ROOM, and share, transports=A,B.

import { browserStorage, openLink, Parley, shareLink } from "../../../sdk/js/src/index.js";
import type { Frame, Item, LinkOptions, TransportName } from "../../../sdk/js/src/index.js";

const query = new URLSearchParams(location.search);
const user = query.get("user") ?? "";
const shared = query.has("share");
const wanted = query.get("transports");

/** Every frame that the link has told, in order. */
const frames: Frame[] = [];

const open = (options: LinkOptions) => {
  const link = (shared ? shareLink : openLink)(options);
  link.onFrame((frame) => frames.push(frame));
  Object.assign(globalThis, { link });
  return link;
};

const token = async (): Promise<string> => {
  const response = await fetch(`/token?user=${user}`);
  if (!response.ok) throw new Error(`no token: ${response.status}`);
  return response.text();
};

const parley = new Parley({
  url: query.get("url") ?? "",
  token,
  open,
  storage: browserStorage(user),
  ...(shared && { device: "this-browser" }),
  ...(wanted && { transports: wanted.split(",") as TransportName[] }),
});
const room = parley.room(query.get("room") ?? "");
room.timeline.subscribe(() => {});
parley.start();

const textOf = (item: Item): string | null | undefined =>
  item.type === "message" ? item.message.text : item.type === "outgoing" ? item.outgoing.draft.text : "…";

/** What the tests use. */
Object.assign(globalThis, {
  parley,
  room,
  frames,
  /** The timeline as it would be shown: texts with what has become of them. */
  lines: () => room.timeline.get().items.map((item) => ({ text: textOf(item), status: item.type === "gap" ? undefined : item.status })),
  /** The numbers of the events of the room that the link has told. */
  seqs: () => frames.flatMap((frame) => ("seq" in frame && frame.room === room.id ? [frame.seq] : [])),
});
