package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/fault"
	"github.com/parley-im/parley/internal/retention"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ retention.Source = (*Store)(nil)

const (
	maxPruned    = 100                 // events, or rows, of one transaction
	claimFor     = 10 * time.Minute    // for which a room that is being pruned is nobody else's
	pruneEvery   = time.Hour           // a room in which something expires all the time is looked at no more often
	behindFor    = time.Minute         // until a room is looked at again of which the relay has not applied what is to go
	emptiedAfter = 24 * time.Hour      // a deleted room: a node that was held up still finds its log whole
	rememberFor  = 91 * 24 * time.Hour // a day more than is promised: the clocks of nodes differ
	slowestMode  = 24 * time.Hour      // settings.slow_mode_s at the most: for so long a row's sent_at counts
)

var (
	selectDue = database.Apart(`SELECT id FROM rooms WHERE due <> 0 AND due <= $1 ORDER BY due LIMIT CAST($2 AS BIGINT)`,
		`SELECT id FROM rooms WHERE due <> 0 AND due <= $1 {upkeep id} ORDER BY due LIMIT CAST($2 AS BIGINT) FOR NO KEY UPDATE SKIP LOCKED`)
	countDue = database.SQL(`SELECT count(*) FROM rooms WHERE due <> 0 AND due <= $1 {upkeep id}`)
	claimDue = database.SQL(`UPDATE rooms SET due = $1 WHERE id IN {list $2}`)

	selectAging   = database.SQL(`SELECT ` + roomCols + `, ` + headCols + `, h.applied FROM rooms r JOIN room_heads h ON h.room = r.id WHERE r.id = $1`)
	selectExpired = database.SQL(`SELECT e.seq, e.at, e.name, CASE WHEN e.name = 'message.created' THEN e.data ELSE '' END FROM events e
		WHERE e.room = $1 AND e.seq >= $2 AND e.seq <= $3 ORDER BY e.seq LIMIT CAST($4 AS BIGINT)`)

	// Of a pruned event its text is not kept: what was added by member.add is needed for the answer.
	keepIDs = database.SQL(`INSERT INTO kept_ids (room, user_id, client_id, seq, n, at, name, hash, data)
		SELECT e.room, e.user_id, e.client_id, e.seq, e.n, e.at, e.name, e.hash, CASE WHEN e.name = 'member.joined' THEN e.data ELSE '' END
		FROM events e WHERE e.room = $1 AND e.seq >= $2 AND e.seq <= $3 AND e.client_id <> '' AND e.at > $4`)
	pruneReactions = database.SQL(`DELETE FROM reactions WHERE room = $1 AND target >= $2 AND target <= $3`)
	pruneMessages  = database.SQL(`DELETE FROM messages WHERE room = $1 AND seq >= $2 AND seq <= $3`)
	pruneEvents    = database.SQL(`DELETE FROM events WHERE room = $1 AND seq >= $2 AND seq <= $3`)
	moveFirst      = database.SQL(`UPDATE rooms SET first = $2 WHERE id = $1`)
	touchHead      = database.SQL(`UPDATE room_heads SET changed = {changed} WHERE room = $1`)
	setDue         = database.SQL(`UPDATE rooms SET due = $2 WHERE id = $1`)

	// A deleted room: that it was, whose it was and where its log ended is kept for good.
	blankRoom    = database.SQL(`UPDATE rooms SET name = '', folded = '', topic = '', avatar = '', data = '' WHERE id = $1`)
	pruneMembers = database.SQL(`DELETE FROM members WHERE room = $1 AND user_id IN (SELECT m.user_id FROM members m WHERE m.room = $1 LIMIT CAST($2 AS BIGINT))`)

	forgetIDs     = newForgetting(`kept_ids`, `room, user_id, client_id`, `at < $1`)
	forgetMembers = newForgetting(`members`, `room, user_id`, `gone_at <> 0 AND gone_at < $1 AND sent_at < $3 AND muted_until < $4`)
)

// newForgetting makes a statement that deletes some rows. Two nodes that forget at the same time do not wait for each other.
func newForgetting(table, key, where string) database.Text {
	q := `DELETE FROM ` + table + ` WHERE (` + key + `) IN (SELECT ` + key + ` FROM ` + table + ` WHERE ` + where + ` {upkeep room} LIMIT CAST($2 AS BIGINT)`
	return database.Apart(q+`)`, q+` FOR UPDATE SKIP LOCKED)`)
}

// dueAt is when the sweep shall look at a room that the log has made or changed.
func dueAt(r *chat.Room, now protocol.Time) protocol.Time {
	switch {
	case r.Deleted:
		return later(now, emptiedAfter)
	case r.Settings.RetentionDays > 0:
		return now
	}
	return 0
}

