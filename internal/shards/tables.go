package shards

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/parley-im/parley/internal/store/slots"
)

// moved is a table of which a slot has rows, and the column by which they are found.
type moved struct{ name, column string }

// Tables by whose rows they hold. What is in none of them stays where it is; the tests have those, with the reasons. Nothing tells what has changed in those of
// the feed and of users: they are copied while nobody may write the slot.
var (
	roomTables = []moved{
		{"rooms", "id"},
		{"room_heads", "room"},
		{"members", "room"},
		{"events", "room"},
		{"messages", "room"},
		{"reactions", "room"},
		{"mentions", "room"},
		{"kept_ids", "room"},
		{"search", "room"},
	}
	feedTables = []moved{{"jobs", "room"}, {"dead_letters", "room"}}
	userTables = []moved{{"users", "id"}, {"sessions", "user_id"}, {"revocations", "user_id"}, {"presence", "user_id"}}
)

// of is the condition for the rows of a slot. It holds no more than digits and letters of ours.
func (m moved) of(slot int) string {
	if slices.Contains(userTables, m) {
		return fmt.Sprintf("user_slot(%s) = %d", m.column, slot)
	}
	prefix := slots.Prefix(slot)
	where := fmt.Sprintf("%s >= '%s' AND %s < '%s~'", m.column, prefix, m.column, prefix)
	if m.name == "search" { // its index is by words, and each row has its room as one
		where += fmt.Sprintf(" AND words @@ '''_%s'':*'::tsquery", prefix)
	}
	if slices.Contains(feedTables, m) { // their keys begin with the sink, of which there are few: the database goes from one to the next
		where += fmt.Sprintf(` AND sink = ANY (ARRAY(WITH RECURSIVE s (sink) AS (SELECT min(sink) FROM %[1]s
			UNION ALL SELECT (SELECT min(n.sink) FROM %[1]s n WHERE n.sink > s.sink) FROM s WHERE s.sink IS NOT NULL) SELECT sink FROM s))`, m.name)
	}
	return where
}

// columns of a table that move: a row's place in the order of commits is not one of them.
func columns(ctx context.Context, c *pgx.Conn, table string) (string, error) {
	rows, err := c.Query(ctx, `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'changed' ORDER BY attname`, table)
	if err != nil {
		return "", err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(names, ", "), err
}

// copyRows copies the rows of a table that a query selects, its columns named c., from one database to another, within the transactions of both.
func copyRows(ctx context.Context, from, to *pgx.Conn, table, query string) (int64, error) {
	names, err := columns(ctx, from, table)
	if err != nil {
		return 0, err
	}
	selected := "c." + strings.ReplaceAll(names, ", ", ", c.")
	r, w := io.Pipe()
	var copied int64
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		_, err := from.PgConn().CopyTo(ctx, w, "COPY ("+fmt.Sprintf(query, selected)+") TO STDOUT (FORMAT binary)")
		w.CloseWithError(err) // nil: the end
		return err
	})
	both.Go(func() error {
		tag, err := to.PgConn().CopyFrom(ctx, r, "COPY "+table+" ("+names+") FROM STDIN (FORMAT binary)")
		r.CloseWithError(err)
		copied = tag.RowsAffected()
		return err
	})
	if err := both.Wait(); err != nil {
		return 0, fmt.Errorf("copy %s: %w", table, err)
	}
	return copied, nil
}

// copyTable copies all of a table's rows of a slot.
func copyTable(ctx context.Context, from, to *pgx.Conn, m moved, slot int) (int64, error) {
	return copyRows(ctx, from, to, m.name, "SELECT %s FROM "+m.name+" c WHERE "+m.of(slot))
}

// stale is a room whose copy is behind: what is past head has to be copied, and what that is about.
type stale struct {
	room string
	head int64
}

