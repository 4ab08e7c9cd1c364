package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/store/database"
)

// How a slot moves, while everything is served. Each step is durable before the next begins, so that a mover which was killed is followed by another:
//
//   - copying. The origin's relay and retention leave the slot alone, and those at it have ended. Its rooms are copied, then what changed meanwhile, as often
//     as that pays.
//   - fenced. Nobody may write the slot, and those who were at it have ended. What changed is copied for the last time, and the users and what waits for
//     the feed. In the transaction that ends this the target may be read: both shards hold the same.
//   - flipped. The map names the target. The origin may not be read, and then the target may be written. What the origin holds is removed.
//
// Rows that came by the last copying have changed, in the target's order of commits, after every position of the target from before it was read; and those that
// came by the first one before. A position that a list has put together of several shards may be older at the origin than at the target by as long as shards
// are waited for. So what is copied last is all that has changed since a position that was read that long before the first copying.
const (
	stepCopying = "copying"
	stepFenced  = "fenced"
	stepFlipped = "flipped"
)

const (
	settleMost  = gatherTimeout + time.Second
	staleAtOnce = 1000                   // rooms that are brought up together
	fewStale    = 100 * time.Millisecond // a round that takes no longer is the last one before the fence
	maxRounds   = 8
	graceWait   = "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'"
	removeMost  = 2000 // rows of one transaction that removes what has moved
)

// Move moves slots to the shard of a name, one by one; those that are there already are passed over. With an error what was moved stays moved, and the slot in
// hand is served by the shard that has it; the same again goes on.
func (m *Mover) Move(ctx context.Context, list []int, to string) error {
	if err := m.Ready(ctx); err != nil {
		return err
	}
	target := m.named(to)
	if target == nil {
		return fmt.Errorf("there is no shard %s", to)
	}
	todo, err := m.todo(ctx, list, target)
	if err != nil {
		return err
	}
	for i, n := range todo {
		began := m.now()
		p, err := m.moveSlot(ctx, n, target)
		if err != nil {
			return fmt.Errorf("slot %d: %w", n, err)
		}
		p.Done, p.Of, p.Took = i+1, len(todo), m.now().Sub(began)
		m.told(p)
	}
	return nil
}

func (m *Mover) named(name string) *end {
	for _, e := range m.shards {
		if e.name == name {
			return e
		}
	}
	return nil
}

// todo are the slots that are not at the target, or not quite: those whose move has begun come first.
func (m *Mover) todo(ctx context.Context, list []int, target *end) ([]int, error) {
	known, err := m.home.Map(ctx)
	if err != nil {
		return nil, err
	}
	begun, err := m.moves(ctx)
	if err != nil {
		return nil, err
	}
	var first, rest []int
	for _, n := range list {
		b, under := begun[n]
		switch {
		case under && b.origin == target.number && b.step == stepCopying:
			if err := m.giveUp(ctx, n, b); err != nil {
				return nil, err
			}
		case under && b.target != target.number:
			return nil, fmt.Errorf("slot %d is on its way to %s: end that move first, with --slots %d-%d --to %s", n, m.shards[b.target].name, n, n, m.shards[b.target].name)
		case under:
			first = append(first, n)
		case known.Slots[n].Shard != target.number:
			rest = append(rest, n)
		}
	}
	return append(first, rest...), nil
}

// giveUp undoes a move of which nothing has been decided yet.
func (m *Mover) giveUp(ctx context.Context, n int, b begun) error {
	s := &slotMove{Mover: m, n: n, from: m.shards[b.origin], to: m.shards[b.target]}
	if err := s.remove(ctx, s.to); err != nil {
		return err
	}
	if err := errors.Join(s.own(ctx, s.from, "writes", true, false), s.own(ctx, s.from, "upkeep", true, false)); err != nil {
		return err
	}
	_, err := m.homeDB.Exec(ctx, `DELETE FROM slot_moves WHERE slot = $1`, n)
	return err
}

