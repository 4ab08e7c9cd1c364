package history

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// talk is a small history of sends and reads alone, of four users in one room.
func talk(seed uint64) []Entry {
	w := newWorld(rand.New(rand.NewPCG(seed, 3)).IntN, 1, 4)
	r := w.rooms[0]
	for range 400 {
		p := one(w, w.people)
		switch w.pick(4) {
		case 0:
			w.send(p, r, r.members[p])
		case 1:
			w.commit()
		case 2:
			w.answer()
		case 3:
			since := w.now
			w.now += time.Microsecond
			w.add(Entry{Op: Sync, Phase: OK, Since: since, Conn: p.conn, Room: r.id, Seq: uint64(len(r.log))})
		}
	}
	return w.end()
}

// Two opinions on small histories, right ones and wrong ones, agree where both can say something.
func TestSecondOpinion(t *testing.T) {
	var wrong, undecided int
	rapid.Check(t, func(t *rapid.T) {
		entries := talk(rapid.Uint64Range(0, 10_000).Draw(t, "seed"))
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "place"), 2))
		switch rapid.IntRange(0, 2).Draw(t, "wrong") {
		case 1:
			if other := swapped(random.IntN, slices.Clone(entries)); other != nil {
				entries = other
			}
		case 2:
			if i := where(random.IntN, entries, func(i int) bool { return is(Sync, OK)(entries[i]) && entries[i].Seq > 2 }); i >= 0 {
				entries[i].Seq = 1
			}
		}
		r := Check(entries, Options{})
		ours := r.Violated[RealTime]+r.Violated[OwnWrites]+r.Violated[Monotonic] > 0
		illegal, unknown := Linearizable(entries, 5*time.Second)
		undecided += len(unknown)
		if ours {
			wrong++
			if len(illegal)+len(unknown) == 0 {
				t.Fatalf("only Check finds something: %v", r.Err())
			}
		}
	})
	t.Logf("%d were wrong, %d undecided", wrong, undecided)
	if wrong == 0 {
		t.Error("nothing was wrong: this tested nothing")
	}
	for seed := range uint64(20) {
		if illegal, _ := Linearizable(talk(seed), 5*time.Second); len(illegal) > 0 {
			t.Errorf("history %d is right, and called illegal", seed)
		}
	}
}