// goneAt is from when on the row of one who is no member may be forgotten after its time; 0 for a row that stays. A ban stays.
func goneAt(m *chat.Member, now protocol.Time) protocol.Time {
	if m.State == chat.IsMember || m.State == chat.IsBanned {
		return 0
	}
	return now
}

func later(t protocol.Time, d time.Duration) protocol.Time {
	return t + protocol.Time(d.Milliseconds())
}

// pruner is the part of the store that lets go of what is to be kept no longer.
type pruner struct{ *db }

// Claim implements retention.Source.
func (s *pruner) Claim(ctx context.Context, limit int) (rooms []string, due int, err error) {
	now := protocol.At(s.now())
	err = s.write(ctx, scope{}, func(t database.Tx) error {
		rooms = nil
		var b database.Batch
		b.Query(countDue, func(scan database.Scan) error { return scan(&due) }, now)
		b.Query(selectDue, collect(&rooms, scanString), now, limit)
		if err := t.Batch(ctx, &b); err != nil || len(rooms) == 0 {
			return err
		}
		_, err := t.Exec(ctx, claimDue, later(now, claimFor), database.JSONList(rooms))
		return err
	})
	return rooms, due, err
}

// aging is a room as the sweep sees it.
type aging struct {
	room    *chat.Room
	head    chat.Head
	applied protocol.Seq
}

func readAging(ctx context.Context, t database.Tx, room string) (*aging, error) {
	var a aging
	err := t.Query(ctx, selectAging, []any{room}, func(scan database.Scan) (err error) {
		a.room, err = scanRoom(scan, append(headDest(&a.head), &a.applied)...)
		return err
	})
	if err == nil && a.room == nil {
		err = fmt.Errorf("there is no room %s", room)
	}
	return &a, err
}

// until is the time from which on events stay, and the last seq that may go: events that the relay has not applied stay in any case, and of a deleted room
// the event that says so. 0 for none.
func (a *aging) until(now protocol.Time) (protocol.Time, protocol.Seq) {
	days := protocol.Time(a.room.Settings.RetentionDays)
	switch {
	case a.room.Deleted && now >= later(a.head.At, emptiedAfter):
		return math.MaxInt64, min(a.applied, a.head.Seq-1)
	case a.room.Deleted || days == 0:
		return 0, 0
	}
	return now - days*day, a.applied
}

const day = protocol.Time(24 * 60 * 60 * 1000)

// same reports that nothing of b makes another pruning than a.
func (a *aging) same(b *aging) bool {
	return a.room.First == b.room.First && a.room.Settings.RetentionDays == b.room.Settings.RetentionDays && a.room.Deleted == b.room.Deleted
}

// pruning is one batch of one room, as it was read.
type pruning struct {
	*aging
	now      protocol.Time
	expired  []expired
	full     bool          // there may be more
	youngest protocol.Time // 0, or when the first event was made that is too young to go
}

// expired is an event that goes.
type expired struct {
	seq      protocol.Seq
	at       protocol.Time
	message  bool
	mentions []string
}

// Prune implements retention.Source. What is to go is read before the transaction, since nobody else changes it, and under the lock of the room's head only
// the room's own row is looked at again.
func (s *pruner) Prune(ctx context.Context, room string) (retention.Batch, error) {
	p, err := s.plan(ctx, room)
	if err != nil {
		return retention.Batch{}, err
	}
	return s.carryOut(ctx, p)
}

func (s *pruner) plan(ctx context.Context, room string) (*pruning, error) {
	p := &pruning{now: protocol.At(s.now())}
	return p, s.read(ctx, scope{rooms: []string{room}, upkeep: true}, func(t database.Tx) error { return p.read(ctx, t, room) })
}

func (s *pruner) carryOut(ctx context.Context, p *pruning) (batch retention.Batch, err error) {
	room := p.room.ID
	err = s.write(ctx, scope{rooms: []string{room}, upkeep: true}, func(t database.Tx) error {
		batch = retention.Batch{More: true}
		if err := s.engine.Heads(ctx, t, database.Waiting, []string{room}, func(database.Scan) error { return nil }); err != nil {
			return err
		}
		if now, err := readAging(ctx, t, room); err != nil || !now.same(p.aging) {
			return err
		}
		batch.Events = len(p.expired)
		if err := s.prune(ctx, t, p); err != nil {
			return err
		}
		left, err := p.pruneMembers(ctx, t)
		if err != nil {
			return err
		}
		batch.More = p.full || left
		if _, err := t.Exec(ctx, setDue, room, p.due(left)); err != nil {
			return err
		}
		return fault.Here("prune-commit")
	})
	if err != nil {
		return retention.Batch{}, err
	}
	_ = fault.Here("prune-committed")
	return batch, nil
}

