package memory

import (
	"context"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/state"
)

// Leases are the leases of the nodes of one process: of a node that is alone, or of several in a test.
type Leases struct {
	now func() time.Time

	mu    sync.Mutex
	nodes map[string]*lease
}

var _ state.Leases = (*Leases)(nil)

// lease is a node's, with its users.
type lease struct {
	ends  time.Time
	users map[string]struct{}
}

// NewLeases makes leases that go by a clock.
func NewLeases(now func() time.Time) *Leases {
	return &Leases{now: now, nodes: map[string]*lease{}}
}

// Renew implements state.Leases.
func (l *Leases) Renew(_ context.Context, node string, ttl time.Duration) (fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.live(node)
	if held == nil {
		held = &lease{users: map[string]struct{}{}}
		l.nodes[node] = held
		fresh = true
	}
	held.ends = l.now().Add(ttl)
	return fresh, nil
}

// Enter implements state.Leases.
func (l *Leases) Enter(_ context.Context, node string, users []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.live(node)
	if held == nil {
		return state.ErrNoLease
	}
	for _, user := range users {
		held.users[user] = struct{}{}
	}
	return nil
}

// Leave implements state.Leases.
func (l *Leases) Leave(_ context.Context, node string, users []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.live(node); held != nil {
		for _, user := range users {
			delete(held.users, user)
		}
	}
	return nil
}

// Online implements state.Leases.
func (l *Leases) Online(_ context.Context, users []string) (map[string]bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	online := map[string]bool{}
	for node := range l.nodes {
		held := l.live(node)
		if held == nil {
			continue
		}
		for _, user := range users {
			if _, ok := held.users[user]; ok {
				online[user] = true
			}
		}
	}
	return online, nil
}

// Nodes implements state.Leases.
func (l *Leases) Nodes(context.Context) (n int, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for node := range l.nodes {
		if l.live(node) != nil {
			n++
		}
	}
	return n, nil
}

// live is the node's lease, nil when it has none; one that has ended is forgotten. Called with mu held.
func (l *Leases) live(node string) *lease {
	held := l.nodes[node]
	if held != nil && !l.now().Before(held.ends) {
		delete(l.nodes, node)
		return nil
	}
	return held
}
