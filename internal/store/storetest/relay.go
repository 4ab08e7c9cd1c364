package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/protocol"
)

// everything is the share of a relay that looks after all rooms.
var everything = strings.Split("0123456789abcdefghjkmnpqrstvwxyz", "")

// behind are the first rooms that are.
func (f *fixture) behind(s Store) []relay.Backlog {
	f.Helper()
	rooms, err := s.Behind(f.Context(), everything, "", 100)
	f.must(err)
	return rooms
}

// whole are the spans of all events of the rooms that were not applied.
func whole(rooms []relay.Backlog) []relay.Span {
	spans := make([]relay.Span, len(rooms))
	for i, b := range rooms {
		spans[i] = relay.Span{Room: b.Room, After: b.Mark, UpTo: b.Head}
	}
	return spans
}

func testApply(f *fixture) {
	one, two := f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann")
	first := f.send(one, "ann", "word one").Seq
	f.send(two, "ann", "word two")
	spans := whole(f.behind(f.store))
	events, err := f.store.Apply(f.Context(), spans)
	f.must(err)
	f.equal("events", events, 4)
	f.equal("behind", len(f.behind(f.store)), 0)

	// A relay that has read the same, or that does not know that its transaction was committed, comes too late, and does nothing.
	f.send(one, "ann", "word three")
	f.edit(one, "ann", first, "nothing")
	_, err = f.store.Apply(f.Context(), spans)
	f.fails(err, relay.ErrOvertaken)
	f.equal("found once", sorted(f.finds("ann", "", "word")), []string{"word two"})
	behind := f.behind(f.store)
	_, err = f.store.Apply(f.Context(), append(whole(behind), relay.Span{Room: two, After: 1, UpTo: 2}))
	f.fails(err, relay.ErrOvertaken)
	f.equal("all or nothing", f.behind(f.store), behind)
	f.equal("nothing was written", f.finds("ann", "", "three"), []string(nil))

	f.restart()
	f.equal("after a restart", f.behind(f.store), behind)
	f.apply(f.store)
	f.equal("found", sorted(f.finds("ann", "", "word")), []string{"word three", "word two"})
	events, err = f.store.Apply(f.Context(), nil)
	f.must(err)
	f.equal("nothing to do", events, 0)
}

func testBehind(f *fixture) {
	var rooms []string
	began := protocol.At(f.clock.now())
	for range 7 {
		rooms = append(rooms, f.room(protocol.Group, "ann"))
	}
	f.clock.advance(time.Minute)
	for _, room := range rooms {
		f.send(room, "ann", "hello")
	}
	var got []string
	for after := ""; ; {
		page, err := f.store.Behind(f.Context(), everything, after, 3)
		f.must(err)
		for _, b := range page {
			f.equal("backlog", b, relay.Backlog{Room: b.Room, Mark: 0, Head: 2, Since: began})
			got = append(got, b.Room)
			after = b.Room
		}
		if len(page) < 3 {
			break
		}
	}
	f.equal("by pages", got, sorted(rooms))

	var mine []string
	for _, room := range sorted(rooms) {
		if strings.Contains("02468acegjmprtwy", room[2:3]) {
			mine = append(mine, room)
		}
	}
	page, err := f.store.Behind(f.Context(), strings.Split("02468acegjmprtwy", ""), "", 100)
	f.must(err)
	var shared []string
	for _, b := range page {
		shared = append(shared, b.Room)
	}
	f.equal("of a share", shared, mine)

	_, err = f.store.Apply(f.Context(), []relay.Span{{Room: rooms[0], After: 0, UpTo: 1}})
	f.must(err)
	for _, b := range f.behind(f.store) {
		if b.Room == rooms[0] {
			f.equal("a part was applied", b, relay.Backlog{Room: b.Room, Mark: 1, Head: 2, Since: began + 60_000})
		}
	}
}

