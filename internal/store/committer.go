package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/fault"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// The bounds of one transaction. A batch is what was waiting when the last one ended: one append when idle, hundreds when busy. There is no timer.
const (
	maxBatch     = 512 // appends and moves of one transaction
	maxPerRoom   = 64  // appends of one room while other rooms wait, so that a hot room does not hold up the rest
	maxAttempts  = 5   // of one transaction, before its appends are answered `unavailable`
	queueDefault = 64 << 20
	itemOverhead = 512 // bytes that an item holds beside its params
)

// committer is the log of one shard: appends wait in a queue per lane; a goroutine per lane takes what is there, commits it in one transaction and hands the
// answers to a second goroutine, so that the next transaction does not wait for them.
//
// The fast lane takes rooms that are free; rooms that another node holds go to the waiting lane and stay there until nothing of theirs waits in it, which keeps
// the order of a room's appends.
type committer struct {
	engine    database.Engine
	now       func() time.Time
	log       *slog.Logger
	committed chat.Committed
	rates     chat.Rates
	prepare   func([]*chat.Append)
	exist     func(context.Context, []string) (map[string]bool, error)
	fatal     func(error)
	queueMax  int
	observe   func(Transaction)
	count     counters

	lanes   [2]*queue
	telling sync.Mutex // one call of committed at a time
	workers [2]sync.WaitGroup
}

// item is one append or one move that waits.
type item struct {
	append *chat.Append
	done   func(answer any, err *protocol.Error)

	move  *chat.Move
	moved func(rows []chat.CursorRow, err *protocol.Error)

	users   map[string]bool // of those whom it names, who exist, where another shard was asked
	unknown bool            // it could not be

	rated    bool // its rate was taken: a repeated transaction takes none
	answered bool // only ever once
	answer   any
	rows     []chat.CursorRow
	err      *protocol.Error
	size     int
	queued   time.Time
}

// finish answers the caller.
func (it *item) finish() {
	if it.answered {
		return
	}
	it.answered = true
	if it.append != nil {
		it.done(it.answer, it.err)
		return
	}
	it.moved(it.rows, it.err)
}

// queue is what waits for one lane.
type queue struct {
	mu      sync.Mutex
	items   []*item
	bytes   int
	held    map[string]int // waiting lane: how many appends of a room are in it, taken ones included
	closed  bool
	wake    chan struct{}   // capacity 1: something waits, or the queue was closed
	answers chan *committed // transactions whose answers are due
}

// committed is a transaction that is over.
type committed struct {
	items  []*item
	commit *chat.Commit
}

func newCommitter(s *Store, o Options) *committer {
	c := &committer{
		engine: s.engine, now: o.Now, log: o.Log, committed: o.Committed, rates: o.Rates, prepare: o.Prepare, exist: o.Exist, fatal: o.Fatal, queueMax: o.QueueMax,
		observe: o.Observe,
	}
	if c.queueMax == 0 {
		c.queueMax = queueDefault
	}
	if c.observe == nil {
		c.observe = func(Transaction) {}
	}
	for l := range c.lanes {
		c.lanes[l] = &queue{wake: make(chan struct{}, 1), answers: make(chan *committed, 4), held: map[string]int{}}
		c.workers[l].Go(func() { c.work(database.Lane(l)) })
		c.workers[l].Go(func() { c.tell(c.lanes[l]) })
	}
	return c
}

