export { openLink } from "./connection.js";
export { LinkEndedError, LinkLostError, ParleyError } from "./errors.js";
export type {
  Awareness, Callable, Frame, Link, LinkOptions, LinkReason, LinkState, LinkStatus, ParamsOf, Platform, ResultOf, TransportName, WebSocketConstructor,
  WebSocketLike,
} from "./link.js";
export { shareLink, type Tabs } from "./tabs.js";
export { Value, type Observable } from "./observable.js";
export type * from "./protocol.js";
export { bounds } from "./protocol.js";
export type { Room as RoomObject } from "./protocol.js";
export { Parley, type ParleyOptions } from "./store/client.js";
export type { Draft } from "./store/drafts.js";
export type { Inbox, InboxState } from "./store/inbox.js";
export type { Members, MembersState } from "./store/members.js";
export { OutboxError, type Outgoing } from "./store/outbox.js";
export type { Presences, Users } from "./store/people.js";
export type { Ticks } from "./store/receipts.js";
export type { Content, Room } from "./store/room.js";
export { browserStorage, memoryStorage, type Storage } from "./store/storage.js";
export type { Item, Loading, SentStatus, Timeline, TimelineState } from "./store/timeline.js";
export { until } from "./store/until.js";
export type { Gap } from "./store/window.js";
