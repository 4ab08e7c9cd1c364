package shards_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// beginFeeds has jobs made in all shards.
func (n *node) beginFeeds(t *testing.T) {
	t.Helper()
	for _, s := range n.store.Stores() {
		if err := s.Feed().Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// stepping is a feed of which something is done once, after the first jobs of a room were made.
type stepping struct {
	feed.Keeper
	room string
	then func()
}

func (s *stepping) Again(ctx context.Context, room string, after protocol.Seq, since protocol.Time, queue string) (int, protocol.Seq, error) {
	events, last, err := s.Keeper.Again(ctx, room, after, since, queue)
	if room == s.room && after == 0 {
		s.then()
	}
	return events, last, err
}

// TestReplayWhileSlotsGo: a replay of all rooms leaves out none of a slot that moves meanwhile, forward to a shard that is not through or back to one that is.
func TestReplayWhileSlotsGo(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 2)
	n := d.node(t)
	n.beginFeeds(t)
	home, other := n.inBoth(t, "ann")
	for i := range 1001 { // more than one step
		n.say(t, "ann", home, fmt.Sprint(i), "word")
	}
	n.say(t, "ann", other, "1", "word")
	n.relays(t)
	move := func(room, to string) {
		if err := d.mover(t, nil, func(m *shards.Mover) error { return m.Move(t.Context(), []int{slots.Room(room)}, to) }); err != nil {
			t.Error(err)
		}
	}
	k := &stepping{n.store.Feed(), home, func() { move(home, "shard1"); move(other, "home") }}
	if _, err := feed.Replay(t.Context(), k, "", 0, "again"); err != nil {
		t.Fatal(err)
	}
	for i, db := range d.connect(t) {
		for j, room := range []string{other, home} {
			var want []string
			if i == j {
				want = []string{[]string{"2 from 1 to 2", "1002 from 1 to 1002"}[j]}
			}
			got := rows(t, db, `SELECT count(*) || ' from ' || min(seq) || ' to ' || max(seq) FROM jobs WHERE sink = 'feed/again/again' AND room = $1 HAVING count(*) > 0`, room)
			if !slices.Equal(got, want) {
				t.Errorf("shard %d has %v jobs of room %d, want %v", i, got, j, want)
			}
		}
	}
}

// TestFeedWithoutShard: what the others have is told and done, and who is away is named. A replay of all rooms makes no jobs then; one of a room that is there does.
func TestFeedWithoutShard(t *testing.T) {
	one, two := testkit.StartPostgres(t, "fsync=off"), testkit.StartPostgres(t, "fsync=off")
	n := deployOn(t, one, two).node(t)
	n.beginFeeds(t)
	home, other := n.inBoth(t, "ann")
	n.relays(t)
	for name, room := range map[string]string{"home": home, "shard1": other} {
		jobs, _ := n.jobs(t, name, room)
		if err := n.store.Stores()[name].Feed().Bury(t.Context(), jobs, "by the test"); err != nil {
			t.Fatal(err)
		}
	}
	all := n.store.Feed()
	if dead, err := all.Dead(t.Context(), 1); len(dead) != 1 || dead[0].Room != min(home, other) || err != nil {
		t.Errorf("the first dead letter: %v, %v", dead, err)
	}
	whole, err := all.Backlog(t.Context())
	if whole.Dead != 2 || err != nil {
		t.Errorf("%+v, %v", whole, err)
	}
	two.Stop(testkit.Immediate)
	partly := func(err error) {
		t.Helper()
		if _, ok := errors.AsType[*feed.PartialError](err); !ok || !strings.Contains(err.Error(), "the shard shard1 is away") || strings.Contains(err.Error(), "home") {
			t.Errorf("without a shard: %v", err)
		}
	}
	since, err := all.Since(t.Context())
	if partly(err); since == 0 {
		t.Error("the feed has begun, and that is not told")
	}
	dead, err := all.Dead(t.Context(), 10)
	if partly(err); len(dead) != 1 || dead[0].Room != home {
		t.Errorf("dead letters: %v", dead)
	}
	made, err := feed.Replay(t.Context(), all, "", 0, "")
	if partly(err); made != 0 {
		t.Errorf("%d events are put again while a shard is away", made)
	}
	if made, err := feed.Replay(t.Context(), all, home, 0, ""); made != 1 || err != nil {
		t.Errorf("%d events of a room that is there: %v", made, err)
	}
	if made, err := feed.Replay(t.Context(), all, other, 0, ""); made != 0 || err == nil || !strings.Contains(err.Error(), "the shard shard1 is away") {
		t.Errorf("%d events of a room that is not there: %v", made, err)
	}
	letters, err := all.Settle(t.Context(), false)
	if partly(err); letters != 1 {
		t.Errorf("%d dead letters are forgotten", letters)
	}
	backlog, err := all.Backlog(t.Context())
	if partly(err); backlog.Dead != 0 || backlog.Jobs == 0 || backlog.Jobs > whole.Jobs+1 {
		t.Errorf("%+v, and before %+v", backlog, whole)
	}
	partly(all.End(t.Context()))
}
