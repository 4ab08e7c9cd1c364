import type { ErrorBody, ErrorCode, Scope } from "./protocol.js";

/** A server's refusal of a call: a definite answer, so the call was not carried out. `message` says what is wrong and how to mend it. */
export class ParleyError extends Error {
  override readonly name = "ParleyError";
  /** What kind of refusal it is, and so what to do next. */
  readonly code: ErrorCode;
  /** The param at fault, where there is one. */
  readonly field: string | undefined;
  /** With `rate_limited` and `unavailable`: milliseconds to wait before the call is made again. */
  readonly retryAfterMs: number | undefined;
  /** With `rate_limited`: whose limit it is. */
  readonly scope: Scope | undefined;

  constructor(body: ErrorBody) {
    super(body.message);
    this.code = body.code;
    this.field = body.field;
    this.retryAfterMs = body.retry_after_ms;
    this.scope = body.scope;
  }
}

/**
 * The connection was lost after a call was sent and before its answer came: whether it was carried out is not known.
 * A call that carries a `client_id` can be made again with the same one and is carried out once.
 */
export class LinkLostError extends Error {
  override readonly name = "LinkLostError";

  constructor() {
    super("The connection was lost before the answer came; with the same client_id the call can be made again and is carried out once.");
  }
}

/** The link was stopped, or the server forbade it to come back, before the call was sent: it was not carried out. */
export class LinkEndedError extends Error {
  override readonly name = "LinkEndedError";

  constructor(reason?: string) {
    super(reason ? `The link has ended: ${reason}` : "The link has ended.");
  }
}