// begun is a move as the home keeps it.
type begun struct {
	origin, target int
	step, since    string
}

func (m *Mover) moves(ctx context.Context) (map[int]begun, error) {
	all := map[int]begun{}
	rows, err := m.homeDB.Query(ctx, `SELECT slot, origin, target, step, since FROM slot_moves`)
	if err != nil {
		return nil, err
	}
	var n int
	var b begun
	_, err = pgx.ForEachRow(rows, []any{&n, &b.origin, &b.target, &b.step, &b.since}, func() error {
		all[n] = b
		return nil
	})
	return all, err
}

// moveSlot moves one slot, from where its move has got.
func (m *Mover) moveSlot(ctx context.Context, n int, target *end) (p Progress, err error) {
	known, err := m.home.Map(ctx)
	if err != nil {
		return p, err
	}
	all, err := m.moves(ctx)
	if err != nil {
		return p, err
	}
	b, under := all[n]
	if !under {
		b = begun{origin: known.Slots[n].Shard, target: target.number, step: stepCopying}
	}
	s := &slotMove{Mover: m, n: n, from: m.shards[b.origin], to: target, since: b.since}
	p = Progress{Slot: n, From: s.from.name, To: target.name}
	if b.step == stepCopying {
		if err := s.copy(ctx, &p); err != nil {
			return p, err
		}
	}
	fenced := m.now()
	if b.step != stepFlipped {
		if err := s.fence(ctx); err != nil {
			return p, err
		}
		if err := s.arrive(ctx); err != nil {
			return p, s.lift(err)
		}
	}
	if err := s.flip(ctx); err != nil {
		return p, err
	}
	p.Paused = m.now().Sub(fenced)
	return p, s.clean(ctx)
}

// slotMove is the move of one slot.
type slotMove struct {
	*Mover
	n        int
	from, to *end
	since    string // the origin's position from which on changes are copied last
}

var errKilled = errors.New("killed")

// point is where a test may end the mover.
func (s *slotMove) point(name string) error {
	if err := s.at(s.n, name); err != nil {
		return fmt.Errorf("%w at %s: %w", errKilled, name, err)
	}
	return nil
}

// note keeps how far the move has got.
func (s *slotMove) note(ctx context.Context, step string) error {
	_, err := s.homeDB.Exec(ctx, `INSERT INTO slot_moves (slot, origin, target, step, since) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (slot) DO UPDATE SET step = excluded.step, since = excluded.since`, s.n, s.from.number, s.to.number, step, s.since)
	return err
}

// own changes one of the sets of slots of a shard, and waits for those who may not have seen it.
func (s *slotMove) own(ctx context.Context, e *end, set string, in bool, wait bool) error {
	bit := 0
	if in {
		bit = 1
	}
	if _, err := e.db.Exec(ctx, `UPDATE ownership SET `+set+` = set_bit(`+set+`, $1, $2)`, s.n, bit); err != nil {
		return fmt.Errorf("the shard %s: %w", e.name, err)
	}
	if !wait {
		return nil
	}
	return pgx.BeginFunc(ctx, e.db, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, graceWait); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(database.WriterLock))
		return err
	})
}

// owned is what a shard says of the slot.
func (s *slotMove) owned(ctx context.Context, e *end) (reads, writes bool, err error) {
	o, err := e.store.Owned(ctx)
	if err != nil {
		return false, false, fmt.Errorf("the shard %s: %w", e.name, err)
	}
	return o.Reads.Has(s.n), o.Writes.Has(s.n), nil
}

