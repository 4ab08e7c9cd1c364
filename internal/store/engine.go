package store

import (
	"context"
	"errors"
	"strings"
)

// engine is one database: what SQLite and PostgreSQL do each in their own way.
type engine interface {
	// write runs fn in one transaction of the writer lane, and commits it. SQLite has one lane (its one writer); PostgreSQL has two, so that rooms which
	// another node holds do not hold up the others. errCommitUnknown means that the commit may or may not have happened.
	write(ctx context.Context, lane lane, fn func(tx) error) error
	// read runs fn on one consistent snapshot.
	read(ctx context.Context, fn func(tx) error) error
	// heads locks the head rows of the rooms, in the order given (sorted by id), in a statement of its own; on the fast lane it leaves out rooms that
	// somebody else holds.
	heads(ctx context.Context, t tx, lane lane, rooms []string, row func(scan) error) error
	// retryable reports an error after which the same transaction may succeed: a serialization failure, a deadlock, a lost connection.
	retryable(err error) bool
	// identity is this engine's part of the epoch beside the stored uuid: another one means that another copy of the store is being read.
	identity(ctx context.Context) (string, error)
	// check refuses a store that is damaged.
	check(ctx context.Context) error
	dialect() dialect
	close() error
}

// lane is a path of writing transactions; see engine.write.
type lane int

const (
	fast    lane = iota // takes what is free
	waiting             // waits for rooms that others hold
)

// tx is a transaction or a snapshot. It is for one goroutine.
type tx interface {
	// exec runs one statement and tells how many rows it changed.
	exec(ctx context.Context, q text, args ...any) (int64, error)
	// query calls row for each row of the result.
	query(ctx context.Context, q text, args []any, row func(scan) error) error
	// batch carries out the statements in order; PostgreSQL sends them in one round trip.
	batch(ctx context.Context, b *batch) error
}

// scan reads the columns of the row at hand.
type scan func(dest ...any) error

// batch is a list of statements to be carried out together.
type batch struct {
	items []batchItem
}

type batchItem struct {
	q     text
	args  []any
	row   func(scan) error // nil for a statement without rows
	alone bool             // who writes alone knows the rows already: the statement has none there
}

// exec adds a statement without rows.
func (b *batch) exec(q text, args ...any) { b.items = append(b.items, batchItem{q: q, args: args}) }

// query adds a statement whose rows are read.
func (b *batch) query(q text, row func(scan) error, args ...any) {
	b.items = append(b.items, batchItem{q: q, args: args, row: row})
}

// writeShared adds a statement whose rows tell what others may have written meanwhile. Where this process is the only writer there is nothing to tell, and row
// is not called.
func (b *batch) writeShared(q text, row func(scan) error, args ...any) {
	b.items = append(b.items, batchItem{q: q, args: args, row: row, alone: true})
}

// errCommitUnknown is wrapped by errors of a commit whose answer was lost.
var errCommitUnknown = errors.New("the outcome of the commit is unknown")

// errBroken is wrapped by errors after which nobody can know what is on the disk: a failed fsync may have thrown the pages away.
var errBroken = errors.New("the disk failed during a commit")

// dialect names the engine whose text is used.
type dialect int

const (
	sqlite dialect = iota
	postgres
)

// text is one statement for each engine.
type text [2]string

// sql makes a statement from the common text. Parameters are $1, $2, …, each used in any order. These stand for what differs:
//
//	{list $1}    a one-column subquery of the strings of a JSON array
//	{pairs $1}   a table (a, b) of the pairs of strings of a JSON array of arrays
//	{triples $1} the same with a third string (a, b, c)
//	{places $1}  a table (a, b) of a string and an integer
//	{changed}    the position of this transaction in the order of commits, for writing
//	{position}   the position of this snapshot, as text
//	{at $1}      a position that was text, for comparing
//	{returning}  RETURNING with the columns named, where others may write too; see batch.writeShared
func sql(common string) text {
	return text{
		sqlite: replaceAll(common, [][2]string{
			{"{list $", "(SELECT value FROM json_each($"},
			{"{pairs $", "(SELECT value->>0 AS a, value->>1 AS b FROM json_each($"},
			{"{triples $", "(SELECT value->>0 AS a, value->>1 AS b, value->>2 AS c FROM json_each($"},
			{"{places $", "(SELECT value->>0 AS a, value->>1 AS b FROM json_each($"},
			{"{changed}", "(SELECT v FROM tick)"},
			{"{position}", "(SELECT CAST(v + 1 AS TEXT) FROM tick)"},
			{"{at $", "CAST(($"},
			{"{returning ", "/* alone: "},
		}, map[string]string{"{list $": "))", "{pairs $": "))", "{triples $": "))", "{places $": "))", "{at $": ") AS INTEGER)", "{returning ": " */"}),
		postgres: replaceAll(common, [][2]string{
			{"{list $", "(SELECT jsonb_array_elements_text($"},
			{"{pairs $", "(SELECT e->>0 AS a, e->>1 AS b FROM jsonb_array_elements($"},
			{"{triples $", "(SELECT e->>0 AS a, e->>1 AS b, e->>2 AS c FROM jsonb_array_elements($"},
			{"{places $", "(SELECT e->>0 AS a, (e->>1)::bigint AS b FROM jsonb_array_elements($"},
			{"{changed}", "pg_current_xact_id()"},
			{"{position}", "pg_snapshot_xmin(pg_current_snapshot())::text"},
			{"{at $", "($"},
			{"{returning ", "RETURNING "},
		}, map[string]string{"{list $": "::text::jsonb))", "{pairs $": "::text::jsonb) e)", "{triples $": "::text::jsonb) e)", "{places $": "::text::jsonb) e)", "{at $": "::text::xid8)", "{returning ": ""}),
	}
}

// replaceAll replaces each opening; where tails has an entry for it, also the "}" that ends it.
func replaceAll(s string, openings [][2]string, tails map[string]string) string {
	for _, o := range openings {
		tail, paired := tails[o[0]]
		for {
			i := strings.Index(s, o[0])
			if i < 0 {
				break
			}
			rest := s[i+len(o[0]):]
			if paired {
				j := strings.IndexByte(rest, '}')
				rest = rest[:j] + tail + rest[j+1:]
			}
			s = s[:i] + o[1] + rest
		}
	}
	return s
}
