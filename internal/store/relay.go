package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/fault"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/words"
	"github.com/parley-im/parley/protocol"
)

var _ relay.Source = (*Store)(nil)

// maxApplied is how many bytes of text one transaction of the relay puts into the index, unless a message alone has more.
const maxApplied = 128 << 10

var (
	selectBehind = database.SQL(`SELECT h.room, h.applied, h.seq, COALESCE(e.at, h.at) FROM room_heads h LEFT JOIN events e ON e.room = h.room AND e.seq = h.applied + 1
		WHERE h.applied < h.seq AND h.room > $1 AND substr(h.room, 3, 1) IN {list $2} {upkeep h.room} ORDER BY h.room LIMIT CAST($3 AS BIGINT)`)
	// selectChanges are the messages that the events made or changed, with the content that they have now; a deleted one has none.
	selectChanges = database.SQL(`SELECT c.seq, e.seq, e.at, COALESCE(NULLIF(o.content, ''), e.data)
		FROM events c CROSS JOIN events e LEFT JOIN messages o ON o.room = e.room AND o.seq = e.seq
		WHERE c.room = $1 AND c.seq > $2 AND c.seq <= $3 AND c.name IN ('message.created', 'message.edited', 'message.deleted')
			AND e.room = c.room AND e.seq = CASE WHEN c.name = 'message.created' THEN c.seq ELSE c.target END ORDER BY c.seq`)
	moveMark     = database.SQL(`UPDATE room_heads SET applied = $3, handed = CASE WHEN handed < $3 THEN $3 ELSE handed END WHERE room = $1 AND applied = $2`)
	selectFirsts = database.SQL(`SELECT r.id, r.first FROM rooms r WHERE r.id IN {list $1}`)

	countNodes = database.SQL(`SELECT count(*) FROM nodes WHERE beat_at >= $1 AND id <> $2`)
	takeLeases = leasing("relay_leases")
)

// leasing makes the statement by which nodes share the rooms for some work: they keep what they have and take what is free.
func leasing(table string) database.Text {
	return database.Text{database.Postgres: `UPDATE ` + table + ` SET node = $1, until = $3 WHERE slots = ANY (ARRAY(
		SELECT l.slots FROM ` + table + ` l WHERE l.node = $1 OR l.until <= $2 ORDER BY CASE WHEN l.node = $1 THEN 0 ELSE 1 END, l.slots
		LIMIT $4 FOR UPDATE SKIP LOCKED)) RETURNING slots`}
}

// groups are what relays share: the first character of the two that say where a room is placed.
const groups = "0123456789abcdefghjkmnpqrstvwxyz"

// Lease implements relay.Source. A SQLite store has one node, whose share is all.
func (s *Store) Lease(ctx context.Context, node string, ttl time.Duration) (relay.Share, error) {
	return s.lease(ctx, takeLeases, node, ttl)
}

// lease is how a node gets its share of the rooms for some work.
func (d *db) lease(ctx context.Context, take database.Text, node string, ttl time.Duration) ([]string, error) {
	if d.engine.Dialect() == database.SQLite {
		return strings.Split(groups, ""), nil
	}
	share := []string{}
	err := d.write(ctx, scope{}, func(t database.Tx) error {
		share = share[:0]
		var others int
		now := d.now()
		if _, err := one(ctx, t, countNodes, []any{protocol.At(now.Add(-liveFor)), node}, &others); err != nil {
			return err
		}
		most := (len(groups) + others) / (1 + others) // rounded up
		return t.Query(ctx, take, []any{node, protocol.At(now), protocol.At(now.Add(ttl)), most}, collect(&share, scanString))
	})
	return share, err
}

// Behind implements relay.Source.
func (s *Store) Behind(ctx context.Context, share relay.Share, after string, limit int) ([]relay.Backlog, error) {
	var rooms []relay.Backlog
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, selectBehind, []any{after, database.JSONList(share), limit}, collect(&rooms, func(scan database.Scan, _ ...any) (b relay.Backlog, err error) {
			err = scan(&b.Room, &b.Mark, &b.Head, &b.Since)
			return b, err
		}))
	})
	return rooms, err
}

