/**
 * A Parley server in memory, for tests of applications: it speaks the protocol, keeps rooms with their logs, and breaks in the ways that networks and
 * servers do. Nothing waits: give the link a TestClock, and settle to let everything under way happen.
 *
 *     const clock = new TestClock();
 *     const server = new FakeServer(clock);
 *     const room = server.createRoom({ members: ["alice", "bob"] });
 *     const link = openLink({ url: "http://fake", device: "d1", token: () => "alice", platform: { ...server.platform, ...clock } });
 *     link.start();
 *     await settle();
 *     server.say(room, "bob", "hello");          // another client speaks
 *     server.cut("alice");                       // the network breaks
 *     await clock.advance(3_000);                // and is back
 *
 * A token is the id of its user, unless `server.userOf` says otherwise. Faults: cut, close, block, refuse, loseReply, hold, drain, a new epoch.
 *
 * What it does not know, it can be taught: `server.on("message.search", (call, params) => ({ messages: [] }))` answers a method anew. A handler gets
 * the caller and the session, writes events with `call.server.write(room, "message.created", call.user, data)`, pushes signals with `call.server.tell`,
 * and refuses by throwing `refuse("forbidden", "…")`. Rates, rights, retention and the end of tokens are left to tests to play: `server.close(4401)`.
 */
export { settle, TestClock } from "./clock.js";
export { refuse, type FakeCall, type FakeMethod, type FakeMethods } from "./methods.js";
export { FakeRoom, type MemberState } from "./room.js";
export { FakeServer, FakeSession, type NewRoom } from "./server.js";
