package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

// Gateway holds the sessions of one node. All methods may be called from any goroutine.
type Gateway struct {
	opts    Options
	handler Handler
	wheel   wheel
	count   counters
	framers sync.Pool // of *framer
	writers sync.Pool // of *writer

	addresses addressLimit
	deflaters deflaters

	heartbeat []byte // as it goes out

	stop    chan struct{}  // closed by Stop, when the last session is gone: ends the wheel
	stopped sync.WaitGroup // the wheel
	running sync.WaitGroup // connections, and the goroutines that live no longer than theirs

	mu              sync.Mutex
	connections     int // admitted and not gone
	unauthenticated int // of them, those that have not said hello
	opened          uint64
	sessions        [transports]int      // that are not gone, by their Transport
	polls           map[string]*HTTPSide // those of LongPoll, by id
	refused         uint64
	closes          map[protocol.CloseCode]uint64
	draining        bool
	empty           chan struct{} // closed once there are no connections and will be none
}

// New starts a gateway that tells h about its sessions. Stop ends it.
func New(opts Options, h Handler) *Gateway {
	g := &Gateway{
		opts:      opts.withDefaults(),
		handler:   h,
		heartbeat: Wire([]byte("{}")),
		stop:      make(chan struct{}),
		closes:    map[protocol.CloseCode]uint64{},
		polls:     map[string]*HTTPSide{},
		empty:     make(chan struct{}),
	}
	inflaters := newInflaters()
	g.framers.New = func() any { return newFramer(g.opts.FrameBytes, inflaters) }
	g.writers.New = func() any { return newWriter() }
	start, ticks, release := time.Now(), g.opts.Ticks, func() {}
	if ticks == nil {
		ticker := time.NewTicker(tickLength)
		ticks, release = ticker.C, ticker.Stop
	}
	g.stopped.Go(func() {
		defer release()
		g.wheel.run(start, ticks, g.stop, func(s *Session, at time.Time) { s.check(at) })
	})
	return g
}

// Count is how many connections there are, those that are being closed included.
func (g *Gateway) Count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.connections
}

// Each calls f for every session that is open at this moment, in no order and without a lock.
func (g *Gateway) Each(f func(*Session)) {
	for _, s := range g.wheel.sessions() {
		if !s.Done() {
			f(s)
		}
	}
}

// Drain refuses new sessions and lets the present ones go one after the other, spread over a time: each is told `reconnect` now, goes on working until its
// turn, and is closed with protocol.CloseRestart once every call that it has begun is answered (§2.3). A session without a hello has its turn at once. Drain
// returns nil when all are gone. When ctx ends first, it cuts those that remain and returns the error of ctx.
func (g *Gateway) Drain(ctx context.Context, over time.Duration) error {
	g.refuse()
	all := g.wheel.sessions()
	for i, s := range all {
		s.giveTurn(over * time.Duration(i) / time.Duration(len(all)))
	}
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		g.cut()
		return ctx.Err()
	}
}

// Stop refuses new sessions, cuts those that are there, and waits until everything has ended, calls that are being carried out included. It may follow
// Drain, and may be called more than once.
func (g *Gateway) Stop() {
	g.refuse()
	g.cut()
	<-g.empty
	g.running.Wait()
	g.mu.Lock()
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	g.mu.Unlock()
	g.stopped.Wait()
}

// refuse makes every handshake from now on be answered with 503.
func (g *Gateway) refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.draining {
		g.draining = true
		g.closeEmpty()
	}
}

// cut closes every session without waiting for its client.
func (g *Gateway) cut() {
	for _, s := range g.wheel.sessions() {
		s.Close(protocol.CloseRestart, 0)
		s.cut()
	}
}

// isDraining reports whether new sessions are refused.
func (g *Gateway) isDraining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining
}

// admit reserves the place of a connection for its handshake, if there is one.
func (g *Gateway) admit() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining || g.connections >= g.opts.MaxConnections || g.unauthenticated >= g.opts.MaxUnauthenticated {
		g.refused++
		return false
	}
	g.connections++
	g.unauthenticated++
	g.running.Add(1)
	return true
}

// authenticated gives back a place among the unauthenticated.
func (g *Gateway) authenticated() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unauthenticated--
}

// leave gives back the place of a connection that is gone.
func (g *Gateway) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.connections--
	g.running.Done()
	if g.draining {
		g.closeEmpty()
	}
}

// leaves is leave for a session.
func (g *Gateway) leaves(s *Session) {
	g.mu.Lock()
	g.sessions[s.Transport()]--
	delete(g.polls, s.id)
	g.mu.Unlock()
	g.leave()
}

// closeEmpty tells that no connection is left and none will come. mu is held and draining set.
func (g *Gateway) closeEmpty() {
	if g.connections == 0 {
		close(g.empty)
	}
}

// closed counts a session that has left the open state.
func (g *Gateway) closed(code protocol.CloseCode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closes[code]++
}
