package shards_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
)

// TestPicking: slots are picked from the shard with the most rooms on, until they hold as many as were asked for, and none of the target's.
func TestPicking(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 3)
	dbs := d.connect(t)
	fill := func(shard, slot, rooms int) {
		exec(t, dbs[shard], `INSERT INTO rooms (id, kind, name, folded, topic, avatar, data, settings, created_at, created_by, first, members, pair, deleted)
			SELECT $1::text || 'abc' || n, 'group', '', '', '', '', '', '', 0, 'ann', 1, 1, '', 0 FROM generate_series(1, $2::int) n`, slots.Prefix(slot), rooms)
	}
	fill(0, 3, 4)
	fill(0, 5, 4)
	fill(0, 9, 1)
	fill(1, 400, 3)
	fill(1, 401, 3)
	fill(2, 1000, 50) // the target
	fill(0, 500, 50)  // left over where another one serves the slot
	for _, tt := range []struct {
		rooms int
		want  []int
	}{
		{0, nil},
		{1, []int{3}},
		{4, []int{3}},
		{5, []int{3, 400}}, // the home has 5 then, and the other 6
		{8, []int{3, 5, 400}},
		{1000, []int{3, 5, 9, 400, 401}},
	} {
		var got []int
		if err := d.mover(t, nil, func(m *shards.Mover) (err error) {
			got, err = m.Pick(t.Context(), tt.rooms, "shard2")
			return err
		}); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%d rooms: %v, %v", tt.rooms, got, err)
		}
	}
	if err := d.mover(t, nil, func(m *shards.Mover) error { _, err := m.Pick(t.Context(), 1, "none"); return err }); err == nil {
		t.Error("to a shard that there is not")
	}
}

// TestTakingBack: a move that is still copying is undone by moving the slot to where it is, and one that has got further is not.
func TestTakingBack(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 2)
	n := d.node(t)
	room, _ := n.inBoth(t, "ann")
	n.say(t, "ann", room, "1", "word")
	dbs, slot := d.connect(t), []int{slots.Room(room)}
	before := holdings(t, dbs)
	killed := func(where string) error {
		return d.mover(t, func(_ int, point string) error {
			if point == where {
				return errors.New("by the test")
			}
			return nil
		}, func(m *shards.Mover) error { return m.Move(t.Context(), slot, "shard1") })
	}
	back := func() error {
		return d.mover(t, nil, func(m *shards.Mover) error { return m.Move(t.Context(), slot, store.Home) })
	}
	for i, where := range []string{"noted", "in hand", "copied events", "caught up"} {
		if err := killed(where); err == nil || len(differ(before, holdings(t, dbs))) == 0 {
			t.Fatalf("not killed at %s: %v", where, err)
		}
		if err := back(); err != nil {
			t.Errorf("killed at %s: %v", where, err)
		}
		if left := differ(before, holdings(t, dbs)); len(left) > 0 {
			t.Errorf("killed at %s, taken back, and not as it was:\n%s", where, strings.Join(left, "\n"))
		}
		n.say(t, "ann", room, fmt.Sprint("after", i), "word")
		before = holdings(t, dbs)
	}
	if err := killed("arrived"); err == nil {
		t.Fatal("not killed")
	}
	if err := back(); err == nil || !strings.Contains(err.Error(), "is on its way to shard1") {
		t.Errorf("taken back when both have it: %v", err)
	}
	if err := d.mover(t, nil, func(m *shards.Mover) error { return m.Move(t.Context(), slot, "shard1") }); err != nil {
		t.Fatal(err)
	}
	n.say(t, "ann", room, "there", "word")
}
