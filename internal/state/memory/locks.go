package memory

import (
	"context"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/state"
)

// Locks are the locks of one process.
type Locks struct {
	now func() time.Time

	mu    sync.Mutex
	last  uint64 // the last token of any name
	locks map[string]held
}

var _ state.Locks = (*Locks)(nil)

// held is a lock that somebody holds, or held.
type held struct {
	token uint64
	ends  time.Time
}

// NewLocks makes locks that go by a clock. Nobody holds any.
func NewLocks(now func() time.Time) *Locks {
	return &Locks{now: now, locks: map[string]held{}}
}

// Acquire implements state.Locks.
func (l *Locks) Acquire(_ context.Context, name string, ttl time.Duration) (state.Lock, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Before(l.locks[name].ends) {
		return state.Lock{}, state.ErrHeld
	}
	l.last++
	l.locks[name] = held{l.last, now.Add(ttl)}
	return state.Lock{Name: name, Token: l.last}, nil
}

// Renew implements state.Locks.
func (l *Locks) Renew(_ context.Context, lock state.Lock, ttl time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if !l.holds(lock, now) {
		return state.ErrLost
	}
	l.locks[lock.Name] = held{lock.Token, now.Add(ttl)}
	return nil
}

// Release implements state.Locks.
func (l *Locks) Release(_ context.Context, lock state.Lock) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.holds(lock, l.now()) {
		return state.ErrLost
	}
	delete(l.locks, lock.Name)
	return nil
}

func (l *Locks) holds(lock state.Lock, now time.Time) bool {
	h, ok := l.locks[lock.Name]
	return ok && h.token == lock.Token && now.Before(h.ends)
}