// Apply implements relay.Source. Everything is read and prepared before the transaction, which holds no head row for longer than the moving of its mark
// takes. What was read before it cannot be stale in the end: what changes a message is an event past the span.
func (s *Store) Apply(ctx context.Context, spans []relay.Span) (events int, err error) {
	spans, documents, err := s.prepare(ctx, spans)
	if err != nil {
		return 0, err
	}
	if err := fault.Here("relay-apply"); err != nil {
		return 0, err
	}
	if err := s.applyPrepared(ctx, spans, documents); err != nil {
		return 0, err
	}
	_ = fault.Here("relay-marked")
	for _, span := range spans {
		events += int(span.UpTo - span.After)
	}
	return events, nil
}

func (s *Store) applyPrepared(ctx context.Context, spans []relay.Span, documents []document) error {
	rooms := make([]string, len(spans))
	for i, span := range spans {
		rooms[i] = span.Room
	}
	return s.write(ctx, scope{rooms: rooms, upkeep: true}, func(t database.Tx) error {
		if err := s.index(ctx, t, documents); err != nil {
			return err
		}
		if err := makeSpans(ctx, t, spans, s.now()); err != nil {
			return err
		}
		if err := fault.Here("relay-mark"); err != nil {
			return err
		}
		for _, span := range spans {
			if n, err := t.Exec(ctx, moveMark, span.Room, span.After, span.UpTo); err != nil {
				return err
			} else if n == 0 {
				return relay.ErrOvertaken
			}
		}
		return stillKept(ctx, t, spans, documents)
	})
}

// stillKept refuses what was read of messages that were pruned since, so that no word of them gets back into the index. The heads of the rooms are locked by
// now: what is to be pruned next will find the words.
func stillKept(ctx context.Context, t database.Tx, spans []relay.Span, documents []document) error {
	rooms := make([]string, len(spans))
	for i, span := range spans {
		rooms[i] = span.Room
	}
	firsts := make(map[string]protocol.Seq, len(spans))
	err := t.Query(ctx, selectFirsts, []any{database.JSONList(rooms)}, func(scan database.Scan) error {
		var room string
		var first protocol.Seq
		err := scan(&room, &first)
		firsts[room] = first
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range documents {
		if d.seq < firsts[d.room] {
			return relay.ErrOvertaken
		}
	}
	return nil
}

// change is a message that an event made or changed, as it stands.
type change struct {
	room    string
	event   protocol.Seq
	message protocol.Seq
	at      protocol.Time // of the message
	text    string
}

// prepare reads what the spans change, and cuts the spans where that is too much. Both are sorted, so that two relays do not wait for each other.
func (s *Store) prepare(ctx context.Context, spans []relay.Span) ([]relay.Span, []document, error) {
	spans = slices.SortedFunc(slices.Values(spans), func(a, b relay.Span) int { return cmp.Compare(a.Room, b.Room) })
	var changes []change
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		for _, span := range spans {
			b.Query(selectChanges, collect(&changes, func(scan database.Scan, _ ...any) (change, error) {
				c := change{room: span.Room}
				var content string
				if err := scan(&c.event, &c.message, &c.at, &content); err != nil {
					return c, err
				}
				var has struct {
					Text string `json:"text"`
				}
				if err := json.Unmarshal([]byte(content), &has); err != nil {
					return c, fmt.Errorf("message %d of room %s: %w", c.message, c.room, err)
				}
				c.text = has.Text
				return c, nil
			}), span.Room, span.After, span.UpTo)
		}
		return t.Batch(ctx, &b)
	})
	if err != nil {
		return nil, nil, err
	}
	changes, spans = cutSpans(changes, spans)
	return spans, documentsOf(changes), nil
}

// cutSpans leaves out the events from the one on with which there would be too much text.
func cutSpans(changes []change, spans []relay.Span) ([]change, []relay.Span) {
	bytes := 0
	for i, c := range changes {
		if bytes += len(c.text); bytes <= maxApplied || i == 0 {
			continue
		}
		at := slices.IndexFunc(spans, func(s relay.Span) bool { return s.Room == c.room })
		if spans[at].UpTo = c.event - 1; spans[at].UpTo > spans[at].After {
			at++
		}
		return changes[:i], spans[:at]
	}
	return changes, spans
}

// documentsOf are the messages that were changed, each once.
func documentsOf(changes []change) []document {
	documents := make([]document, 0, len(changes))
	seen := make(map[roomSeq]bool, len(changes))
	for _, c := range changes {
		at := roomSeq{c.room, c.message}
		if !seen[at] {
			documents = append(documents, document{
				at: c.at, room: c.room, seq: c.message, words: words.Indexed(c.room, words.Of(c.text)), fresh: c.event == c.message,
			})
		}
		seen[at] = true
	}
	return documents
}
