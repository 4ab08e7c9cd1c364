package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/broker"
)

// bus is a broker that carries, doubles, delays and loses messages as it is told.
type bus struct {
	fate func() (copies int, delay time.Duration) // of one message to one node

	mu    sync.Mutex
	down  bool
	nodes []*busNode
}

// busNode is one node's side: a broker.Live.
type busNode struct {
	bus   *bus
	hub   broker.Receiver
	inbox chan broker.Message
	done  chan struct{}

	unfollowed func()          // called by Unfollow, before it has an effect; under bus.mu
	follows    map[string]bool // under bus.mu
	sent       uint64          // under bus.mu
}

var errDown = errors.New("the broker is away")

func newBus() *bus {
	return &bus{fate: func() (int, time.Duration) { return 1, 0 }}
}

// join adds a node; its receiver is called by one goroutine until leave.
func (b *bus) join(hub broker.Receiver) *busNode {
	n := &busNode{bus: b, hub: hub, inbox: make(chan broker.Message, 1<<16), done: make(chan struct{}), follows: map[string]bool{}, unfollowed: func() {}}
	b.mu.Lock()
	b.nodes = append(b.nodes, n)
	b.mu.Unlock()
	go func() {
		for {
			select {
			case <-n.done:
				return
			case m := <-n.inbox:
				hub.Receive(m)
				clear(m.Data) // it was the receiver's only until it returned
			}
		}
	}()
	return n
}

func (n *busNode) leave() { close(n.done) }

func (b *bus) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// carry takes a message to a node. Called with mu held.
func (b *bus) carry(to *busNode, m broker.Message) {
	if b.down {
		return
	}
	copies, delay := b.fate()
	for range copies {
		m := broker.Message{Room: m.Room, Data: bytes.Clone(m.Data)}
		if delay == 0 {
			to.deliver(m)
		} else {
			time.AfterFunc(delay, func() { to.deliver(m) })
		}
		delay *= 2
	}
}

func (n *busNode) deliver(m broker.Message) {
	select {
	case n.inbox <- m:
	case <-n.done:
	}
}

func (n *busNode) Publish(room string, message []byte) {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	n.sent++
	for _, to := range n.bus.nodes {
		if to.follows[room] { // itself too, as some engines do
			n.bus.carry(to, broker.Message{Room: room, Data: message})
		}
	}
}

func (n *busNode) Broadcast(message []byte) {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	n.sent++
	for _, to := range n.bus.nodes {
		n.bus.carry(to, broker.Message{Data: message})
	}
}

func (n *busNode) Follow(_ context.Context, rooms []string) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	for _, r := range rooms {
		n.follows[r] = true
	}
	if n.bus.down {
		return errDown
	}
	return nil
}

func (n *busNode) Unfollow(rooms []string) {
	n.bus.mu.Lock()
	first := n.unfollowed
	n.bus.mu.Unlock()
	first()
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	for _, r := range rooms {
		delete(n.follows, r)
	}
}

func (n *busNode) Features() broker.Features { return broker.Features{Engine: "bus"} }
func (n *busNode) Stats() broker.Stats       { return broker.Stats{Published: n.sent} }
func (n *busNode) Close() error              { return nil }
