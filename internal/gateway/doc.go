// Package gateway carries sessions, over WebSockets, event streams and long polls: handshakes and framing, write queues, heartbeats, close codes, drain. It knows
// frames and calls, and nothing of rooms. It speaks over TCP and unix sockets, in plain text or TLS (Secure).
//
// An idle session costs one parked goroutine and one small struct: no read buffer, no writer goroutine, no timer of its own. So:
//
//   - Reading goes by turns. park waits for the first byte with a stack that never grows, and starts work; work reads with a pooled buffer until there is
//     nothing more, and starts park. There is always exactly one of the two, and it is the one that ends the session.
//   - Writing is done by whoever has something to say, with one attempt that does not block. Only what the socket does not take is queued, and only then
//     is there a goroutine, drain, that waits for the socket; while it is there, everybody else only queues. So the bytes of two messages never mix.
//   - TLS reads and writes its records without blocking, too: the beginning of a record that has not come whole stays in it, and what it writes goes the way
//     of all bytes (transmit), so that the socket and the queue know only records.
//   - Time is the wheel: one goroutine for all sessions. The clock of the gateway stands still between its ticks.
//
// An event stream is the same but that nothing is heard on it. A poll has no connection: what it would write stays in the queue until it is acknowledged.
//
// A session is open, then closing, then gone. It leaves open exactly once, whatever the reason; at that moment its last frames are queued, nothing is
// queued after them, and Peer.Closed is on its way. It is gone when reading has ended and nothing is left to write.
//
// Locks, in the order in which they may be taken: Session.turn (held while the Peer is called), Session.mu (the state and the write queue; held for one
// write attempt at most), the locks of a tls.Conn, Gateway.mu, wheel.mu and records.mu (leaves). The Peer is never called with another lock than turn, so that it may call the session.
package gateway
