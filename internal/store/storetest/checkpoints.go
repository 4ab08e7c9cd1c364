package storetest

import (
	"time"
)

func testCheckpoints(f *fixture) {
	save := func(session string, number uint64, positions string) {
		f.Helper()
		f.must(f.store.SaveCheckpoint(f.Context(), session, number, []byte(positions)))
	}
	has := func(what, session string, number uint64, want string) {
		f.Helper()
		positions, err := f.store.Checkpoint(f.Context(), session, number)
		f.must(err)
		f.equal(what, string(positions), want)
		f.equal(what+", is there", positions != nil, want != "")
	}
	one := f.opened("ann", "phone", "n1").ID
	two := f.opened("bob", "phone", "n2").ID
	has("before any", one, 1, "")
	save(one, 1, "first")
	save(one, 1, "first")
	save(one, 2, "second")
	save(two, 1, "bob's")
	has("the one before the last", one, 1, "first")
	has("the last", one, 2, "second")
	save(one, 3, "third")
	has("the one before that", one, 1, "")
	has("the one before the last", one, 2, "second")
	has("another session's", two, 1, "bob's")
	f.restart()
	has("after a restart", one, 3, "third")

	// A day after its last use one goes, as soon as others are made; those of a node's live sessions are in use.
	f.clock.advance(12 * time.Hour)
	f.must(f.store.KeepCheckpoints(f.Context(), "n1"))
	f.clock.advance(12*time.Hour + time.Millisecond)
	save("another", 1, "theirs")
	has("of a live session", one, 3, "third")
	has("unused for a day", two, 1, "")
	f.must(f.store.End(f.Context(), []string{one}))
	f.must(f.store.KeepCheckpoints(f.Context(), "n1"))
	f.clock.advance(12 * time.Hour)
	save("another", 2, "theirs")
	has("of a session that has ended", one, 3, "")
}
