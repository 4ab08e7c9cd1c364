package gateway

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/protocol"
)

// Options are the bounds of a gateway. The zero value of a field stands for its default, except where it says otherwise.
type Options struct {
	Heartbeat            time.Duration    // the quiet after which a heartbeat is sent; two of it without a sign of life end a session. Default 25 s
	FrameBytes           int              // the longest message of a client (limits.frame_bytes). Default protocol.MaxFrameBytes
	QueueBytes           int              // what may wait to be written before Offer refuses and calls are no longer read. Default 256 KiB
	CallsPerSecond       int              // calls that one session may make, with five seconds' worth at once; 0 is no limit
	Compression          bool             // permessage-deflate for clients that offer it
	Free                 []string         // methods that count against no limit of the connection, because nothing is to limit them
	MaxConnections       int              // connections at any time. Default nine tenths of the files that the process may open
	MaxUnauthenticated   int              // of them, in their handshake or before their hello. Default a quarter of MaxConnections
	HandshakesPerAddress int              // a second, of which those of 6 s may come at once; IPv6 by the /64. 0 is no limit
	Proxies              Proxies          // who is believed about where a request comes from. Default nobody
	Log                  *slog.Logger     // hears of panics. Default nowhere
	Tag                  string           // what the ids of sessions end in, behind a dot, so that other nodes know whose they are. Default nothing
	Origins              []string         // origins whose pages may connect, besides those that the server itself serves
	Ticks                <-chan time.Time // what drives the gateway's time, about every 100 ms. Default a ticker of its own
}

// DefaultCallsPerSecond is the limit for a server that nobody configured: generous, for people's clients and most bots.
const DefaultCallsPerSecond = 200

// The times and bounds that are the same everywhere.
const (
	helloTimeout     = 10 * time.Second       // from the handshake to Authenticated
	messageTimeout   = 10 * time.Second       // from the first byte of a message to its last
	closeTimeout     = 5 * time.Second        // from the decision to close to the end of the connection
	handshakeTimeout = 5 * time.Second        // for the client to take the answer to its handshake
	retryDelay       = 2 * time.Second        // what an overloaded node asks clients to wait
	tickLength       = 100 * time.Millisecond // of the wheel
	maxFragments     = 64                     // of one message
	maxPushBytes     = 8 << 20                // what Push may queue over QueueBytes
	burstTime        = 5 * time.Second        // the calls of so many seconds may come at once
	floodFactor      = 10                     // a session that is so many times over its limit …
	floodTime        = 10 * time.Second       // … for so long is closed
	controlInterval  = 100 * time.Millisecond // one ping or pong in this time …
	controlBurst     = 100                    // … and so many at once are taken
)

// withDefaults fills the fields that are zero.
func (o Options) withDefaults() Options {
	if o.Heartbeat <= 0 {
		o.Heartbeat = 25 * time.Second
	}
	if o.FrameBytes <= 0 {
		o.FrameBytes = protocol.MaxFrameBytes
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 256 << 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = openFiles() / 10 * 9
	}
	if o.MaxUnauthenticated <= 0 {
		o.MaxUnauthenticated = max(1, o.MaxConnections/4)
	}
	return o
}

// openFiles is how many files the process may have open.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // what POSIX systems have had from of old
	}
	return int(min(limit.Cur, 1<<30))
}
