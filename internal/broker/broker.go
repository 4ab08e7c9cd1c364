// Package broker holds the contracts with the engine that carries hints between the nodes of a cluster.
//
// Nothing depends on the engine being perfect: what it loses, doubles or reorders is found by sequence numbers and filled from the store
// (docs/architecture.md, "Nothing depends on the broker"). An adapter therefore never retries, never buffers without a bound and never blocks a caller
// for the sake of delivery.
package broker

import "context"

// Live carries hints between nodes: at most once, asynchronous, bounded. Implementations are used by many goroutines at once.
type Live interface {
	// Publish hands a message to every other node that follows the room. It does not block and does not fail: what cannot be sent is dropped and
	// counted. Messages of one room from one node arrive in the order given, as far as they arrive. The engine may bring a node its own messages.
	// The message is not kept after Publish returns, and not changed.
	Publish(room string, message []byte)

	// Broadcast hands a message to every node, this one included: that is how a node probes itself. Otherwise as Publish.
	Broadcast(message []byte)

	// Follow makes messages of the rooms arrive from now on: everything published after Follow has returned nil is received, as far as the engine
	// delivers at all. With an error (the engine is away) the rooms are followed as soon as it is back, and the caller reads positions meanwhile.
	// Following twice is the same as once.
	Follow(ctx context.Context, rooms []string) error

	// Unfollow ends what Follow began. Messages under way may still arrive.
	Unfollow(rooms []string)

	// Features says what the engine can do.
	Features() Features

	// Stats are counters since the start.
	Stats() Stats

	// Close ends the connection and returns when the receiver will not be called again. Calling it twice is allowed.
	Close() error
}

// Message is what a node receives.
type Message struct {
	Room string // "" for a broadcast
	Data []byte // the receiver's until it returns
}

// Receiver takes messages. Receive is called from one goroutine of the adapter at a time for messages of one room, must not block for long and must not keep
// Data. Lost is called when the adapter knows or suspects that messages were lost (reconnected, its buffer ran over).
type Receiver interface {
	Receive(m Message)
	Lost()
}

// Directness is how precisely an engine brings a room's messages only to the nodes that follow it.
type Directness int

// The degrees of directness.
const (
	PerKey    Directness = iota // a node receives only rooms that it follows
	PerBucket                   // a node receives every room of the buckets that it follows
	Firehose                    // every node receives everything and filters
)

// Features is what an engine can do.
type Features struct {
	Engine     string // "memory", "nats", …
	Directness Directness
	MaxMessage int // bytes; larger messages are dropped and counted
}

// Stats are counters since the start.
type Stats struct {
	Published uint64
	Received  uint64
	Dropped   uint64
	Connected bool
	Inbox     MailboxStats // what has arrived and waits for the receiver
	Outbox    MailboxStats // what waits to be sent; without a limit where the engine has no such queue
}
