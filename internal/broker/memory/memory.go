// Package memory connects the nodes of one process: the broker of a node that is alone, and of several nodes in a test.
//
// Nothing is lost on the way; a node that does not keep up loses what its mailbox has no room for. There is one lock per bus, held for no call out of the
// package but those to mailboxes, which do not wait.
package memory

import (
	"context"
	"errors"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-im/parley/internal/broker"
)

const (
	maxMessage   = 1 << 20
	mailboxBytes = 16 << 20
)

// Bus connects the nodes that join it.
type Bus struct {
	mu        sync.RWMutex
	nodes     map[*node]bool
	followers map[string]map[*node]bool // by room; never empty
}

// NewBus makes a bus without nodes. It holds nothing that would have to be closed.
func NewBus() *Bus {
	return &Bus{nodes: map[*node]bool{}, followers: map[string]map[*node]bool{}}
}

// node is one node on the bus.
type node struct {
	bus       *Bus
	inbox     *broker.Mailbox
	published atomic.Uint64
	received  atomic.Uint64
	dropped   atomic.Uint64
	closed    bool // guarded by bus.mu
}

// Join adds a node, which gets its messages through r until it is closed. The name is seen in profiles only.
func (b *Bus) Join(name string, r broker.Receiver) broker.Live {
	n := &node{bus: b}
	receive := func(m broker.Message) {
		n.received.Add(1)
		r.Receive(m)
	}
	pprof.Do(context.Background(), pprof.Labels("node", name), func(context.Context) { // the mailbox's goroutine inherits the label
		n.inbox = broker.OpenMailbox(mailboxBytes, receive, r.Lost)
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[n] = true
	return n
}

func (n *node) Publish(room string, message []byte) {
	n.bus.mu.RLock()
	defer n.bus.mu.RUnlock()
	if !n.mayPublish(message) {
		return
	}
	for follower := range n.bus.followers[room] {
		if follower != n {
			follower.put(room, message)
		}
	}
}

func (n *node) Broadcast(message []byte) {
	n.bus.mu.RLock()
	defer n.bus.mu.RUnlock()
	if !n.mayPublish(message) {
		return
	}
	for to := range n.bus.nodes {
		to.put("", message)
	}
}

// mayPublish counts a message. The caller holds the lock.
func (n *node) mayPublish(message []byte) bool {
	if n.closed || len(message) > maxMessage {
		n.dropped.Add(1)
		return false
	}
	n.published.Add(1)
	return true
}

func (n *node) put(room string, message []byte) {
	if !n.inbox.Put(broker.Message{Room: room, Data: slices.Clone(message)}) {
		n.dropped.Add(1)
	}
}

func (n *node) Follow(_ context.Context, rooms []string) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if n.closed {
		return errors.New("follow rooms: the broker is closed")
	}
	for _, room := range rooms {
		followers := n.bus.followers[room]
		if followers == nil {
			followers = map[*node]bool{}
			n.bus.followers[room] = followers
		}
		followers[n] = true
	}
	return nil
}

func (n *node) Unfollow(rooms []string) {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	for _, room := range rooms {
		n.bus.unfollow(n, room)
	}
}

// unfollow needs the lock.
func (b *Bus) unfollow(n *node, room string) {
	followers := b.followers[room]
	delete(followers, n)
	if len(followers) == 0 {
		delete(b.followers, room)
	}
}

func (n *node) Features() broker.Features {
	return broker.Features{Engine: "memory", Directness: broker.PerKey, MaxMessage: maxMessage}
}

func (n *node) Stats() broker.Stats {
	n.bus.mu.RLock()
	defer n.bus.mu.RUnlock()
	return broker.Stats{
		Published: n.published.Load(),
		Received:  n.received.Load(),
		Dropped:   n.dropped.Load(),
		Connected: !n.closed,
		Inbox:     n.inbox.Stats(),
	}
}

func (n *node) Close() error {
	n.leave()
	n.inbox.Close()
	return nil
}

func (n *node) leave() {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	n.closed = true
	delete(n.bus.nodes, n)
	for room, followers := range n.bus.followers {
		if followers[n] {
			n.bus.unfollow(n, room)
		}
	}
}
