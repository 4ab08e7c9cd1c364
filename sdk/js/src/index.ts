export { openLink } from "./connection.js";
export { LinkEndedError, LinkLostError, ParleyError } from "./errors.js";
export type {
  Awareness, Callable, Frame, Link, LinkOptions, LinkReason, LinkState, LinkStatus, ParamsOf, Platform, ResultOf, TransportName, WebSocketConstructor,
  WebSocketLike,
} from "./link.js";
export { Value, type Observable } from "./observable.js";
export type * from "./protocol.js";
