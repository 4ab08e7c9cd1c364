// Package presence knows who is online, and tells those who asked and may know.
//
// A user is online while any of their sessions lives, and for 10 s after the last one ended, so that a reconnect shows nothing. Who may see whom is asked of the
// store whenever there is something to tell, and kept nowhere: a subscription remembers only what it was told last, and is told what differs from that. So a
// burst of changes is one signal, and a change that was taken back is none.
//
// One goroutine tells (Run): changes only mark subscriptions, and are gathered for a moment, so that a storm of sessions costs one question per round. What a
// subscription is told is durable first: nobody sees a user go before the time of it is stored.
//
// With several nodes each knows its own sessions, and looks into the leases every 2 s for who of the watched has come or gone elsewhere. While they cannot be
// reached it goes on with what it knew; when they were lost, whoever was online elsewhere stays so until all nodes have made theirs anew.
package presence
