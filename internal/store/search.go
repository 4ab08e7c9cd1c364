package store

import (
	"context"
	"errors"
	"math"
	"strconv"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/words"
	"github.com/parley-im/parley/protocol"
)

var _ chat.Search = (*Store)(nil)

var (
	recentPlaces = database.SQL(`SELECT ` + placeCols + `, m.joined_seq, h.at` + fromOwnRooms + ` AND m.state = ` + isMember + ` AND r.deleted = 0
		ORDER BY h.at DESC, m.room DESC LIMIT CAST($2 AS BIGINT)`)

	// findMessages reads candidates, newest first, below a place: on SQLite a rowid, on PostgreSQL a time, a room and a seq.
	findMessages = database.Text{
		database.SQLite: database.SQL(`SELECT ` + messageCols + `, search.rowid FROM search CROSS JOIN events e LEFT JOIN messages o ON o.room = e.room AND o.seq = e.seq
			WHERE search MATCH $1 AND search.rowid < $2 AND e.room = search.room AND e.seq = search.seq ORDER BY search.rowid DESC LIMIT CAST($3 AS BIGINT)`)[database.SQLite],
		database.Postgres: database.SQL(`SELECT ` + messageCols + `, 0 FROM search s CROSS JOIN events e LEFT JOIN messages o ON o.room = e.room AND o.seq = e.seq
			WHERE s.words @@ $1::text::tsquery AND (s.at, s.room, s.seq) < ($2, $3, $4) AND e.room = s.room AND e.seq = s.seq
			ORDER BY s.at DESC, s.room DESC, s.seq DESC LIMIT CAST($5 AS BIGINT)`)[database.Postgres],
	}

	// planAnew has PostgreSQL plan each search by its words: what is good for a rare one is bad for a common one.
	planAnew = database.Text{
		database.SQLite:   `SELECT 1`,
		database.Postgres: `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`,
	}

	// On SQLite a message has a row of its millisecond. It is found before it is deleted, since FTS5 begins a segment of its own with every statement that
	// searches for what it deletes.
	findRow   = database.Text{database.SQLite: `SELECT rowid FROM search WHERE rowid >= $1 << 20 AND rowid < ($1 + 1) << 20 AND room = $2 AND seq = $3`}
	deleteRow = database.Text{database.SQLite: `DELETE FROM search WHERE rowid = $1`}

	deleteIndexed = database.Text{database.Postgres: `DELETE FROM search WHERE at = $1 AND room = $2 AND seq = $3`}
	insertIndexed = database.Text{
		database.SQLite: `INSERT INTO search (rowid, room, seq, words) VALUES (
			(SELECT COALESCE(max(rowid) + 1, $1 << 20) FROM search WHERE rowid >= $1 << 20 AND rowid < ($1 + 1) << 20), $2, $3, $4)`,
		database.Postgres: `INSERT INTO search (at, room, seq, words) VALUES ($1, $2, $3, array_to_tsvector(string_to_array($4, ' ')))
			ON CONFLICT (at, room, seq) DO UPDATE SET words = excluded.words`, // another relay may be at it, too: one of the two is overtaken
	}
)

// RecentPlace is a room and when its last event was made.
type RecentPlace struct {
	chat.Place
	At protocol.Time
}

// Recent implements chat.Search.
func (s *Store) Recent(ctx context.Context, user string, limit int) (places []chat.Place, more bool, err error) {
	recent, err := s.RecentPlaces(ctx, user, limit+1)
	for _, p := range recent[:min(len(recent), limit)] {
		places = append(places, p.Place)
	}
	return places, len(recent) > limit, err
}

// RecentPlaces are the rooms that the user is a member of, those with the newest events first, at most limit.
func (s *Store) RecentPlaces(ctx context.Context, user string, limit int) ([]RecentPlace, error) {
	var places []RecentPlace
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, recentPlaces, []any{user, limit}, collect(&places, func(scan database.Scan, _ ...any) (p RecentPlace, err error) {
			p.Place, err = scanOwnPlace(scan, &p.At)
			return p, err
		}))
	})
	return places, err
}

// FindMessages implements chat.Search.
func (s *Store) FindMessages(ctx context.Context, user string, q chat.SearchQuery) (*chat.SearchPage, error) {
	f := &finder{user: user, want: words.Parse(q.Query), from: make(map[string]protocol.Seq, len(q.Rooms)), limit: q.Limit}
	if err := f.beginAt(q.Page); err != nil {
		return nil, err
	}
	if len(f.want) == 0 || len(q.Rooms) == 0 {
		return &chat.SearchPage{}, nil
	}
	rooms := make([]string, len(q.Rooms))
	for i, p := range q.Rooms {
		rooms[i], f.from[p.Room] = p.Room, p.From
	}
	f.expression = f.want.Expression(s.engine.Dialect(), rooms)
	err := s.read(ctx, ofRooms(rooms...), func(t database.Tx) error { return f.run(ctx, t, s.engine.Dialect()) })
	if err != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, err
	}
	return f.page(err != nil), nil
}