func testApplyLarge(f *fixture) {
	rooms := sorted([]string{f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann")})
	for i := range 30 {
		f.send(rooms[0], "ann", fmt.Sprintf("word%d %s", i, strings.Repeat("x ", 4000)))
	}
	for i := range 30 {
		f.send(rooms[1], "ann", fmt.Sprintf("other%d %s", i, strings.Repeat("y ", 4000)))
	}
	for steps := 0; ; steps++ {
		behind := f.behind(f.store)
		if len(behind) == 0 {
			f.equal("steps", steps, 4)
			break
		}
		left := 0
		for _, b := range behind {
			left += int(b.Head - b.Mark)
		}
		events, err := f.store.Apply(f.Context(), whole(behind))
		f.must(err)
		for _, b := range f.behind(f.store) {
			left -= int(b.Head - b.Mark)
		}
		f.equal("events", events, left)
		if events == 0 || events > 19 {
			f.Fatalf("%d events in one transaction", events)
		}
	}
	for i := range 30 {
		f.equal("found", len(f.finds("ann", "", fmt.Sprintf("word%d", i)))+len(f.finds("ann", rooms[1], fmt.Sprintf("other%d", i))), 2)
	}
}

// testTwoRelays lets two nodes' relays apply whatever they find, while messages are written and changed. In the end each is found as it stands.
func testTwoRelays(f *fixture) {
	var rooms []string
	for range 4 {
		rooms = append(rooms, f.room(protocol.Group, "ann"))
	}
	nodes := []Store{f.store, f.store}
	if f.postgres() {
		other := f.node()
		defer func() { f.must(other.Close()) }()
		nodes[1] = other
	}
	var writing, relays sync.WaitGroup
	done := make(chan struct{})
	for _, node := range nodes {
		relays.Go(func() {
			for last := false; !last; {
				select {
				case <-done:
					last = true
				default:
				}
				behind, err := node.Behind(f.Context(), everything, "", 100)
				if err != nil {
					f.Errorf("behind: %v", err)
				}
				if _, err := node.Apply(f.Context(), whole(behind)); err != nil && !errors.Is(err, relay.ErrOvertaken) {
					f.Errorf("apply: %v", err)
				}
			}
		})
	}
	for i, room := range rooms {
		writing.Go(func() {
			for j := range 30 {
				seq := f.send(room, "ann", fmt.Sprintf("first %d %d", i, j)).Seq
				if j%2 == 0 {
					f.edit(room, "ann", seq, fmt.Sprintf("second %d %d", i, j))
				}
				if j%3 == 0 {
					f.delete(room, "ann", seq)
				}
			}
		})
	}
	writing.Wait()
	close(done)
	relays.Wait()
	f.apply(f.store)
	for i, room := range rooms {
		var first, second []string
		for j := range 30 {
			switch {
			case j%3 == 0:
			case j%2 == 0:
				second = append(second, fmt.Sprintf("second %d %d", i, j))
			default:
				first = append(first, fmt.Sprintf("first %d %d", i, j))
			}
		}
		f.equal("as sent", sorted(f.finds("ann", room, "first")), sorted(first))
		f.equal("edited", sorted(f.finds("ann", room, "second")), sorted(second))
	}
}

func testLease(f *fixture) {
	const ttl = 3 * time.Second
	lease := func(node string, ttl time.Duration) []string {
		f.Helper()
		f.must(f.store.Beat(f.Context(), node))
		share, err := f.store.Lease(f.Context(), node, ttl)
		f.must(err)
		return sorted(share)
	}
	f.equal("one node has all", lease("n1", ttl), everything)
	if !f.postgres() {
		return
	}
	f.equal("nothing is left for another", len(lease("n2", ttl)), 0)
	f.clock.advance(ttl / 2)
	half := lease("n1", ttl)
	f.equal("half is renewed", len(half), 16)
	f.clock.advance(ttl / 2)
	other := lease("n2", ttl)
	f.equal("the other has the rest", sorted(append(other, half...)), everything)
	f.equal("each keeps its own", [2][]string{lease("n1", ttl), lease("n2", ttl)}, [2][]string{half, other})
	f.equal("a third node waits", len(lease("n3", ttl)), 0)

	lease("n1", 0)
	f.equal("what was given back is free", len(lease("n3", ttl)), 11)
	f.clock.advance(ttl)
	f.equal("what a dead node had, too", len(lease("n3", ttl)), 11)
	f.equal("what a dead node had, too", len(lease("n1", ttl)), 11)
	f.clock.advance(2 * time.Minute)
	f.equal("the only one alive", lease("n3", ttl), everything)
}

func testRebuild(f *fixture) {
	room, other := f.room(protocol.Group, "ann"), f.room(protocol.Group, "ann")
	edited, deleted := f.send(room, "ann", "word one").Seq, f.send(room, "ann", "word two").Seq
	f.send(room, "ann", "word three")
	f.send(other, "ann", "word four")
	f.apply(f.store)
	f.edit(room, "ann", edited, "word five")
	f.delete(room, "ann", deleted)
	before := whole(f.behind(f.store))
	f.must(f.store.RebuildSearch(f.Context()))
	f.equal("emptied", f.finds("ann", "", "word"), []string(nil))
	f.equal("behind", len(f.behind(f.store)), 2)
	_, err := f.store.Apply(f.Context(), before)
	f.fails(err, relay.ErrOvertaken)
	f.apply(f.store)
	f.equal("built anew", sorted(f.finds("ann", "", "word")), []string{"word five", "word four", "word three"})
	f.must(f.store.RebuildSearch(f.Context()))
	f.apply(f.store)
	f.equal("and again", sorted(f.finds("ann", "", "word")), []string{"word five", "word four", "word three"})
}
