package rates

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/state"
)

const (
	mostAhead = 50 // tokens that are leased beyond what is needed now, and at most a fifth of the burst

	leastLease = time.Second // for a token that is held because another limit stands in the way shall not have to be leased over and over

	prepareTimeout = 100 * time.Millisecond // after which Prepare goes on without the shared buckets
	aloneTime      = time.Second            // for how long this node then gives its share by itself
	countEvery     = 5 * time.Second        // asks how many nodes there are, and forgets what is not needed any more
	askers         = 32                     // questions to the shared buckets at a time
	maxQuestions   = 1024                   // that wait for these
)

// Quotas are buckets that the nodes of a cluster share, given from without a round trip: of each bucket in use the node leases a quota, some tokens at a time,
// and gives from it by itself. Prepare leases, ahead of time, and may wait; Take does not.
//
// Whatever a node gives was taken of the shared bucket, so that the nodes together give no more than one bucket would. A token that was leased and not used ends
// when the shared bucket has regained it, or after a second if that is later, the one that ends first being given first: quota and bucket together hold no more
// than the burst, but for what a node holds within that second.
//
// While the shared buckets do not answer, each node gives its share of every limit, which is the limit divided by the nodes that there were; they are tried
// again a second later. Methods may be called from any goroutine.
type Quotas struct {
	shared state.Buckets
	own    state.Buckets // the share, while the shared ones do not answer
	count  func(context.Context) (int, error)
	now    func() time.Time
	log    *slog.Logger

	questions chan *question
	leased    atomic.Uint64

	mu     sync.Mutex // guards what follows; held over no call
	quotas map[state.Bucket]*quota
	nodes  int
	alone  bool      // this node gives its share by itself, until the shared buckets answer in time
	retry  time.Time // when they are asked again
}

var _ state.Buckets = (*Quotas)(nil)

// quota is what the node holds of a bucket. Times are Unix nanoseconds.
type quota struct {
	limit state.Limit
	left  int
	ahead int       // what is leased beyond need: more when that was used up, less when it has ended unused
	ends  int64     // when the last token that is left ends; each before it an interval earlier
	empty int64     // until when the shared bucket has no token
	heard bool      // the shared bucket has been asked, and has answered
	asked *question // nil: none is under way
}

// question is one lease that is under way.
type question struct {
	bucket state.Bucket
	limit  state.Limit
	want   int
	done   chan struct{}
}

// QuotaOptions are what Quotas need.
type QuotaOptions struct {
	Shared state.Buckets                      // of all nodes
	Own    state.Buckets                      // this node's alone
	Nodes  func(context.Context) (int, error) // how many nodes share the buckets
	Now    func() time.Time
	Log    *slog.Logger
}

// NewQuotas makes quotas with nothing in them. Run must be called, or Prepare waits in vain.
func NewQuotas(o QuotaOptions) *Quotas {
	return &Quotas{
		shared: o.Shared, own: o.Own, count: o.Nodes, now: o.Now, log: o.Log,
		questions: make(chan *question, maxQuestions), quotas: map[state.Bucket]*quota{}, nodes: 1,
	}
}