// copy copies the rooms of the slot, and what changes meanwhile.
func (s *slotMove) copy(ctx context.Context, p *Progress) error {
	if reads, writes, err := s.owned(ctx, s.to); err != nil || reads || writes {
		return errors.Join(err, ifTrue(reads || writes, "the shard %s serves the slot already: run parley shards rebuild", s.to.name))
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.note(ctx, stepCopying), s.point("noted")); err != nil {
		return err
	}
	if err := s.own(ctx, s.from, "upkeep", false, true); err != nil {
		return err
	}
	if err := s.point("in hand"); err != nil {
		return err
	}
	if err := s.remove(ctx, s.to); err != nil {
		return err
	}
	if err := s.point("emptied"); err != nil {
		return err
	}
	err := s.snapshot(ctx, func() error {
		for _, table := range roomTables {
			n, err := copyTable(ctx, s.from.db, s.to.db, table, s.n)
			if p.Rows += n; err != nil {
				return err
			}
			if err := s.point("copied " + table.name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for p.Rounds = 1; p.Rounds <= maxRounds; p.Rounds++ {
		began := s.now()
		if err := s.snapshot(ctx, func() error { return pgx.BeginFunc(ctx, s.to.db, func(pgx.Tx) error { return s.catchUp(ctx) }) }); err != nil {
			return err
		}
		if err := s.point("caught up"); err != nil {
			return err
		}
		if s.now().Sub(began) < fewStale {
			return nil
		}
	}
	return nil
}

func ifTrue(is bool, format string, args ...any) error {
	if is {
		return fmt.Errorf(format, args...)
	}
	return nil
}

// settle finds a position of the origin that is old enough, and waits for one to be.
func (s *slotMove) settle(ctx context.Context) error {
	var position string
	if err := s.from.db.QueryRow(ctx, `SELECT pg_snapshot_xmin(pg_current_snapshot())::text`).Scan(&position); err != nil {
		return err
	}
	now := s.now()
	s.marks = append(s.marks, mark{now, s.from.number, position})
	old, first := -1, -1
	for i, m := range s.marks {
		if m.shard != s.from.number {
			continue
		}
		if first < 0 {
			first = i
		}
		if now.Sub(m.at) >= s.settleFor {
			old = i
		}
	}
	if old >= 0 {
		s.since = s.marks[old].position
		s.marks = s.marks[old:] // those of other shards that are older are read again
		return nil
	}
	s.since = s.marks[first].position
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.settleFor - now.Sub(s.marks[first].at)):
		return nil
	}
}

// snapshot runs fn in one snapshot of the origin.
func (s *slotMove) snapshot(ctx context.Context, fn func() error) error {
	return pgx.BeginTxFunc(ctx, s.from.db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(pgx.Tx) error { return fn() })
}

// catchUp copies what has changed. It is called within a snapshot of the origin and a transaction of the target.
func (s *slotMove) catchUp(ctx context.Context) error {
	rooms := moved{"", "room"}.of(s.n)
	rows, err := s.from.db.Query(ctx, `SELECT room FROM room_heads WHERE changed >= $1::text::xid8 AND `+rooms+
		` UNION SELECT room FROM members WHERE changed >= $1::text::xid8 AND `+rooms+` ORDER BY room`, s.since)
	if err != nil {
		return err
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for len(changed) > 0 {
		some := changed[:min(len(changed), staleAtOnce)]
		changed = changed[len(some):]
		heads, err := s.to.db.Query(ctx, `SELECT n.room, COALESCE(h.seq, 0) FROM unnest($1::text[]) n (room) LEFT JOIN room_heads h ON h.room = n.room`, some)
		if err != nil {
			return err
		}
		behind, err := pgx.CollectRows(heads, func(row pgx.CollectableRow) (r stale, err error) { return r, row.Scan(&r.room, &r.head) })
		if err != nil {
			return err
		}
		if err := copyStale(ctx, s.from.db, s.to.db, behind, s.since); err != nil {
			return err
		}
	}
	return nil
}

// fence ends the writing of the slot.
func (s *slotMove) fence(ctx context.Context) error {
	if err := errors.Join(s.note(ctx, stepFenced), s.point("fencing")); err != nil {
		return err
	}
	if err := s.own(ctx, s.from, "writes", false, true); err != nil {
		return s.lift(err)
	}
	return s.point("fenced")
}

// lift has the slot written again where it was, after an error, and returns that.
func (s *slotMove) lift(cause error) error {
	if errors.Is(cause, errKilled) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if reads, _, err := s.owned(ctx, s.to); err != nil || reads {
		return errors.Join(cause, err) // it has arrived: only going on is right
	}
	return errors.Join(cause, s.own(ctx, s.from, "writes", true, false), s.note(ctx, stepCopying))
}

// arrive copies what is left, and has the target read, in one transaction of it.
func (s *slotMove) arrive(ctx context.Context) error {
	if reads, _, err := s.owned(ctx, s.to); err != nil || reads {
		return err
	}
	err := s.snapshot(ctx, func() error {
		return pgx.BeginFunc(ctx, s.to.db, func(t pgx.Tx) error {
			if err := s.catchUp(ctx); err != nil {
				return err
			}
			for _, table := range slices.Concat(feedTables, userTables) {
				if _, err := t.Exec(ctx, `DELETE FROM `+table.name+` WHERE `+table.of(s.n)); err != nil {
					return err
				}
				if _, err := copyTable(ctx, s.from.db, s.to.db, table, s.n); err != nil {
					return err
				}
			}
			if err := s.point("arriving"); err != nil {
				return err
			}
			_, err := t.Exec(ctx, `UPDATE ownership SET reads = set_bit(reads, $1, 1)`, s.n)
			return err
		})
	})
	if err != nil {
		return err
	}
	return s.point("arrived")
}

// flip has the map name the target, and gives the slot to it.
func (s *slotMove) flip(ctx context.Context) error {
	if err := errors.Join(s.name(ctx), s.point("flipped")); err != nil {
		return err
	}
	if err := errors.Join(s.own(ctx, s.from, "reads", false, false), s.point("left")); err != nil {
		return err
	}
	return errors.Join(s.own(ctx, s.to, "writes", true, false), s.own(ctx, s.to, "upkeep", true, false), s.point("given"))
}

// name has the map name the target.
func (s *slotMove) name(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.homeDB, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `UPDATE slot_map SET shard = $2, before = moved, origin = $3, left_as = $4, came_as = $5,
			moved = (SELECT max(moved) + 1 FROM slot_map) WHERE slot = $1 AND shard <> $2`,
			s.n, s.to.number, s.from.number, Part(s.from.store.Epoch()), Part(s.to.store.Epoch())); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `UPDATE slot_moves SET step = $2 WHERE slot = $1`, s.n, stepFlipped)
		return err
	})
}