// stop commits what waits and returns when everybody has been answered. Appends that come later are refused.
func (c *committer) stop() {
	for l, q := range c.lanes { // the fast lane first: what it cannot take goes to the waiting one
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
		q.signal()
		c.workers[l].Wait()
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Append implements chat.Log.
func (s *Store) Append(a *chat.Append, done func(answer any, err *protocol.Error)) {
	s.committer.put(&item{append: a, done: done, size: a.Size + itemOverhead})
}

// Move implements chat.Log.
func (s *Store) Move(m *chat.Move, done func(rows []chat.CursorRow, err *protocol.Error)) {
	s.committer.put(&item{move: m, moved: done, size: itemOverhead + 64*len(m.Rooms)})
}

func (c *committer) put(it *item) {
	it.queued = c.now()
	w := c.lanes[database.Waiting]
	w.mu.Lock() // until the item is in its queue, so that hold cannot move the room between the question and the answer
	q := c.lanes[database.Fast]
	if it.append != nil && w.held[it.append.Room] > 0 {
		w.held[it.append.Room]++
		q = w
	} else {
		q.mu.Lock()
	}
	taken := !q.closed && q.bytes+it.size <= c.queueMax
	if taken {
		q.items = append(q.items, it)
		q.bytes += it.size
	} else if q == w {
		w.held[it.append.Room]--
	}
	if q != w {
		q.mu.Unlock()
	}
	w.mu.Unlock()
	if !taken {
		c.count.refused.Add(1)
		it.err = unavailable()
		it.finish()
		return
	}
	q.signal()
}

// take waits for a batch; nil when the queue is closed and empty.
func (q *queue) take() []*item {
	for {
		q.mu.Lock()
		batch := q.pick()
		closed := q.closed
		q.mu.Unlock()
		if len(batch) > 0 || closed {
			return batch
		}
		<-q.wake
	}
}

// pick takes the next batch out of the queue, fairly between rooms; the caller holds mu.
func (q *queue) pick() []*item {
	if len(q.items) == 0 {
		return nil
	}
	perRoom := map[string]int{}
	batch := make([]*item, 0, min(len(q.items), maxBatch))
	var rest []*item
	var crowded []*item // of rooms over their share: taken only if nothing else waits
	for i, it := range q.items {
		if len(batch) == maxBatch {
			rest = q.items[i:]
			break
		}
		if it.append != nil {
			if perRoom[it.append.Room] == maxPerRoom {
				crowded = append(crowded, it)
				continue
			}
			perRoom[it.append.Room]++
		}
		batch = append(batch, it)
	}
	if len(perRoom) <= 1 {
		n := min(len(crowded), maxBatch-len(batch))
		batch = append(batch, crowded[:n]...)
		crowded = crowded[n:]
	}
	if q.items = rest; len(crowded) > 0 {
		q.items = append(crowded, rest...) // a room's own order is kept: what is left of it stands behind
	}
	for _, it := range batch {
		q.bytes -= it.size
	}
	return batch
}

// work is the goroutine of one lane.
func (c *committer) work(l database.Lane) {
	q := c.lanes[l]
	defer close(q.answers)
	for batch := q.take(); batch != nil; batch = q.take() {
		c.foretell(batch)
		c.findUsers(batch)
		c.commit(l, batch)
	}
}

// foretell has what has to be known about appends found out before their transaction begins.
func (c *committer) foretell(items []*item) {
	if c.prepare == nil {
		return
	}
	appends := make([]*chat.Append, 0, len(items))
	for _, it := range items {
		if it.append != nil && !it.rated {
			appends = append(appends, it.append)
		}
	}
	c.prepare(appends)
}

// timeoutFind bounds how long a transaction waits to begin for other shards to say which users exist.
const timeoutFind = 2 * time.Second

// findUsers has it found out of the users that appends name whether they exist, where that is not for this store to say.
func (c *committer) findUsers(items []*item) {
	if c.exist == nil {
		return
	}
	var named []*item
	var users []string
	for _, it := range items {
		if it.append == nil {
			continue
		}
		if need := it.append.Needs().Exist; len(need) > 0 {
			named, users = append(named, it), append(users, need...)
		}
	}
	if len(named) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeoutFind)
	defer cancel()
	exist, err := c.exist(ctx, users)
	if err != nil {
		c.log.Warn("finding out whether users exist", "error", err)
	}
	for _, it := range named {
		it.users, it.unknown = exist, err != nil
	}
}

// tell is the goroutine that answers for one lane, in the order of its commits.
func (c *committer) tell(q *queue) {
	for done := range q.answers {
		if done.commit != nil {
			c.count.transactions.Add(1)
			c.count.events.Add(uint64(len(done.commit.Events)))
			c.count.cursors.Add(uint64(len(done.commit.Cursors)))
		}
		if c.committed != nil && done.commit != nil && len(done.commit.Events)+len(done.commit.Cursors) > 0 {
			_ = fault.Here("append-publish")
			c.telling.Lock()
			c.committed(done.commit)
			c.telling.Unlock()
			_ = fault.Here("append-answer")
		}
		for _, it := range done.items {
			it.finish()
		}
		_ = fault.Here("append-answered")
	}
}

// commit carries out one batch, however often that takes. When it returns every item has been answered, or handed to the waiting lane.
func (c *committer) commit(l database.Lane, items []*item) {
	for attempt := 1; ; attempt++ {
		w, err := c.try(l, items)
		if err == nil {
			c.hold(w.passed)
			c.settle(l, slices.Concat(w.items, w.moved), w.commit())
			return
		}
		c.count.failures.Add(1)
		c.log.Warn("a transaction of the log failed", "items", len(items), "attempt", attempt, "error", err)
		switch {
		case errors.Is(err, database.ErrCommitUnknown) && w != nil:
			switch c.resolve(w) {
			case wasCommitted:
				c.hold(w.passed)
				c.settle(l, slices.Concat(w.items, w.moved), w.commit())
				return
			case isUnknown:
				c.refuse(l, items)
				return
			}
		case errors.Is(err, database.ErrBroken):
			c.refuse(l, items)
			c.fatal(err)
			return
		case !c.engine.Retryable(err):
			if len(items) == 1 {
				c.refuse(l, items)
				return
			}
			// One item must not fail its neighbours: the batch is halved until the one at fault stands alone.
			half := len(items) / 2
			c.commit(l, items[:half])
			c.commit(l, items[half:])
			return
		}
		if attempt == maxAttempts {
			c.refuse(l, items)
			return
		}
		pause(context.Background(), attempt)
	}
}

// try is one transaction. With an error that wraps database.ErrCommitUnknown the work is returned too.
func (c *committer) try(l database.Lane, items []*item) (*work, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	w := newWork(c, l, items)
	began := c.now()
	if err := fault.Here("append-begin"); err != nil {
		return nil, err
	}
	err := c.engine.Write(ctx, l, func(t database.Tx) error {
		if err := w.run(ctx, t); err != nil {
			return err
		}
		seedBug(w.items)
		return fault.Here("append-commit")
	})
	if err != nil && !errors.Is(err, database.ErrCommitUnknown) {
		return nil, err
	}
	_ = fault.Here("append-committed")
	if err == nil {
		ended := c.now()
		c.observe(Transaction{Items: len(items), Waited: began.Sub(items[0].queued), Took: ended.Sub(began)})
		w.trace(began, ended)
	}
	return w, err
}

// settle hands a finished transaction to the goroutine that answers.
func (c *committer) settle(l database.Lane, items []*item, commit *chat.Commit) {
	if l == database.Waiting {
		q := c.lanes[database.Waiting]
		q.mu.Lock()
		for _, it := range items {
			if it.append != nil {
				if q.held[it.append.Room]--; q.held[it.append.Room] == 0 {
					delete(q.held, it.append.Room)
				}
			}
		}
		q.mu.Unlock()
	}
	c.lanes[l].answers <- &committed{items, commit}
}

// refuse answers `unavailable`: the items may be sent again.
func (c *committer) refuse(l database.Lane, items []*item) {
	c.count.refused.Add(uint64(len(items)))
	for _, it := range items {
		it.err = unavailable()
	}
	c.settle(l, items, nil)
}

// hold moves appends of rooms that another node holds to the waiting lane.
func (c *committer) hold(items []*item) {
	if len(items) == 0 {
		return
	}
	rooms := map[string]bool{}
	for _, it := range items {
		rooms[it.append.Room] = true
	}
	// Later appends of these rooms may already wait in the fast lane: they follow, behind.
	f, w := c.lanes[database.Fast], c.lanes[database.Waiting]
	w.mu.Lock()
	defer w.mu.Unlock()
	f.mu.Lock()
	kept := f.items[:0]
	for _, it := range f.items {
		if it.append != nil && rooms[it.append.Room] {
			items = append(items, it)
			f.bytes -= it.size
		} else {
			kept = append(kept, it)
		}
	}
	clear(f.items[len(kept):])
	f.items = kept
	f.mu.Unlock()
	for _, it := range items {
		w.held[it.append.Room]++
		w.bytes += it.size
		w.items = append(w.items, it)
	}
	w.signal()
}
