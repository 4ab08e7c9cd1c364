package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/store/database"
)

// Stats is what the log has done since the start, and what waits now.
type Stats struct {
	Transactions    uint64 // that were committed
	Events          uint64 // that they stored
	Cursors         uint64 // moves of cursors that they stored
	Failures        uint64 // attempts that failed; most are repeated
	Refused         uint64 // appends and moves answered `unavailable`
	Lanes           []LaneStats
	LaneBytes       int // what may wait in one lane
	Connections     int // of the store's, those that are used now
	ConnectionsMost int // how many there may be
}

// LaneStats is what waits in one lane of the log now.
type LaneStats struct {
	Name    string
	Waiting int // appends and moves
	Bytes   int
}

// Transaction is one transaction of the log, as Options.Observe is told of it.
type Transaction struct {
	Items  int           // appends and moves that it was tried for
	Waited time.Duration // by the first of them, until it began
	Took   time.Duration // until it was durable
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
		Failures: c.count.failures.Load(), Refused: c.count.refused.Load(), LaneBytes: c.queueMax,
	}
	for l, q := range c.lanes {
		q.mu.Lock()
		st.Lanes = append(st.Lanes, LaneStats{[...]string{database.Fast: "fast", database.Waiting: "waiting"}[l], len(q.items), q.bytes})
		q.mu.Unlock()
	}
	if e, ok := s.engine.(database.Pooled); ok {
		st.Connections, st.ConnectionsMost = e.Connections()
	}
	return st
}

var selectOne = database.SQL(`SELECT 1`)

// Ping asks whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.engine.Read(ctx, func(t database.Tx) error {
		return t.Query(ctx, selectOne, nil, func(scan database.Scan) error {
			var one int64
			return scan(&one)
		})
	})
}