// clean removes what the origin still holds.
func (s *slotMove) clean(ctx context.Context) error {
	if err := s.own(ctx, s.from, "writes", false, true); err != nil { // nobody is at it any more
		return err
	}
	if err := s.remove(ctx, s.from); err != nil {
		return err
	}
	if err := s.point("removed"); err != nil {
		return err
	}
	_, err := s.homeDB.Exec(ctx, `DELETE FROM slot_moves WHERE slot = $1`, s.n)
	return err
}

// remove removes the rows of the slot from a shard that does not serve it, a part at a time.
func (s *slotMove) remove(ctx context.Context, e *end) error {
	if reads, writes, err := s.owned(ctx, e); err != nil || reads || writes {
		return errors.Join(err, ifTrue(reads || writes, "the shard %s serves the slot: nothing of it is removed there", e.name))
	}
	for _, table := range slices.Concat(roomTables, feedTables, userTables) {
		for {
			tag, err := e.db.Exec(ctx, `DELETE FROM `+table.name+` WHERE ctid = ANY (ARRAY(SELECT ctid FROM `+table.name+` WHERE `+table.of(s.n)+` LIMIT $1))`, removeMost)
			if err != nil {
				return fmt.Errorf("the shard %s: %w", e.name, err)
			}
			if tag.RowsAffected() < removeMost {
				break
			}
		}
	}
	return nil
}
