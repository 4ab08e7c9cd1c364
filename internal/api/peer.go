package api

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// peer is what stands behind one session: its calls go from here to the server, and what its user follows comes back through it.
type peer struct {
	server   *Server
	session  *gateway.Session
	identity atomic.Pointer[auth.Identity] // nil before hello; session.refresh changes it
	device   string
	epoch    string         // that was told: positions that the client has are of this one, or of one before or since
	entering sync.WaitGroup // from when others can find the peer until it has its follower
	presence *presence.Session
	opened   int64              // Unix milliseconds
	follower *delivery.Follower // nil: hello is not done, or has failed
	track    *track             // nil: it is no event stream
	flying   sync.WaitGroup     // pipelined calls that are not answered yet
}

// Call implements gateway.Peer.
func (p *peer) Call(c protocol.Call) {
	switch {
	case p.identity.Load() == nil && c.Method != protocol.Hello:
		p.refuse(c.ID, protocol.Errorf(protocol.Unauthenticated, "", "Say hello first: the first call of a session is hello, with a token."))
		p.session.Close(protocol.CloseUnauthenticated, 0)
		return
	case c.Method == protocol.Hello:
		p.hello(c)
		return
	}
	m := p.server.methods[c.Method]
	switch {
	case m == nil && c.ID == 0:
		p.session.Close(protocol.CloseBadFrame, 0) // a fault that cannot be answered (§2.1)
		return
	case m == nil:
		p.refuse(c.ID, unknownMethod(protocol.BadRequest, c.Method))
		return
	}
	began := p.server.Now()
	span := p.server.Tracer.Begin(m.Name, began, tracing.Parent{})
	ctx, cancel := context.WithTimeout(tracing.With(context.Background(), span), callTimeout)
	reply := func(result any, err *protocol.Error) {
		if err != nil {
			p.refuse(c.ID, err)
		} else if c.ID != 0 {
			p.session.Reply(protocol.AppendResult(nil, c.ID, result))
		}
		p.server.answered(span, m.Name, false, began, err)
	}
	if m.handler.pipelined {
		p.flying.Add(1)
		p.server.carryOut(ctx, m, p.caller(), c.Params, func(result any, err *protocol.Error) {
			reply(result, err)
			cancel()
			p.flying.Done()
		})
		return
	}
	defer cancel()
	p.flying.Wait() // a call sees what the session's earlier calls did
	p.server.carryOut(ctx, m, p.caller(), c.Params, reply)
}

func (p *peer) refuse(id uint64, err *protocol.Error) {
	if id != 0 {
		p.session.Reply(protocol.AppendError(nil, id, err))
	}
}

func (p *peer) caller() *caller {
	id := p.identity.Load()
	return &caller{Actor: chat.Actor{User: id.User, Role: id.Role, Session: p.session.ID()}, identity: id, peer: p}
}

// entered waits for a hello that is being carried out, whose reply is out a moment before it is done, and reports whether it has opened the session.
func (p *peer) entered() bool {
	p.entering.Wait()
	return p.follower != nil
}

// Settle implements gateway.Peer.
func (p *peer) Settle() { p.flying.Wait() }

// Drained implements gateway.Peer.
func (p *peer) Drained() {
	if p.follower != nil {
		p.follower.Drained()
	}
}

// Closed implements gateway.Peer.
func (p *peer) Closed() {
	p.logEnd()
	if p.identity.Load() == nil {
		return
	}
	if p.follower != nil {
		p.follower.Close()
	}
	if p.presence != nil {
		p.presence.Close()
	}
	p.server.leave(p)
}

func unknownMethod(code protocol.Code, name string) *protocol.Error {
	return protocol.Errorf(code, "method", "There is no method %q in this version of the server.", name)
}

// sink is the session as delivery sees it.
type sink struct {
	session *gateway.Session
	user    string
}

func (s *sink) ID() string                   { return s.session.ID() }
func (s *sink) User() string                 { return s.user }
func (s *sink) Offer(b *delivery.Batch) bool { return s.session.Offer(s.wire(b)) }
func (s *sink) Push(b *delivery.Batch)       { s.session.Push(s.wire(b)) }

// Added implements delivery.Sink.
func (s *sink) Added(b *delivery.Batch, _ string, _ protocol.Seq) { s.Push(b) }

// wire is the batch as it goes out to the session.
func (s *sink) wire(b *delivery.Batch) []byte {
	switch {
	case s.session.Bare():
		return b.Frames
	case s.session.Deflates():
		return b.Packed(s.session.Wire)
	}
	return b.Wire
}
