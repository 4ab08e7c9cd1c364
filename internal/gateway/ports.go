package gateway

import (
	"github.com/parley-im/parley/protocol"
)

// Handler is what the gateway tells about its sessions. It is declared here, by the side that calls.
type Handler interface {
	// Opened is called when the handshake is done, or Open has admitted the request, before anything else about the session. What it returns is the session's Peer.
	Opened(s *Session) Peer
}

// Peer is what stands behind one session. The gateway calls it from one goroutine at a time.
type Peer interface {
	// Call carries out one frame; calls come in the order in which they were sent, one after the other. While it blocks, nothing more is read from the session.
	// A call's params are only good until Call returns.
	Call(c protocol.Call)
	// Settle returns when every Call has been answered: one may return before that. It is called before a session is closed that works until its turn.
	Settle()
	// Drained tells that the queue has room again after an Offer was refused.
	Drained()
	// Closed is called exactly once, after the last Call, when the session has ended for whatever reason.
	Closed()
}
