package gateway

import (
	"maps"
	"sync/atomic"

	"github.com/parley-im/parley/protocol"
)

// Stats is what a gateway has done so far and what it holds now.
type Stats struct {
	Connections     int // now, those that are being closed included
	Unauthenticated int // of them, without a hello
	Opened          uint64
	Sessions        [transports]int // now, those that are being closed included, by Transport
	Refused         uint64          // handshakes answered with 503
	Limited         uint64          // handshakes answered with 429
	BytesIn         uint64
	BytesOut        uint64
	Writes          uint64 // system calls that wrote something
	FramesIn        uint64 // frames of §2.1, heartbeats included
	RefusedOffers   uint64
	RateLimited     uint64 // calls refused for their connection's rate
	QueueBytes      int64  // waiting to be written now, over all sessions
	// The bounds: of Connections, of Unauthenticated, and of what waits in one session before Offer refuses.
	MaxConnections, MaxUnauthenticated, MaxQueueBytes int
	// Closes counts sessions by the code with which they ended, sent or received; 1006 stands for a cut connection, 1005 for a close frame without code.
	Closes map[protocol.CloseCode]uint64
}

// The codes of RFC 6455 for an end without a close frame or without a code; they are never sent.
const (
	closeNoCode  protocol.CloseCode = 1005
	closeCutDown protocol.CloseCode = 1006
)

// counters are the parts of Stats that sessions count without a lock.
type counters struct {
	bytesIn, bytesOut, writes, framesIn, refusedOffers, rateLimited, limited atomic.Uint64
	queueBytes                                                               atomic.Int64
}

// Stats may be called at any time.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{
		Connections:     g.connections,
		Unauthenticated: g.unauthenticated,
		Opened:          g.opened,
		Sessions:        g.sessions,
		Refused:         g.refused,
		Limited:         g.count.limited.Load(),
		BytesIn:         g.count.bytesIn.Load(),
		BytesOut:        g.count.bytesOut.Load(),
		Writes:          g.count.writes.Load(),
		FramesIn:        g.count.framesIn.Load(),
		RefusedOffers:   g.count.refusedOffers.Load(),
		RateLimited:     g.count.rateLimited.Load(),
		QueueBytes:      g.count.queueBytes.Load(),
		Closes:          maps.Clone(g.closes),

		MaxConnections: g.opts.MaxConnections, MaxUnauthenticated: g.opts.MaxUnauthenticated, MaxQueueBytes: g.opts.QueueBytes,
	}
}
