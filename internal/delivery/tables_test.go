package delivery

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-im/parley/protocol"
)

func TestTheTableOfRoomsIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := &rooms{seed: maphash.MakeSeed()}
		model := map[string]*room{}
		id := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("r_", rapid.IntRange(0, 3000).Draw(t, "room")) })
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				for i := range rapid.IntRange(1, 400).Draw(t, "n") {
					id := fmt.Sprint(id.Draw(t, "id"), "_", i)
					r := table.open(id)
					if known := model[id]; known != nil && known != r || r.id != id || table.slab.get(r.index) != r {
						t.Fatalf("open %s: %+v", id, r)
					}
					model[id] = r
				}
			},
			"remove": func(*rapid.T) {
				n := 0
				for id, r := range model {
					if n++; n > len(model)/2 {
						break
					}
					table.remove(r)
					delete(model, id)
				}
			},
			"": func(t *rapid.T) {
				for id, r := range model {
					if table.get(id) != r {
						t.Fatalf("%s is not there", id)
					}
				}
				if r := table.get(id.Draw(t, "other")); r != nil && model[r.id] != r {
					t.Fatalf("%s is still there", r.id)
				}
				if n, _ := table.slab.count(); int(n) != len(model) {
					t.Fatalf("%d rooms have an index, %d are there", n, len(model))
				}
			},
		})
	})
}

func TestTheRingKeepsTheLatest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const budget = 20 * (entryBytes + 100)
		ring := recent{budget: budget, rings: map[*room][]*entry{}}
		rooms := []*room{{id: "a"}, {id: "b"}, {id: "c"}}
		next := map[*room]protocol.Seq{}
		kept := []*entry(nil) // the model: everything kept, oldest first
		of := map[*entry]*room{}
		now, at := time.Unix(1_000_000, 0), map[*entry]time.Time{}
		any := rapid.SampledFrom(rooms)
		t.Repeat(map[string]func(*rapid.T){
			"keep": func(t *rapid.T) {
				r := any.Draw(t, "room")
				if rapid.IntRange(0, 9).Draw(t, "gap") == 0 { // a room that was unbound in between
					next[r] += 5
					kept = slices.DeleteFunc(kept, func(e *entry) bool { return of[e] == r })
				}
				var run []*entry
				for range rapid.IntRange(1, 8).Draw(t, "n") {
					next[r]++
					e := &entry{seq: next[r], frame: make([]byte, rapid.IntRange(1, 200).Draw(t, "size"))}
					of[e], at[e] = r, now
					run = append(run, e)
				}
				ring.keep(r, run, now)
				kept = append(kept, run...)
				for size(kept) > budget {
					kept = kept[1:]
				}
			},
			"drop": func(t *rapid.T) {
				r := any.Draw(t, "room")
				ring.drop(r)
				kept = slices.DeleteFunc(kept, func(e *entry) bool { return of[e] == r })
			},
			"expire": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
				ring.expire(now)
				kept = slices.DeleteFunc(kept, func(e *entry) bool { return now.Sub(at[e]) >= recentTime })
			},
			"": func(t *rapid.T) {
				if ring.size() != size(kept) {
					t.Fatalf("%d bytes, want %d", ring.size(), size(kept))
				}
				for _, r := range rooms {
					var want []*entry
					for _, e := range kept {
						if of[e] == r {
							want = append(want, e)
						}
					}
					for i, e := range want {
						if got := ring.read(r, e.seq, 1<<30); !slices.Equal(got, want[i:]) {
							t.Fatalf("from %d: %d entries, want %d", e.seq, len(got), len(want)-i)
						}
					}
					if got := ring.read(r, next[r]+1, 1<<30); got != nil {
						t.Fatalf("read what is to come: %v", got)
					}
				}
			},
		})
	})
}

func size(list []*entry) (n int) {
	for _, e := range list {
		n += e.cost()
	}
	return n
}

func TestTheRingReadsAboutAsMuchAsAsked(t *testing.T) {
	ring := recent{budget: 1 << 20, rings: map[*room][]*entry{}}
	r := &room{}
	var run []*entry
	for i := range 10 {
		run = append(run, &entry{seq: protocol.Seq(i + 1), frame: make([]byte, 100)})
	}
	ring.keep(r, run, time.Unix(0, 0))
	if got := len(ring.read(r, 3, 250)); got != 3 {
		t.Errorf("%d entries of 100 bytes for 250", got)
	}
}

func TestTheAgendaKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agenda{now: time.Now, wake: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			a.run(ctx)
			close(done)
		}()
		start := time.Now()
		var got []time.Duration
		for _, d := range []time.Duration{3, 1, 0, 2, 2, 7200} {
			a.at(start.Add(d*time.Second), func() { got = append(got, time.Since(start)/time.Second) })
		}
		time.Sleep(3 * time.Hour)
		cancel()
		<-done
		if want := []time.Duration{0, 1, 2, 2, 3, 7200}; !slices.Equal(got, want) {
			t.Errorf("done after %v, want %v", got, want)
		}
	})
}

func TestNewsIsCounted(t *testing.T) {
	n, now := &news{peers: map[string]*peer{}}, time.Now()
	for _, number := range []uint64{2, 1, 1, 4} {
		n.received("a", number)
	}
	for i, c := range []struct {
		sent uint64
		want bool
	}{
		{2, true},  // 4 may be on its way before the probe that counts it
		{4, false}, // 3 is missing
		{4, true},  // the store has been asked
		{1, true},  // a node that has begun anew
		{2, false},
	} {
		if got := n.complete("a", uint64(i+1), c.sent, now); got != c.want {
			t.Errorf("probe %d, which says %d: complete is %v", i, c.sent, got)
		}
	}
	if n.complete("a", 5, 2, now) {
		t.Error("a node that counts its probes anew is taken for the one that it was")
	}
	if n.silent(now.Add(silence)) || !n.silent(now.Add(silence+1)) || n.silent(now.Add(silence+1)) {
		t.Error("a node that is heard of no more is not missed once")
	}
	for i := range 3 * maxPeers {
		n.received(fmt.Sprint("node", i), uint64(2+i))
	}
	if len(n.peers) > maxPeers {
		t.Errorf("%d nodes are remembered", len(n.peers))
	}
	for i := range 2 * maxAbove {
		n.received("b", uint64(i+2))
	}
	if got := len(n.peers["b"].above); got > maxAbove {
		t.Errorf("%d numbers are remembered", got)
	}
}
