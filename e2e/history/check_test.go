package history

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawn is a history without violations that rapid draws.
func drawn(t *rapid.T) []Entry {
	seed := rapid.Uint64().Draw(t, "seed")
	steps := rapid.IntRange(200, 1500).Draw(t, "steps")
	return seeded(seed, steps, 1+rapid.IntRange(0, 2).Draw(t, "rooms"), 3)
}

func seeded(seed uint64, steps, rooms, people int) []Entry {
	w := newWorld(rand.New(rand.NewPCG(seed, 1)).IntN, rooms, people)
	for range steps {
		w.step()
	}
	return w.end()
}

// A history that keeps every promise is found to keep it.
func TestCheckAcceptsWhatIsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := drawn(t)
		if err := Check(entries, Options{CatchUp: time.Minute}).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// Every breach is found, wherever it is.
func TestCheckFindsBreaches(t *testing.T) {
	covered := map[Invariant]bool{}
	for _, b := range breaches() {
		covered[b.invariant] = true
		t.Run(string(b.invariant)+" "+b.name, func(t *testing.T) {
			tried := 0
			rapid.Check(t, func(t *rapid.T) {
				entries := drawn(t)
				random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "place"), 2))
				broken := b.in(random.IntN, entries)
				if broken == nil {
					return
				}
				tried++
				if r := Check(broken, Options{CatchUp: time.Minute}); r.Violated[b.invariant] == 0 {
					t.Fatalf("it was not found; found was: %v", r.Err())
				}
			})
			if tried < 5 {
				t.Errorf("only %d histories had a place for it", tried)
			}
		})
	}
	for _, i := range invariants {
		if !covered[i] {
			t.Errorf("no breach of %s is tried", i)
		}
	}
}

// A history can be written, and reads the same.
func TestWriteAndRead(t *testing.T) {
	entries := seeded(1, 3000, 2, 3)
	var b bytes.Buffer
	if err := Write(&b, entries); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entries, back); diff != "" {
		t.Error(diff)
	}
	if _, err := Read(bytes.NewReader([]byte(`{"op":"conn","conn":"nobody"}`))); err == nil {
		t.Error("a connection without a number was read")
	}
}

// 200,000 events are judged in a fraction of a second.
func TestCheckManyEvents(t *testing.T) {
	entries := seeded(1, 100_000, 20, 40)
	began := time.Now()
	r := Check(entries, Options{CatchUp: time.Minute})
	t.Logf("%v in %v", r, time.Since(began))
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if r.Entries < 200_000 {
		t.Errorf("only %d entries", r.Entries)
	}
}

func BenchmarkCheck(b *testing.B) {
	entries := seeded(1, 100_000, 20, 40)
	for b.Loop() {
		Check(entries, Options{CatchUp: time.Minute})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(entries)), "ns/entry")
}

// Who was removed and added again while away may be told what was said in between when they are back, and not before.
func TestCheckReturningMember(t *testing.T) {
	ann, bob := Conn{User: "ann", Session: 1}, Conn{User: "bob", Session: 1}
	log := []Entry{
		{Name: roomCreated, By: "ann", Users: []string{"ann", "bob"}},
		{Name: memberLeft, By: "ann", Users: []string{"bob"}},
		{Name: messageCreated, By: "ann", CID: "1", N: 1},
		{Name: memberJoined, By: "ann", Users: []string{"bob"}},
	}
	for i := range log {
		log[i].Op, log[i].Phase, log[i].Room, log[i].Seq, log[i].Node = Log, OK, "r", uint64(i+1), "one"
	}
	told := func(leak bool) []Entry {
		entries := []Entry{{Op: Send, Phase: Invoke, Conn: ann, Room: "r", CID: "1"}, {Op: Send, Phase: OK, Conn: ann, Room: "r", CID: "1", Seq: 3}}
		back := []Entry{received(Recv, bob, &log[1]), received(Recv, bob, &log[2])}
		if leak {
			entries = append(entries, back...)
		}
		for i := range log {
			entries = append(entries, received(Recv, ann, &log[i]))
		}
		if !leak {
			entries = append(entries, back...)
		}
		entries = append(append(entries, received(Recv, bob, &log[3])), log...)
		for i := range entries {
			entries[i].T = time.Duration(i) * time.Millisecond
		}
		return entries
	}
	if err := Check(told(false), Options{}).Err(); err != nil {
		t.Errorf("a member who is back: %v", err)
	}
	if r := Check(told(true), Options{}); r.Violated[Private] != 1 {
		t.Errorf("a member who is not back yet: %v", r.Err())
	}
}
