package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/protocol"
)

var _ relay.Source = (*Store)(nil)

// maxApplied is how many bytes of text one transaction of the relay puts into the index, unless a message alone has more.
const maxApplied = 128 << 10

var (
	selectBehind = sql(`SELECT h.room, h.applied, h.seq, COALESCE(e.at, h.at) FROM room_heads h LEFT JOIN events e ON e.room = h.room AND e.seq = h.applied + 1
		WHERE h.applied < h.seq AND h.room > $1 AND substr(h.room, 3, 1) IN {list $2} ORDER BY h.room LIMIT $3`)
	selectTouched = sql(`SELECT e.room, e.seq, CASE WHEN e.name = 'message.created' THEN e.seq ELSE e.target END FROM events e
		WHERE e.room = $1 AND e.seq > $2 AND e.seq <= $3 AND e.name IN ('message.created', 'message.edited', 'message.deleted') ORDER BY e.seq`)
	moveMark = sql(`UPDATE room_heads SET applied = $3 WHERE room = $1 AND applied = $2`)
	setBack  = sql(`UPDATE room_heads SET applied = 0 WHERE applied <> 0`)

	countNodes = sql(`SELECT count(*) FROM nodes WHERE beat_at >= $1 AND id <> $2`)
	takeLeases = text{postgres: `UPDATE relay_leases SET node = $1, until = $3 WHERE slots = ANY (ARRAY(
		SELECT l.slots FROM relay_leases l WHERE l.node = $1 OR l.until <= $2 ORDER BY CASE WHEN l.node = $1 THEN 0 ELSE 1 END, l.slots
		LIMIT $4 FOR UPDATE SKIP LOCKED)) RETURNING slots`}
)

// slots are the groups that relays share: the first character of the two that say where a room is placed.
const slots = "0123456789abcdefghjkmnpqrstvwxyz"

// Lease implements relay.Source. A SQLite store has one node, whose share is all.
func (s *Store) Lease(ctx context.Context, node string, ttl time.Duration) (relay.Share, error) {
	if s.engine.dialect() == sqlite {
		return strings.Split(slots, ""), nil
	}
	share := relay.Share{}
	err := s.write(ctx, func(t tx) error {
		share = share[:0]
		var others int
		now := s.now()
		if _, err := one(ctx, t, countNodes, []any{protocol.At(now.Add(-liveFor)), node}, &others); err != nil {
			return err
		}
		most := (len(slots) + others) / (1 + others) // rounded up
		return t.query(ctx, takeLeases, []any{node, protocol.At(now), protocol.At(now.Add(ttl)), most}, collect((*[]string)(&share), scanString))
	})
	return share, err
}

// Behind implements relay.Source.
func (s *Store) Behind(ctx context.Context, share relay.Share, after string, limit int) ([]relay.Backlog, error) {
	var rooms []relay.Backlog
	err := s.read(ctx, func(t tx) error {
		return t.query(ctx, selectBehind, []any{after, jsonList(share), limit}, collect(&rooms, func(scan scan, _ ...any) (b relay.Backlog, err error) {
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
	err = s.write(ctx, func(t tx) error {
		var b batch
		for _, d := range documents {
			d.write(&b)
		}
		if err := t.batch(ctx, &b); err != nil {
			return err
		}
		for _, span := range spans {
			if n, err := t.exec(ctx, moveMark, span.Room, span.After, span.UpTo); err != nil {
				return err
			} else if n == 0 {
				return relay.ErrOvertaken
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, span := range spans {
		events += int(span.UpTo - span.After)
	}
	return events, nil
}

// touched is an event that made or changed a message.
type touched struct{ event, message roomSeq }

// prepare reads the messages that the spans are about, as they stand, and cuts the spans where they hold too much. Spans and documents are sorted, so that
// two relays do not wait for each other.
func (s *Store) prepare(ctx context.Context, spans []relay.Span) ([]relay.Span, []document, error) {
	spans = slices.SortedFunc(slices.Values(spans), func(a, b relay.Span) int { return cmp.Compare(a.Room, b.Room) })
	var events []touched
	messages := map[roomSeq]*chat.Message{}
	err := s.read(ctx, func(t tx) error {
		var b batch
		for _, span := range spans {
			b.query(selectTouched, collect(&events, func(scan scan, _ ...any) (e touched, err error) {
				err = scan(&e.event.room, &e.event.seq, &e.message.seq)
				e.message.room = e.event.room
				return e, err
			}), span.Room, span.After, span.UpTo)
		}
		if err := t.batch(ctx, &b); err != nil || len(events) == 0 {
			return err
		}
		places := make([][2]any, len(events))
		for i, e := range events {
			places[i] = [2]any{e.message.room, e.message.seq}
		}
		return t.query(ctx, selectStored, []any{jsonList(places)}, func(scan scan) error {
			room, m, err := scanMessage(scan)
			if err == nil {
				messages[roomSeq{room, m.Seq}] = m
			}
			return err
		})
	})
	if err != nil {
		return nil, nil, err
	}
	events, spans = cutSpans(events, spans, messages)
	return spans, documentsOf(events, messages), nil
}

// cutSpans leaves out the events from the one on with which there would be too much text.
func cutSpans(events []touched, spans []relay.Span, messages map[roomSeq]*chat.Message) ([]touched, []relay.Span) {
	bytes := 0
	for i, e := range events {
		if m := messages[e.message]; m != nil && m.Content.Text != nil {
			bytes += len(*m.Content.Text)
		}
		if bytes <= maxApplied || i == 0 {
			continue
		}
		at := slices.IndexFunc(spans, func(s relay.Span) bool { return s.Room == e.event.room })
		if spans[at].UpTo = e.event.seq - 1; spans[at].UpTo > spans[at].After {
			at++
		}
		return events[:i], spans[:at]
	}
	return events, spans
}

// documentsOf are the messages that the events are about, each once.
func documentsOf(events []touched, messages map[roomSeq]*chat.Message) []document {
	var documents []document
	for _, e := range events {
		m := messages[e.message]
		if m == nil {
			continue // it is there already, or gone from the store
		}
		delete(messages, e.message)
		d := document{at: m.At, room: e.message.room, seq: m.Seq}
		if m.Content.Text != nil {
			d.words = indexed(d.room, wordsOf(*m.Content.Text))
		}
		documents = append(documents, d)
	}
	return documents
}

// RebuildSearch empties the search index and has the relay apply every log from its beginning. Until that is done searches find less.
func (s *Store) RebuildSearch(ctx context.Context) error {
	return s.write(ctx, func(t tx) error {
		if _, err := t.exec(ctx, setBack); err != nil {
			return err
		}
		_, err := t.exec(ctx, clearIndex)
		return err
	})
}