// Run leases until ctx ends.
func (q *Quotas) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for range askers {
		workers.Go(func() {
			for {
				select {
				case asked := <-q.questions:
					q.lease(ctx, asked)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	ticker := time.NewTicker(countEvery)
	defer ticker.Stop()
	for {
		if n, err := q.count(ctx); err == nil {
			q.mu.Lock()
			q.nodes = max(1, n)
			q.mu.Unlock()
		}
		q.sweep()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep forgets quotas in which there is nothing.
func (q *Quotas) sweep() {
	now := q.now().UnixNano()
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := map[state.Bucket]*quota{} // because a map does not give back what it once needed
	for name, held := range q.quotas {
		if held.asked != nil || held.have(now) > 0 || held.waits(now) > 0 {
			kept[name] = held
		}
	}
	q.quotas = kept
}

// have is how many tokens there are.
func (h *quota) have(now int64) int {
	if h.left == 0 || h.ends <= now {
		return 0
	}
	return min(h.left, int((h.ends-now+int64(h.limit.Interval)-1)/int64(h.limit.Interval)))
}

// settle lets go of what has ended.
func (h *quota) settle(now int64) {
	have := h.have(now)
	if have < h.left {
		h.ahead /= 2
	}
	h.left = have
}

// waits is for how long the shared bucket has no token, as far as is known. What lies further ahead than it takes to fill it is of a clock that was set back.
func (h *quota) waits(now int64) time.Duration {
	if wait := time.Duration(h.empty - now); 0 < wait && wait <= h.limit.Span {
		return wait
	}
	return 0
}

// Prepare sees to it that there is a quota for charges that Take is about to be asked for, as far as their buckets have one. It waits for what has to be leased
// first, but no longer than a tenth of a second. Charges may name a bucket several times.
func (q *Quotas) Prepare(charges []state.Charge) {
	need := map[state.Bucket]state.Charge{}
	for _, c := range charges {
		if c.Limit.Interval > 0 {
			c.Count += need[c.Bucket].Count
			need[c.Bucket] = c
		}
	}
	deadline := time.NewTimer(prepareTimeout)
	defer deadline.Stop()
	for range 2 { // a question of somebody else's may have been for less
		lacking := q.ask(need)
		for _, asked := range lacking {
			select {
			case <-asked.done:
			case <-deadline.C:
				q.goAlone(errors.New("no answer in time"))
				return
			}
		}
		if len(lacking) == 0 {
			return
		}
	}
}

// ask asks for what runs low, and returns the questions without whose answers there is not enough.
func (q *Quotas) ask(need map[state.Bucket]state.Charge) (lacking []*question) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.alone && q.now().Before(q.retry) {
		return nil
	}
	now := q.now().UnixNano()
	for name, c := range need {
		held := q.quotas[name]
		if held == nil {
			held = &quota{limit: c.Limit}
			q.quotas[name] = held
		}
		held.settle(now)
		if held.left >= c.Count+held.ahead/2 || held.waits(now) > 0 {
			continue
		}
		if held.asked == nil {
			if held.heard && held.left <= held.ahead/2 {
				held.ahead = min(2*held.ahead+1, burstOf(c.Limit)/5, mostAhead)
			}
			asked := &question{bucket: name, limit: c.Limit, want: min(c.Count+held.ahead-held.left, burstOf(c.Limit)), done: make(chan struct{})}
			select {
			case q.questions <- asked:
				held.asked = asked
			default: // the next Prepare asks
				continue
			}
		}
		if held.left < c.Count {
			lacking = append(lacking, held.asked)
		}
	}
	return lacking
}

func burstOf(l state.Limit) int { return int(l.Span / l.Interval) }

// lease carries out a question.
func (q *Quotas) lease(ctx context.Context, asked *question) {
	now := q.now() // before it is asked: the shared bucket regains nothing earlier
	got, wait, err := q.leaseMost(ctx, now, asked)
	if err != nil && ctx.Err() == nil {
		q.goAlone(err)
	}
	q.leased.Add(uint64(got))
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil && q.alone && q.now().Sub(now) < prepareTimeout {
		q.alone = false
		q.log.Info("the shared rate buckets answer again")
	}
	held := q.quotas[asked.bucket] // which is kept while it is asked for
	if held.asked = nil; err == nil {
		held.heard = true
		held.settle(now.UnixNano())
		held.left += got
		held.ends = now.Add(max(time.Duration(held.left)*held.limit.Interval, leastLease)).UnixNano()
		held.empty = now.Add(wait).UnixNano()
	}
	close(asked.done)
}

// leaseMost takes what is wanted, or else as many as there are; wait is until there is one more then, 0 where there may be one already.
func (q *Quotas) leaseMost(ctx context.Context, now time.Time, asked *question) (got int, wait time.Duration, err error) {
	interval := asked.limit.Interval
	for want := asked.want; ; {
		r, err := q.shared.Take(ctx, now, []state.Charge{{Bucket: asked.bucket, Limit: asked.limit, Count: want}})
		if err != nil {
			return 0, 0, err
		}
		if r.Wait == 0 {
			return want, wait, nil
		}
		level := time.Duration(want)*interval - r.Wait // what the bucket holds, in time
		if level < interval {
			return 0, max(interval-level, 0), nil
		}
		want = min(int(level/interval), want-1) // fewer each time: others take meanwhile
		wait = interval - level%interval
	}
}

// goAlone has this node give its share by itself for a moment.
func (q *Quotas) goAlone(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.retry = q.now().Add(aloneTime)
	if !q.alone {
		q.alone = true
		q.log.Warn("the shared rate buckets do not answer: this node gives its share of each limit by itself", "nodes", q.nodes, "error", err)
	}
}

// Take implements state.Buckets, without asking anybody: a charge for which Prepare has had no answer comes out of this node's share. Where the quota is used up
// and it is not known when there will be more, one waits as long as it takes a bucket to regain what is charged.
func (q *Quotas) Take(ctx context.Context, now time.Time, charges []state.Charge) (state.Refusal, error) {
	refusal, alone := q.give(now.UnixNano(), charges)
	if alone > 0 {
		return q.own.Take(ctx, now, shares(charges, alone))
	}
	return refusal, nil
}

// give takes charges from the quotas. alone is 0, or by how many nodes this one has to divide the limits because the quotas are not known.
func (q *Quotas) give(at int64, charges []state.Charge) (refusal state.Refusal, alone int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.alone {
		return state.Refusal{}, q.nodes
	}
	for i, c := range charges {
		if c.Limit.Interval == 0 {
			continue
		}
		held := q.quotas[c.Bucket]
		if held == nil || !held.heard {
			return state.Refusal{}, q.nodes
		}
		if held.have(at) >= c.Count {
			continue
		}
		wait := c.Limit.Interval * time.Duration(c.Count)
		if known := held.waits(at); known > 0 {
			wait += known - c.Limit.Interval
		}
		if wait > refusal.Wait {
			refusal = state.Refusal{Charge: i, Wait: wait}
		}
	}
	if refusal.Wait > 0 {
		return refusal, 0
	}
	for _, c := range charges {
		if c.Limit.Interval > 0 {
			held := q.quotas[c.Bucket]
			held.settle(at)
			held.left -= c.Count
		}
	}
	return state.Refusal{}, 0
}

// shares are the charges under a node's share of their limits: of the burst at least one.
func shares(charges []state.Charge, nodes int) []state.Charge {
	list := make([]state.Charge, len(charges))
	for i, c := range charges {
		if list[i] = c; c.Limit.Interval > 0 {
			interval := c.Limit.Interval * time.Duration(nodes)
			list[i].Limit = state.Limit{Interval: interval, Span: interval * time.Duration((burstOf(c.Limit)+nodes-1)/nodes)}
		}
	}
	return list
}

// QuotaStats are what Quotas are doing and have done.
type QuotaStats struct {
	Leased  uint64 // tokens since the start
	Buckets int    // of which something is held or known
	Alone   bool   // this node gives its share of each limit by itself
	Nodes   int    // that share the limits, as was known last
}

// Stats are what the quotas are doing now.
func (q *Quotas) Stats() QuotaStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QuotaStats{Leased: q.leased.Load(), Buckets: len(q.quotas), Alone: q.alone, Nodes: q.nodes}
}
