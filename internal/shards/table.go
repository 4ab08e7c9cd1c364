package shards

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
)

// table is the map as a node has it. It is never changed.
type table struct {
	*store.Map
	places [slots.Count]int // of the shards of the slots
	place  map[int]int      // of the shards, by their numbers
}

// readTable reads the map from the home.
func (r *router) readTable(ctx context.Context) error {
	return r.readTableSince(ctx, r.readings.Load())
}

// readTableSince reads the map, unless that was done after so many readings.
func (r *router) readTableSince(ctx context.Context, readings uint64) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	if r.readings.Load() != readings {
		return nil
	}
	m, err := r.shards[0].store.Map(ctx)
	if err != nil {
		return err
	}
	t := &table{Map: m, place: map[int]int{}}
	names := map[string]int{}
	for place, s := range r.shards {
		names[s.name] = place
	}
	for _, row := range m.Shards {
		if place, configured := names[row.Name]; configured {
			t.place[row.Number] = place
			delete(names, row.Name)
		}
	}
	for name := range names {
		return fmt.Errorf("the shard %s is configured, and the home knows none of this name: add it with parley shards add %s URL", name, name)
	}
	for n, row := range m.Slots {
		place, configured := t.place[row.Shard]
		if !configured {
			return unplaced(m, n)
		}
		t.places[n] = place
	}
	if r.table.Load() == nil {
		for number, place := range t.place {
			r.shards[place].number = number
		}
	}
	r.table.Store(t)
	r.readings.Add(1)
	return nil
}

// unplaced is the error of a slot whose shard the node does not have.
func unplaced(m *store.Map, n int) error {
	for _, row := range m.Shards {
		if row.Number == m.Slots[n].Shard {
			return fmt.Errorf("the shard %s holds rooms and users, and is not configured: give its URL (shards)", row.Name)
		}
	}
	return fmt.Errorf("the map has slot %d at shard number %d, and there is none: run parley shards rebuild", n, m.Slots[n].Shard)
}

// The epoch of several is the version of its map and a part for each shard, by its number: 7~0:k3q2d0aa9x~1:5mzw9c11p0.

// Epoch is the life of all logs. It may be another one at any time; which rooms that concerns is for Stands to say.
func (r *router) Epoch() string {
	var b strings.Builder
	b.WriteString(strconv.FormatInt(r.table.Load().Version, 10))
	for _, s := range r.shards {
		fmt.Fprintf(&b, "~%d:%s", s.number, s.part())
	}
	return b.String()
}

// part is the shard's part of the epoch.
func (s *shard) part() string { return Part(s.epoch()) }

// Part is the short form of a store's own epoch in that of its cluster.
func Part(epoch string) string {
	sum := sha256.Sum256([]byte(epoch))
	return partEncoding.EncodeToString(sum[:])[:10]
}

var partEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// parsed is an epoch that somebody names.
type parsed struct {
	version int64
	parts   map[int]string
}

func parseEpoch(epoch string) (p parsed, ok bool) {
	version, rest, _ := strings.Cut(epoch, "~")
	var err error
	if p.version, err = strconv.ParseInt(version, 10, 64); err != nil {
		return p, false
	}
	p.parts = map[int]string{}
	for part := range strings.SplitSeq(rest, "~") {
		number, value, found := strings.Cut(part, ":")
		n, err := strconv.Atoi(number)
		if err != nil || !found {
			return p, false
		}
		p.parts[n] = value
	}
	return p, true
}

// Stands reports whether positions in a room that were told under an epoch are good under the present one. A room that has moved since stands if its shard
// is the one that it came to, and the one that it left was, as it left, the one of the epoch. With room "" it is about everything that is in shards of the
// epoch.
func (r *router) Stands(epoch, room string) bool {
	then, ok := parseEpoch(epoch)
	if !ok {
		return false
	}
	t := r.table.Load()
	if room == "" {
		for _, s := range r.shards {
			if part, known := then.parts[s.number]; known && part != s.part() {
				return false
			}
		}
		return true
	}
	n := roomSlot(room)
	row := &t.Slots[n]
	now := r.shards[t.places[n]].part()
	switch {
	case then.version >= row.Moved:
		return then.parts[row.Shard] == now
	case then.version >= row.Before:
		return then.parts[row.Origin] == row.LeftAs && row.CameAs == now
	}
	return false // it has moved twice since: nobody remembers what the first one left
}

// Life is the own epoch of the store of the shard that holds a room, with room "" of the home; and that of the shard that the room came from, "" for none, while
// both are what they were when it moved.
func (r *router) Life(room string) (now, before string) {
	if room == "" {
		return r.shards[0].epoch(), ""
	}
	t := r.table.Load()
	n := roomSlot(room)
	row := &t.Slots[n]
	now = r.shards[t.places[n]].epoch()
	place, known := t.place[row.Origin]
	if !known || row.LeftAs == "" || row.CameAs != Part(now) {
		return now, ""
	}
	if before = r.shards[place].epoch(); row.LeftAs != Part(before) {
		return now, ""
	}
	return now, before
}
