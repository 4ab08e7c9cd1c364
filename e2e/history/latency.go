package history

import (
	"fmt"
	"slices"
	"time"
)

// Delivery is one message that reached one session: from the moment in which it was given to its sender's client until it was seen.
type Delivery struct {
	Sent     time.Duration // when
	Took     time.Duration
	From, To string // the nodes of the two sessions
}

// Across says that the message went from one node to another.
func (d Delivery) Across() bool { return d.From != d.To }

// Deliveries are those of a history to others than the sender, as far as both had a session.
func Deliveries(entries []Entry) []Delivery {
	type name struct {
		room string
		key
	}
	type origin struct {
		at   time.Duration
		node string
	}
	nodes := map[Conn]string{}
	sends := map[name]origin{}
	var found []Delivery
	for i := range entries {
		switch e := &entries[i]; {
		case e.Op == Session:
			nodes[e.Conn.device()] = e.Node
		case e.Op == Send && e.Phase == Invoke:
			sends[name{e.Room, key{e.Conn.User, e.CID}}] = origin{e.T, nodes[e.Conn.device()]}
		case e.Op == Recv && e.Conn.User != e.By:
			from, ok := sends[name{e.Room, key{e.By, e.CID}}]
			if here := nodes[e.Conn.device()]; ok && from.node != "" && here != "" {
				found = append(found, Delivery{from.at, e.T - from.at, from.node, here})
			}
		}
	}
	return found
}

// Percentiles tell how long deliveries took: half of them, 99 of 100, and all.
type Percentiles struct {
	Count         int
	P50, P99, Max time.Duration
}

// Of are the percentiles of the deliveries that fit.
func Of(deliveries []Delivery, fits func(Delivery) bool) Percentiles {
	var took []time.Duration
	for _, d := range deliveries {
		if fits(d) {
			took = append(took, d.Took)
		}
	}
	if len(took) == 0 {
		return Percentiles{}
	}
	slices.Sort(took)
	return Percentiles{len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}

// String is "p50 1.2ms, p99 3ms, at most 4ms (of 1000)".
func (p Percentiles) String() string {
	short := func(d time.Duration) time.Duration {
		if d < 100*time.Millisecond {
			return d.Round(100 * time.Microsecond)
		}
		return d.Round(time.Millisecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, at most %v (of %d)", short(p.P50), short(p.P99), short(p.Max), p.Count)
}