// copyStale brings the copies of rooms up to the snapshot of the origin: since is the position from which on changes of members are looked for.
func copyStale(ctx context.Context, from, to *pgx.Conn, rooms []stale, since string) error {
	if len(rooms) == 0 {
		return nil
	}
	var values []string
	for _, r := range rooms {
		values = append(values, fmt.Sprintf("('%s', %d::bigint)", r.room, r.head))
	}
	// w are the rooms, fresh the events that the copy lacks, t the messages that these are about.
	with := "WITH w (room, head) AS (VALUES " + strings.Join(values, ", ") + `),
		fresh AS (SELECT e.* FROM w JOIN events e ON e.room = w.room AND e.seq > w.head),
		t AS (SELECT room, target AS seq FROM fresh WHERE target <> 0 UNION SELECT room, thread FROM fresh WHERE thread <> 0) `
	about, err := from.Query(ctx, with+`SELECT room, seq FROM t`)
	if err != nil {
		return err
	}
	type place struct {
		Room string
		Seq  int64
	}
	places, err := pgx.CollectRows(about, pgx.RowToStructByPos[place])
	if err != nil {
		return err
	}
	senders, err := from.Query(ctx, with+`SELECT DISTINCT room, user_id FROM fresh UNION SELECT m.room, m.user_id FROM w JOIN members m ON m.room = w.room AND m.changed >= '`+since+`'::xid8`)
	if err != nil {
		return err
	}
	type member struct{ Room, User string }
	members, err := pgx.CollectRows(senders, pgx.RowToStructByPos[member])
	if err != nil {
		return err
	}
	var b pgx.Batch
	for _, r := range rooms {
		b.Queue(`DELETE FROM rooms WHERE id = $1`, r.room)
		b.Queue(`DELETE FROM room_heads WHERE room = $1`, r.room)
		for _, table := range []string{"events", "messages", "mentions"} {
			b.Queue(`DELETE FROM `+table+` WHERE room = $1 AND seq > $2`, r.room, r.head)
		}
	}
	for _, p := range places {
		for _, table := range []string{"events", "messages", "mentions"} {
			b.Queue(`DELETE FROM `+table+` WHERE room = $1 AND seq = $2`, p.Room, p.Seq)
		}
		b.Queue(`DELETE FROM events WHERE room = $1 AND target = $2 AND target <> 0 AND name = 'message.edited'`, p.Room, p.Seq)
		b.Queue(`DELETE FROM reactions WHERE room = $1 AND target = $2`, p.Room, p.Seq)
	}
	for _, m := range members {
		b.Queue(`DELETE FROM members WHERE room = $1 AND user_id = $2`, m.Room, m.User)
	}
	if err := to.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	for _, q := range []struct{ table, query string }{
		{"rooms", `SELECT %s FROM w JOIN rooms c ON c.id = w.room`},
		{"room_heads", `SELECT %s FROM w JOIN room_heads c ON c.room = w.room`},
		{"events", `SELECT %[1]s FROM w JOIN events c ON c.room = w.room AND c.seq > w.head UNION
			SELECT %[1]s FROM t JOIN events c ON c.room = t.room AND c.seq = t.seq UNION
			SELECT %[1]s FROM t JOIN events c ON c.room = t.room AND c.target = t.seq AND c.target <> 0 AND c.name = 'message.edited'`},
		{"messages", `SELECT %[1]s FROM w JOIN messages c ON c.room = w.room AND c.seq > w.head UNION SELECT %[1]s FROM t JOIN messages c ON c.room = t.room AND c.seq = t.seq`},
		{"mentions", `SELECT %[1]s FROM w JOIN mentions c ON c.room = w.room AND c.seq > w.head UNION SELECT %[1]s FROM t JOIN mentions c ON c.room = t.room AND c.seq = t.seq`},
		{"reactions", `SELECT %[1]s FROM t JOIN reactions c ON c.room = t.room AND c.target = t.seq`},
		{"members", `SELECT %[1]s FROM w JOIN members c ON c.room = w.room AND (c.changed >= '` + since + `'::xid8
			OR c.user_id IN (SELECT f.user_id FROM fresh f WHERE f.room = w.room))`},
	} {
		if _, err := copyRows(ctx, from, to, q.table, strings.ReplaceAll(with, "%", "%%")+q.query); err != nil {
			return err
		}
	}
	return nil
}