// read finds the events that go: from the first one on, up to one that stays.
func (p *pruning) read(ctx context.Context, t database.Tx, room string) (err error) {
	if p.aging, err = readAging(ctx, t, room); err != nil {
		return err
	}
	until, most := p.until(p.now)
	err = t.Query(ctx, selectExpired, []any{room, p.room.First, most, maxPruned}, func(scan database.Scan) error {
		var e expired
		var name protocol.Name
		var data string
		if err := scan(&e.seq, &e.at, &name, &data); err != nil || p.youngest != 0 {
			return err
		}
		if e.at >= until {
			p.youngest = e.at
			return nil
		}
		if e.message = name == protocol.MessageCreated; e.message {
			var named struct {
				Mentions []string `json:"mentions"`
			}
			if err := json.Unmarshal([]byte(data), &named); err != nil {
				return fmt.Errorf("message %d of room %s: %w", e.seq, room, err)
			}
			e.mentions = named.Mentions
		}
		p.expired = append(p.expired, e)
		return nil
	})
	p.full = len(p.expired) == maxPruned
	return err
}

// prune takes the expired events away, with what was made of them.
func (s *pruner) prune(ctx context.Context, t database.Tx, p *pruning) error {
	var b database.Batch
	room := p.room.ID
	if p.room.Deleted && p.now >= later(p.head.At, emptiedAfter) {
		b.Exec(blankRoom, room)
	}
	if len(p.expired) == 0 {
		return t.Batch(ctx, &b)
	}
	from, upTo := p.expired[0].seq, p.expired[len(p.expired)-1].seq
	for _, e := range p.expired {
		if !e.message {
			continue
		}
		if err := s.unindex(ctx, t, &b, document{at: e.at, room: room, seq: e.seq}); err != nil {
			return err
		}
		if len(e.mentions) > 0 {
			b.Exec(dropMentions, room, e.seq, database.JSONList(e.mentions))
		}
	}
	if !p.room.Deleted {
		if !seededForgetting {
			b.Exec(keepIDs, room, from, upTo, later(p.now, -rememberFor))
		}
		b.Exec(touchHead, room) // first is part of the room's entry in everybody's list
	}
	b.Exec(pruneReactions, room, from, upTo)
	b.Exec(pruneMessages, room, from, upTo)
	b.Exec(pruneEvents, room, from, upTo)
	b.Exec(moveFirst, room, upTo+1)
	return t.Batch(ctx, &b)
}

// pruneMembers takes away some member rows of a room that was deleted so long ago that no list tells of it any more; left tells whether there may be others.
func (p *pruning) pruneMembers(ctx context.Context, t database.Tx) (left bool, err error) {
	if !p.room.Deleted || p.now < later(p.head.At, rememberFor) {
		return false, nil
	}
	n, err := t.Exec(ctx, pruneMembers, p.room.ID, maxPruned)
	return n == maxPruned, err
}

// due is when the room is to be looked at next, after this batch; left tells that member rows are.
func (p *pruning) due(left bool) protocol.Time {
	first := p.room.First + protocol.Seq(len(p.expired))
	days := protocol.Time(p.room.Settings.RetentionDays)
	switch {
	case p.full || left:
		return later(p.now, claimFor)
	case p.room.Deleted && p.now < later(p.head.At, emptiedAfter):
		return later(p.head.At, emptiedAfter)
	case p.room.Deleted && first < p.head.Seq:
		return later(p.now, behindFor)
	case p.room.Deleted && p.now < later(p.head.At, rememberFor):
		return later(p.head.At, rememberFor)
	case p.room.Deleted || days == 0:
		return 0
	case p.youngest != 0:
		return max(p.youngest+days*day, later(p.now, pruneEvery))
	case first <= p.head.Seq:
		return later(p.now, behindFor)
	}
	return p.now + days*day
}

// Forget implements retention.Source.
func (s *pruner) Forget(ctx context.Context) (rows int, err error) {
	now := protocol.At(s.now())
	err = s.write(ctx, scope{}, func(t database.Tx) error {
		ids, err := t.Exec(ctx, forgetIDs, later(now, -rememberFor), maxPruned)
		if err != nil {
			return err
		}
		members, err := t.Exec(ctx, forgetMembers, later(now, -rememberFor), maxPruned, later(now, -slowestMode), now)
		rows = int(ids + members)
		return err
	})
	return rows, err
}
