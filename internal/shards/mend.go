package shards

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/slots"
)

// Load is what a shard has.
type Load struct {
	Name  string
	Slots int // that the map gives it
	Rooms int // in those
	Users int
	Err   error // it does not answer; then the counts are those of the map alone
}

// Loads are all shards, by their numbers.
func (m *Mover) Loads(ctx context.Context) ([]Load, error) {
	known, err := m.home.Map(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Load, len(known.Shards))
	for i, row := range known.Shards {
		l := &all[i]
		l.Name = row.Name
		for n := range known.Slots {
			if known.Slots[n].Shard == row.Number {
				l.Slots++
			}
		}
		l.Err = m.shards[row.Number].db.QueryRow(ctx, `SELECT
			(SELECT count(*) FROM rooms WHERE get_bit((SELECT reads FROM ownership), room_slot(id)) = 1),
			(SELECT count(*) FROM users WHERE get_bit((SELECT reads FROM ownership), user_slot(id)) = 1)`).Scan(&l.Rooms, &l.Users)
	}
	return all, nil
}

// Pick chooses slots of other shards that hold about so many rooms together, from the shard with the most on.
func (m *Mover) Pick(ctx context.Context, rooms int, to string) ([]int, error) {
	target := m.named(to)
	if target == nil {
		return nil, fmt.Errorf("there is no shard %s", to)
	}
	type held struct{ slot, rooms int }
	byShard := map[*end][]held{}
	counts := map[*end]int{}
	for _, e := range m.shards {
		if e == target {
			continue
		}
		rows, err := e.db.Query(ctx, `SELECT room_slot(id), count(*) FROM rooms WHERE get_bit((SELECT reads FROM ownership), room_slot(id)) = 1 GROUP BY 1 ORDER BY 1`)
		if err != nil {
			return nil, fmt.Errorf("the shard %s: %w", e.name, err)
		}
		var h held
		if _, err := pgx.ForEachRow(rows, []any{&h.slot, &h.rooms}, func() error {
			byShard[e] = append(byShard[e], h)
			counts[e] += h.rooms
			return nil
		}); err != nil {
			return nil, err
		}
	}
	var list []int
	for rooms > 0 {
		var fullest *end
		for e := range byShard {
			if len(byShard[e]) > 0 && (fullest == nil || cmp.Or(cmp.Compare(counts[e], counts[fullest]), cmp.Compare(fullest.number, e.number)) > 0) {
				fullest = e
			}
		}
		if fullest == nil {
			break
		}
		h := byShard[fullest][0]
		byShard[fullest] = byShard[fullest][1:]
		counts[fullest] -= h.rooms
		rooms -= h.rooms
		list = append(list, h.slot)
	}
	slices.Sort(list)
	return list, nil
}

// Mend makes the map say what the shards say of themselves, for slots that no move has in hand, and reports how many it has mended. The shard that may be read
// may be written, too, and no other. Slots that nobody serves, or that several do, are an error: which one holds what is newest only people can tell.
func (m *Mover) Mend(ctx context.Context) (mended int, err error) {
	if err := m.Ready(ctx); err != nil {
		return 0, err
	}
	known, err := m.home.Map(ctx)
	if err != nil {
		return 0, err
	}
	under, err := m.moves(ctx)
	if err != nil {
		return 0, err
	}
	owned := map[int]*database.Ownership{}
	for number, e := range m.shards {
		if owned[number], err = e.store.Owned(ctx); err != nil {
			return 0, fmt.Errorf("the shard %s: %w", e.name, err)
		}
	}
	var faults []error
	for n := range slots.Count {
		if _, moving := under[n]; moving {
			continue
		}
		var serving []*end
		for number, e := range m.shards {
			if owned[number].Reads.Has(n) {
				serving = append(serving, e)
			}
		}
		if len(serving) != 1 {
			faults = append(faults, fmt.Errorf("slot %d is served by %d shards", n, len(serving)))
			continue
		}
		did, err := m.mendSlot(ctx, n, known.Slots[n].Shard, serving[0], owned)
		if err != nil {
			return mended, err
		}
		if did {
			mended++
		}
	}
	return mended, errors.Join(faults...)
}

// mendSlot has a slot be wholly the shard's that serves it, on the map too, which names one by its number; false when it was.
func (m *Mover) mendSlot(ctx context.Context, n, named int, serving *end, owned map[int]*database.Ownership) (did bool, err error) {
	s := &slotMove{Mover: m, n: n, to: serving, from: m.shards[named]}
	if s.from == nil { // there is none of that number
		s.from = serving
	}
	for _, e := range append(m.but(serving), serving) { // in this order: two never may write
		for set, has := range map[string]bool{"writes": owned[e.number].Writes.Has(n), "upkeep": owned[e.number].Upkeep.Has(n)} {
			if has == (e == serving) {
				continue
			}
			did = true
			if err := s.own(ctx, e, set, e == serving, e != serving); err != nil {
				return did, err
			}
		}
	}
	if named == serving.number {
		return did, nil
	}
	return true, s.name(ctx)
}

// but are all shards other than one.
func (m *Mover) but(one *end) (others []*end) {
	for _, e := range m.shards {
		if e != one {
			others = append(others, e)
		}
	}
	return others
}

// Rebuild empties the search index of every shard, to be made anew by the relays of running servers.
func (m *Mover) Rebuild(ctx context.Context) error {
	for _, e := range m.shards {
		if err := e.store.RebuildSearch(ctx); err != nil {
			return fmt.Errorf("the shard %s: %w", e.name, err)
		}
	}
	return nil
}
