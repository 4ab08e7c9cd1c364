package presence

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-im/parley/protocol"
)

// However sessions come and go, a user arrives and departs in turn, departs only after 10 s without a session, and does then.
func TestAttendance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			a        attendance
			now      protocol.Time = 1
			sessions int
			online   bool
			waiting  []protocol.Time // when those pauses began that Run was told of
		)
		take := func(e event, at protocol.Time) {
			var effect effect
			a, effect = a.step(e, at)
			switch effect {
			case none:
			case arrives:
				if online || sessions != 1 {
					t.Fatalf("arrives, online %v, with %d sessions", online, sessions)
				}
				online = true
			case pauses:
				if sessions != 0 {
					t.Fatalf("pauses with %d sessions", sessions)
				}
				waiting = append(waiting, at)
			case departs:
				if !online || sessions != 0 {
					t.Fatalf("departs, online %v, with %d sessions", online, sessions)
				}
				online = false
			}
			if a.sessions != sessions || online != (a != attendance{}) {
				t.Fatalf("%+v with %d sessions, online %v", a, sessions, online)
			}
		}
		pass := func(d protocol.Time) {
			for now += d; len(waiting) > 0 && now-waiting[0] >= protocol.Time(grace.Milliseconds()); waiting = waiting[1:] {
				was := online
				alone := sessions == 0 && a.left == waiting[0]
				take(waited, waiting[0])
				if was && online == alone {
					t.Fatalf("after a pause from %d: online %v, %+v", waiting[0], online, a)
				}
			}
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				sessions++
				take(began, now)
			case 1:
				if sessions > 0 {
					sessions--
					take(ended, now)
				}
			case 2:
				pass(protocol.Time(rapid.SampledFrom([]int{1, 100, 5000, 9999, 10_000, 60_000}).Draw(t, "pause")))
			}
			if sessions > 0 && !online {
				t.Fatal("offline with a session")
			}
		}
		for ; sessions > 0; take(ended, now) {
			sessions--
		}
		pass(10_000)
		if online {
			t.Fatal("online for ever")
		}
	})
}
