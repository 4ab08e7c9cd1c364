// The page: makes the pieces, joins them, and draws when something has changed.

import { Chat } from './chat.js';
import { Connection, PROTOCOL, TOKEN_REFUSED } from './connection.js';
import { el } from './dom.js';
import { stopped, words } from './errors.js';
import { Outbox } from './outbox.js';
import { People } from './people.js';
import { Receipts } from './receipts.js';
import { Session } from './session.js';
import { Store, unread } from './store.js';
import { ConversationView } from './views/conversation.js';
import { DetailsView } from './views/details.js';
import { Notices } from './views/notices.js';
import { RoomsView } from './views/rooms.js';
import { SignInView } from './views/signin.js';

const ROOM_ROUTE = '#/room/';
const TYPING_CHECK_MS = 1_000;

const byId = (id) => document.getElementById(id);
const timers = {
  now: () => Date.now(),
  setTimeout: (act, ms) => setTimeout(act, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

const store = new Store();
const session = new Session({ storage: sessionStorage, fetch: (...request) => fetch(...request) });
const notices = new Notices(byId('notices'));
const call = (method, params) => connection.call(method, params);
const people = new People({ call, onNames: () => store.notify() });
const outbox = new Outbox({ store, call, storage: sessionStorage, setTimeout: timers.setTimeout });
const receipts = new Receipts({ store, call, setTimeout: timers.setTimeout });
const chat = new Chat({
  store,
  call,
  tell: (method, params) => connection.tell(method, params),
  outbox,
  receipts,
  people,
  now: timers.now,
  onError: (error) => notices.show(words(error)),
});

let limits = {};
let everOpen = false;
let stop = null; // why the connection will not come back, if so

const connection = new Connection({
  connect() {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    return new WebSocket(`${scheme}//${location.host}/v1/ws`, PROTOCOL);
  },
  async hello(renew) {
    const token = await session.token(renew);
    return token && { token, device: session.device, client: 'parley-web', resume: store.resume() };
  },
  onWelcome(result) {
    everOpen = true;
    ({ limits } = result);
    if (session.person) people.learn(result.user, session.person.name);
    chat.welcome(result);
  },
  onPush(frame) {
    if (frame.event === 'token.expiring') refreshToken();
    else {
      if (frame.event === 'room.removed') tellRemoved(frame);
      chat.push(frame);
    }
  },
  onState: () => store.notify(),
  onStop(why) {
    if (why.code === TOKEN_REFUSED && !everOpen) {
      session.signOut();
      signIn.refused();
    } else stop = why;
    store.notify();
  },
  clock: timers,
  random: Math.random,
});

/** Goes on with a new token before the old one ends. A token that was pasted cannot be renewed: its end is said when it comes. */
async function refreshToken() {
  const token = await session.token(true).catch(() => null);
  if (token) attempt(call('session.refresh', { token }));
}

const REMOVAL = {
  removed: 'You were removed from',
  banned: 'You were banned from',
  deleted: 'Somebody deleted',
};

function tellRemoved({ room: id, data }) {
  const room = store.rooms.get(id);
  if (room && REMOVAL[data.reason]) notices.show(`${REMOVAL[data.reason]} “${rooms.title(room)}”.`);
}

/** Waits for what a person asked for; tells them where it fails. Answers whether it worked. */
async function attempt(promise) {
  try {
    await promise;
    return true;
  } catch (error) {
    notices.show(words(error));
    return false;
  }
}

const context = {
  store,
  chat,
  people,
  session,
  attempt,
  notify: (text) => notices.show(text),
  limits: () => limits,
  connected: () => connection.state === 'open',
  openRoom: (id) => (location.hash = id ? ROOM_ROUTE + id : '#/'),
  roomLink: (id) => ROOM_ROUTE + id,
  toggleDetails: () => details.toggle(),
  signOut,
};

const signIn = new SignInView(byId('signin'), { session, onSignedIn: begin });
const rooms = new RoomsView(byId('rooms'), context);
const conversation = new ConversationView(byId('conversation'), context);
const details = new DetailsView(byId('details'), context);

function begin() {
  stop = null;
  everOpen = false;
  outbox.restore();
  connection.start();
}

function signOut() {
  connection.stop();
  outbox.clear();
  session.signOut();
  // Nothing of one user may be seen by the next: the page begins anew.
  location.hash = '';
  location.reload();
}

// -- drawing ------------------------------------------------------------------

let drawing = false;

/** Draws once, soon, however much changes until then. A hidden page gets no animation frames, but has a title. */
function draw() {
  if (drawing) return;
  drawing = true;
  const now = () => {
    drawing = false;
    drawAll();
  };
  if (document.hidden) setTimeout(now, 100);
  else requestAnimationFrame(now);
}

function drawAll() {
  byId('signin').hidden = session.signedIn;
  byId('chat').hidden = !session.signedIn;
  drawBanner();
  if (!session.signedIn) {
    signIn.draw();
    return;
  }
  byId('chat').dataset.pane = store.rooms.has(store.open) ? 'room' : 'rooms';
  rooms.draw();
  conversation.draw();
  details.draw();
  const waiting = [...store.rooms.values()].reduce((sum, room) => sum + unread(room), 0);
  document.title = waiting > 0 ? `(${waiting}) Parley` : 'Parley';
}

let bannerShows = '';

function drawBanner() {
  const banner = byId('banner');
  const why = stop && stopped(stop);
  const lost = session.signedIn && everOpen && (connection.state === 'waiting' || connection.state === 'connecting');
  const first = session.signedIn && !everOpen && connection.state === 'waiting';
  const text = why?.text ?? (lost ? 'Connection lost, reconnecting…' : first ? 'The server cannot be reached. Trying again…' : '');
  if (text === bannerShows) return;
  bannerShows = text;
  banner.hidden = text === '';
  banner.classList.toggle('final', Boolean(why));
  banner.replaceChildren(text);
  if (why) banner.append(el('button', { type: 'button', class: 'button small', onclick: goOn }, why.action));
}

/** What the banner's button does after the connection has ended for good. */
function goOn() {
  const { code } = stop;
  if (code === TOKEN_REFUSED || code === 4403) signOut();
  else if (code === 4409) {
    session.newDevice();
    begin();
  } else location.reload();
}

function route() {
  const id = location.hash.startsWith(ROOM_ROUTE) ? location.hash.slice(ROOM_ROUTE.length) : null;
  conversation.leave();
  chat.open(id);
}

store.subscribe(draw);
window.addEventListener('hashchange', route);
window.addEventListener('offline', () => connection.drop());
window.addEventListener('online', () => connection.retryNow());
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  connection.retryNow();
  draw();
});
setInterval(() => store.expireTyping(timers.now()), TYPING_CHECK_MS);

route();
if (session.signedIn) begin();
draw();
