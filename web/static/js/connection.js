// One WebSocket to the server, kept alive: hello, calls and their replies,
// heartbeats, and coming back after it is lost.
//
// Socket, clock and chance come in from outside, so that tests need none of
// them. Callbacks are called in the order of the frames that cause them.

export const PROTOCOL = 'parley.v1';

const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
/** A server that has not answered `hello` by then is as good as none. */
const HELLO_TIMEOUT_MS = 10_000;
/** A session that lived this long begins with the shortest delay when it is lost. */
const STABLE_MS = 5_000;
/** After these the same client would fail in the same way: a person has to act. */
const FINAL_CODES = new Set([1002, 1003, 1007, 1009, 4400, 4403, 4409]);
/** The close code of a token that is missing, invalid or expired. */
export const TOKEN_REFUSED = 4401;

/** The error of a call: the server's, or `disconnected` where its fate is not known. */
export class CallError extends Error {
  constructor({ code, message, field, retry_after_ms: retryAfter }) {
    super(message);
    this.name = 'CallError';
    this.code = code;
    this.field = field;
    this.retryAfter = retryAfter;
  }
}

/** Milliseconds until the next attempt: anything up to a bound that doubles, so that clients spread. */
export function fullJitter(attempt, random) {
  return random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

export class Connection {
  /** 'idle' | 'connecting' | 'open' | 'waiting' | 'stopped' */
  state = 'idle';

  #options;
  #socket = null;
  #timer = null; // of the state: hello, dead server, or the next attempt
  #attempt = 0;
  #openedAt = null;
  #heartbeat = 0;
  #lastId = 0;
  #calls = new Map(); // id → {resolve, reject}
  #goodbye = {}; // what `closing` and `reconnect` told
  #tokenRefused = false;

  /**
   * Options:
   *   connect()        makes a socket like a browser's WebSocket
   *   hello(renew)     answers the params of `hello`, or null where there is no
   *                    token; renew says that the last token was refused
   *   onWelcome(r)     the reply to `hello`
   *   onPush(frame)    each event and signal but `closing` and `reconnect`
   *   onState(state)   after each change of state
   *   onStop({code, reason})  the connection will not come back by itself
   *   clock            {now, setTimeout, clearTimeout}
   *   random           numbers in [0, 1)
   */
  constructor(options) {
    this.#options = options;
  }

  start() {
    this.#attempt = 0;
    this.#tokenRefused = false;
    this.#connect();
  }

  /** Ends the connection; start() begins again. */
  stop() {
    this.#leave();
    this.#enter('idle');
  }

  /** Gives up a connection that may be dead and not know it, because the network has gone; tries again as after any loss. */
  drop() {
    if (this.state === 'open' || this.state === 'connecting') this.#lost({});
  }

  /** Does not wait any longer for the next attempt. */
  retryNow() {
    if (this.state === 'waiting') this.#connect();
  }

  /** Calls a method and answers its result. */
  call(method, params) {
    if (this.state !== 'open') return Promise.reject(disconnected());
    return new Promise((resolve, reject) => this.#request(method, params, { resolve, reject }));
  }

  /** Calls a method whose answer nobody waits for. */
  tell(method, params) {
    if (this.state === 'open') this.#send({ method, params });
  }

  #connect() {
    this.#leave();
    this.#enter('connecting');
    const socket = (this.#socket = this.#options.connect());
    this.#after(HELLO_TIMEOUT_MS, () => this.#lost({}));
    socket.onopen = () => this.#hello(socket);
    socket.onmessage = (message) => this.#receive(socket, message.data);
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#lost({ code, reason, ...this.#goodbye });
    };
  }

  async #hello(socket) {
    let params = null;
    try {
      params = await this.#options.hello(this.#tokenRefused);
    } catch {
      // The token could not be fetched just now: the same as a server that is away.
      if (socket === this.#socket) this.#lost({});
      return;
    }
    if (socket !== this.#socket) return;
    if (params === null) {
      this.#lost({ code: TOKEN_REFUSED, final: true });
      return;
    }
    this.#request('hello', params, {
      resolve: (result) => this.#welcome(result),
      reject: () => {}, // the server says why when it closes
    });
  }

  #welcome(result) {
    this.#tokenRefused = false;
    this.#openedAt = this.#options.clock.now();
    this.#heartbeat = result.heartbeat_ms;
    this.#heard();
    this.#enter('open');
    this.#options.onWelcome(result);
  }

  #receive(socket, data) {
    if (this.#openedAt !== null) this.#heard();
    for (const line of data.split('\n')) {
      if (socket !== this.#socket) return;
      if (line !== '') this.#frame(JSON.parse(line));
    }
  }

  #frame(frame) {
    if (frame.id !== undefined) this.#reply(frame);
    else if (frame.event === undefined) this.#send({});
    else if (frame.event === 'closing') this.#goodbye = { ...this.#goodbye, ...closing(frame.data) };
    else if (frame.event === 'reconnect') this.#goodbye = { ...this.#goodbye, delay: frame.data.delay_ms };
    else this.#options.onPush(frame);
  }

  #reply({ id, result, error }) {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    if (error) call.reject(new CallError(error));
    else call.resolve(result);
  }

  #request(method, params, call) {
    const id = ++this.#lastId;
    this.#calls.set(id, call);
    this.#send({ id, method, params });
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  /** Anything that arrives shows that the server lives; two silent heartbeats that it does not. */
  #heard() {
    this.#after(2 * this.#heartbeat, () => this.#lost({}));
  }

  #lost({ code, reason = '', delay, final = false }) {
    const { clock, random } = this.#options;
    if (this.#openedAt !== null && clock.now() - this.#openedAt >= STABLE_MS) this.#attempt = 0;
    this.#tokenRefused = code === TOKEN_REFUSED;
    this.#leave();
    if (final || FINAL_CODES.has(code)) {
      this.#enter('stopped');
      this.#options.onStop({ code, reason });
      return;
    }
    // A delay that was told is the least to wait; chance on top keeps those who were told the same apart.
    const wait = (delay ?? 0) + fullJitter(this.#attempt++, random);
    this.#after(wait, () => this.#connect());
    this.#enter('waiting');
  }

  /** Lets go of the socket: nothing of it is heard any more, and its calls have ended. */
  #leave() {
    const socket = this.#socket;
    this.#socket = null;
    this.#openedAt = null;
    this.#goodbye = {};
    this.#options.clock.clearTimeout(this.#timer);
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(disconnected());
  }

  #after(ms, act) {
    const { clock } = this.#options;
    clock.clearTimeout(this.#timer);
    this.#timer = clock.setTimeout(act, ms);
  }

  #enter(state) {
    this.state = state;
    this.#options.onState(state);
  }
}

/** What the push says goes before the close code: proxies lose that. */
function closing({ code, reason, retry_after_ms: delay }) {
  return delay === undefined ? { code, reason } : { code, reason, delay };
}

function disconnected() {
  return new CallError({ code: 'disconnected', message: 'There is no connection to the server.' });
}
