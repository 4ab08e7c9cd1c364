package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// shards are how many parts a latency is kept in, so that readers seldom meet.
const shards = 16

// latency gathers durations from many goroutines.
type latency struct {
	parts [shards]struct {
		mu sync.Mutex
		h  *hdrhistogram.Histogram
		_  [40]byte // a cache line of its own
	}
}

func newLatency() *latency {
	l := new(latency)
	for i := range l.parts {
		l.parts[i].h = emptyHistogram()
	}
	return l
}

// emptyHistogram counts microseconds up to ten minutes.
func emptyHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }

// add counts one duration; who spreads the work.
func (l *latency) add(who int, d time.Duration) {
	part := &l.parts[who%shards]
	part.mu.Lock()
	part.h.RecordValue(max(d.Microseconds(), 1)) // beyond ten minutes it is not counted
	part.mu.Unlock()
}

// quantiles are those of everything counted.
func (l *latency) quantiles() Quantiles {
	all := emptyHistogram()
	for i := range l.parts {
		l.parts[i].mu.Lock()
		all.Merge(l.parts[i].h)
		l.parts[i].mu.Unlock()
	}
	if all.TotalCount() == 0 {
		return Quantiles{}
	}
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	return Quantiles{
		P50: ms(all.ValueAtQuantile(50)), P99: ms(all.ValueAtQuantile(99)), P999: ms(all.ValueAtQuantile(99.9)), Max: ms(all.Max()),
	}
}
