package store

import (
	"context"
	"sync/atomic"
)

// Stats is what the log has done since the start, and what waits now.
type Stats struct {
	Transactions uint64 // that were committed
	Events       uint64 // that they stored
	Cursors      uint64 // moves of cursors that they stored
	Failures     uint64 // attempts that failed; most are repeated
	Refused      uint64 // appends and moves answered `unavailable`
	Waiting      int    // appends and moves in the queues
	WaitingBytes int
}

// counters are the parts of Stats that only grow.
type counters struct {
	transactions, events, cursors, failures, refused atomic.Uint64
}

// Stats may be called at any time.
func (s *Store) Stats() Stats {
	c := s.committer
	st := Stats{
		Transactions: c.count.transactions.Load(), Events: c.count.events.Load(), Cursors: c.count.cursors.Load(),
		Failures: c.count.failures.Load(), Refused: c.count.refused.Load(),
	}
	for _, q := range c.lanes {
		q.mu.Lock()
		st.Waiting += len(q.items)
		st.WaitingBytes += q.bytes
		q.mu.Unlock()
	}
	return st
}

var selectOne = sql(`SELECT 1`)

// Ping asks whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.engine.read(ctx, func(t tx) error {
		return t.query(ctx, selectOne, nil, func(scan scan) error {
			var one int64
			return scan(&one)
		})
	})
}
