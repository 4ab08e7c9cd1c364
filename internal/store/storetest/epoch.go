package storetest

import (
	"time"

	"github.com/parley-im/parley/internal/store"
)

// testNewEpoch: servers have a new epoch from their next start on, and none is given while one of them lives.
func testNewEpoch(f *fixture) {
	before := f.store.Epoch()
	f.must(f.store.Beat(f.Context(), "n_1"))
	if f.postgres() { // a SQLite store is held by its server: nobody gets as far as this
		f.fails(f.store.NewEpoch(f.Context()), store.ErrInUse)
		f.clock.advance(time.Minute)
	}
	f.must(f.store.NewEpoch(f.Context()))
	f.restart()
	if f.store.Epoch() == before {
		f.Errorf("after a new epoch it is still %s", before)
	}
}
