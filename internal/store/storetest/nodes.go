package storetest

import (
	"time"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/protocol"
)

// testNodes has nodes tell of themselves. A SQLite store has one, which knows itself.
func testNodes(f *fixture) {
	now := protocol.At(f.clock.now()).Go()
	one := cluster.Node{ID: "one", Address: "10.0.0.1:9090", Version: "1.2", Level: 3, Settings: map[string]string{"a": "1", "b": ""}, BeatAt: now}
	ofOld := cluster.Node{ID: "old", BeatAt: now}
	announce := func(n cluster.Node) {
		f.Helper()
		_, err := f.store.AnnounceNode(f.Context(), &n)
		f.must(err)
	}
	live := func(what string, want ...cluster.Node) {
		f.Helper()
		got, err := f.store.LiveNodes(f.Context())
		f.must(err)
		if !f.postgres() {
			want = nil
		}
		f.equal(what, got, want)
	}
	live("nobody")
	announce(one)
	f.must(f.store.Beat(f.Context(), "old"))
	live("two nodes", ofOld, one)
	f.clock.advance(30 * time.Second)
	one.Address, one.Settings, one.BeatAt = "10.0.0.2:9090", nil, protocol.At(f.clock.now()).Go()
	announce(one)
	f.clock.advance(30 * time.Second)
	live("one has beaten again, with what it is now", one)
	f.must(f.store.Beat(f.Context(), "one"))
	one.BeatAt = protocol.At(f.clock.now()).Go()
	live("a beat keeps what was told", one)

	s := f.opened("ann", "phone", "one")
	f.must(f.store.WithdrawNode(f.Context(), "one"))
	live("one has ended")
	f.equal("sessions on nodes that live", len(f.sessions("ann")), 0)
	announce(one)
	f.equal("a node that is back has its sessions", f.sessions("ann")[0].ID, s.ID)
	f.must(f.store.WithdrawNode(f.Context(), "never was"))
}
