package client

import (
	"math/rand/v2"
	"time"

	"github.com/parley-im/parley/protocol"
)

// Phase is what a link is doing.
type Phase string

// The phases. A link begins in Connecting and ends in Stopped, which it never leaves.
const (
	Connecting Phase = "connecting" // on the way to a session
	Live       Phase = "live"       // a session is open
	Waiting    Phase = "waiting"    // the next attempt comes after State.Retry
	Stopped    Phase = "stopped"    // no attempt will follow
)

// Reason says why a session ended or could not be opened.
type Reason string

// The reasons.
const (
	ReasonNone            Reason = ""                // nothing has ended yet
	ReasonUnreachable     Reason = "unreachable"     // no connection could be made
	ReasonLost            Reason = "lost"            // the connection broke off
	ReasonSilent          Reason = "silent"          // nothing was heard for two heartbeats
	ReasonRefused         Reason = "refused"         // the server did not open a session: State.Err is its *protocol.Error or *HandshakeError
	ReasonClosed          Reason = "closed"          // the server closed the session: State.Code says why
	ReasonDrain           Reason = "drain"           // the node is going away
	ReasonToken           Reason = "token"           // Options.Token failed
	ReasonUnauthenticated Reason = "unauthenticated" // the token was refused; Stopped if Options.Token brings no other
	ReasonViolation       Reason = "violation"       // the server broke the contract: State.Err tells how
	ReasonShutdown        Reason = "shutdown"        // Close was called
)

// State is what a link is doing, and why.
type State struct {
	Phase  Phase
	Reason Reason             // why the last session ended or the last attempt failed; ReasonNone when Live
	Code   protocol.CloseCode // with ReasonClosed, ReasonDrain and where else the server told one; 0: none
	Err    error              // more about the reason; nil when Live
	Retry  time.Duration      // when Waiting: how long

	Session uint64                // when Live: the number of the session on this link, counting from 1
	Hello   *protocol.HelloResult // when Live: the server's greeting; not to be changed
}

// Backoff bounds the time between attempts: a random one up to Base, doubled with every attempt that follows without a session that lasted Stable,
// and at most Cap. Zero fields mean 0.5 s, 30 s and 60 s.
type Backoff struct {
	Base, Cap, Stable time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.Base <= 0 {
		b.Base = 500 * time.Millisecond
	}
	if b.Cap <= 0 {
		b.Cap = 30 * time.Second
	}
	if b.Stable <= 0 {
		b.Stable = time.Minute
	}
	return b
}

// delay draws the pause before an attempt; attempt counts from 0. It is jittered in full, so that clients cut off together do not come back together.
func (b Backoff) delay(attempt int) time.Duration {
	most := b.Cap
	if attempt < 30 && b.Base<<attempt < b.Cap {
		most = b.Base << attempt
	}
	return rand.N(most) + time.Millisecond
}
