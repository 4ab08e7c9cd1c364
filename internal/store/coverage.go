package store

import (
	"context"
	"sync"

	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/slots"
)

// Coverage is which slots a question to one of several shards was answered for. A question to all of them is answered in full when together they cover every
// slot: one that is just being moved is covered twice, never by nobody, unless it was looked for first where it was not yet and then where it was no longer.
type Coverage struct {
	mu   sync.Mutex
	mine slots.Set
}

// Slots are those of the last snapshot that was read.
func (c *Coverage) Slots() slots.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mine
}

// coverageKey is where a context has its Coverage.
type coverageKey struct{}

// Covering is a context under which the Coverage learns what is read.
func Covering(ctx context.Context, c *Coverage) context.Context {
	return context.WithValue(ctx, coverageKey{}, c)
}

// seen tells the Coverage of the context which slots a snapshot has.
func seen(ctx context.Context, t database.Tx) {
	c, _ := ctx.Value(coverageKey{}).(*Coverage)
	o := t.Owned()
	if c == nil || o == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mine = o.Reads
}