// found is a message and its place in the order of what is found.
type found struct {
	chat.Found
	row int64 // in the index of SQLite
}

// finder is one search.
type finder struct {
	user       string
	want       words.Query
	expression string
	from       map[string]protocol.Seq // the rooms, and the first seq that may be seen of each
	limit      int

	found []found // at most one more than the limit
	at    found   // how far the candidates have been looked at
	moved bool    // at is not where the search began
}

const maxCandidates = 2000 // that are read at once

// beginAt goes on behind a page.
func (f *finder) beginAt(page string) error {
	f.at = found{Found: chat.Found{Message: &chat.Message{At: math.MaxInt64}}, row: math.MaxInt64}
	key, err := PageKey(page, 4)
	if err != nil || key == nil {
		return err
	}
	var numbers [3]int64
	for i, part := range []int{0, 2, 3} {
		if numbers[i], err = strconv.ParseInt(key[part], 10, 64); err != nil {
			return protocol.Errorf(protocol.BadRequest, "page", "This is not a page of this list: begin without one.")
		}
	}
	f.at.Room, f.at.row = key[1], numbers[2]
	f.at.Message.At, f.at.Message.Seq = protocol.Time(numbers[0]), protocol.Seq(numbers[1])
	return nil
}

// page is what was found.
func (f *finder) page(partial bool) *chat.SearchPage {
	p := &chat.SearchPage{Partial: partial}
	last := f.at
	more := partial && f.moved
	if len(f.found) > f.limit {
		f.found, last, more = f.found[:f.limit], f.found[f.limit-1], true
	}
	for _, m := range f.found {
		p.Found = append(p.Found, m.Found)
	}
	if more {
		m := last.Message
		p.Next = PageAfter(strconv.FormatInt(int64(m.At), 10), last.Room, strconv.FormatUint(uint64(m.Seq), 10), strconv.FormatInt(last.row, 10))
	}
	return p
}

// run looks at candidates until there are enough messages, or no more candidates. Most candidates are what is wanted: the others are those that were
// changed a moment ago, have the words in another order, or are from before the user's time in the room.
func (f *finder) run(ctx context.Context, t database.Tx, d database.Dialect) error {
	if _, err := t.Exec(ctx, planAnew); err != nil {
		return err
	}
	for size := f.limit + 1; ; size = min(2*size, maxCandidates) {
		candidates, err := f.candidates(ctx, t, d, size)
		if err != nil {
			return err
		}
		var fresh []found
		messages := map[roomSeq]*chat.Message{}
		at, moved := f.at, f.moved
		for _, c := range candidates {
			if at, moved = c, true; !f.wants(c) {
				continue
			}
			fresh = append(fresh, c)
			messages[roomSeq{c.Room, c.Message.Seq}] = c.Message
			if len(f.found)+len(fresh) > f.limit {
				break
			}
		}
		var b database.Batch
		queryReactions(&b, f.user, messages)
		if err := t.Batch(ctx, &b); err != nil {
			return err
		}
		f.found, f.at, f.moved = append(f.found, fresh...), at, moved
		if len(f.found) > f.limit || len(candidates) < size {
			return nil
		}
	}
}

func (f *finder) wants(c found) bool {
	text := c.Message.Content.Text
	return text != nil && c.Message.Seq >= f.from[c.Room] && f.want.In(words.Of(*text))
}

// candidates are the next messages that the index has.
func (f *finder) candidates(ctx context.Context, t database.Tx, d database.Dialect, size int) ([]found, error) {
	args := []any{f.expression, f.at.row, size}
	if d == database.Postgres {
		args = []any{f.expression, f.at.Message.At, f.at.Room, f.at.Message.Seq, size}
	}
	var list []found
	err := t.Query(ctx, findMessages, args, func(scan database.Scan) (err error) {
		var c found
		c.Room, c.Message, err = scanMessage(scan, &c.row)
		list = append(list, c)
		return err
	})
	return list, err
}

// document is what the index shall hold of one message.
type document struct {
	at    protocol.Time
	room  string
	seq   protocol.Seq
	words string // "": nothing
	fresh bool   // the index holds nothing of the message
}

// index puts documents into the index, each in the place of what was there.
func (s *Store) index(ctx context.Context, t database.Tx, documents []document) error {
	var b database.Batch
	for _, d := range documents {
		if !d.fresh {
			if err := s.unindex(ctx, t, &b, d); err != nil {
				return err
			}
		}
		if d.words != "" {
			b.Exec(insertIndexed, d.at, d.room, d.seq, d.words)
		}
	}
	return t.Batch(ctx, &b)
}

// unindex adds what takes a document out of the index.
func (d *db) unindex(ctx context.Context, t database.Tx, b *database.Batch, doc document) error {
	if d.engine.Dialect() == database.Postgres {
		b.Exec(deleteIndexed, doc.at, doc.room, doc.seq)
		return nil
	}
	var row int64
	found, err := one(ctx, t, findRow, []any{doc.at, doc.room, doc.seq}, &row)
	if found {
		b.Exec(deleteRow, row)
	}
	return err
}
