// Package database is what lies below the store's statements: SQLite and PostgreSQL as one [Engine] with transactions and snapshots, and the places where their
// SQL differs ([SQL]). It knows of no rooms but the head rows that an engine locks in its own way.
package database

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/store/slots"
)

// Engine is one database: what SQLite and PostgreSQL do each in their own way.
type Engine interface {
	// Write runs fn in one transaction of the writer lane, and commits it. SQLite has one lane (its one writer); PostgreSQL has two, so that rooms which
	// another node holds do not hold up the others. ErrCommitUnknown means that the commit may or may not have happened.
	Write(ctx context.Context, lane Lane, fn func(Tx) error) error
	// Read runs fn on one consistent snapshot.
	Read(ctx context.Context, fn func(Tx) error) error
	// Heads locks the head rows of the rooms, in the order given (sorted by id), in a statement of its own; on the fast lane it leaves out rooms that
	// somebody else holds.
	Heads(ctx context.Context, t Tx, lane Lane, rooms []string, row func(Scan) error) error
	// Retryable reports an error after which the same transaction may succeed: a serialization failure, a deadlock, a lost connection, a full disk.
	Retryable(err error) bool
	// Identity is this engine's part of the epoch beside the stored uuid: another one means that another copy of the store is being read.
	Identity(ctx context.Context) (string, error)
	// Check refuses a store that is damaged.
	Check(ctx context.Context) error
	// Dialect is the engine whose text is used.
	Dialect() Dialect
	// Close waits for readers, and ends. Nothing may be asked after it.
	Close() error
}

// Pooled is an engine that can tell how many of its connections are used now, and how many there may be.
type Pooled interface {
	// Connections may be asked at any time.
	Connections() (used, most int)
}

// Lane is a path of writing transactions; see Engine.Write.
type Lane int

const (
	Fast    Lane = iota // takes what is free
	Waiting             // waits for rooms that others hold
)

// Tx is a transaction or a snapshot. It is for one goroutine.
type Tx interface {
	// Exec runs one statement and tells how many rows it changed.
	Exec(ctx context.Context, q Text, args ...any) (int64, error)
	// Query calls row for each row of the result.
	Query(ctx context.Context, q Text, args []any, row func(Scan) error) error
	// Batch carries out the statements in order; PostgreSQL sends them in one round trip.
	Batch(ctx context.Context, b *Batch) error
	// Owned is which slots the store serves, as of this transaction or snapshot; nil for a store that is alone, which serves all.
	Owned() *Ownership
}

// Ownership is which slots a store serves that is one of several.
type Ownership struct {
	Name   string    // of the shard
	Reads  slots.Set // slots that may be read
	Writes slots.Set // that may be written: none of a slot that is about to be another shard's
	Upkeep slots.Set // that the relay and retention may touch: none of a slot that is being copied
}

// Scan reads the columns of the row at hand.
type Scan func(dest ...any) error

// Batch is a list of statements to be carried out together.
type Batch struct {
	items []batchItem
}

type batchItem struct {
	q     Text
	args  []any
	row   func(Scan) error // nil for a statement without rows
	alone bool             // who writes alone knows the rows already: the statement has none there
}

// Exec adds a statement without rows.
func (b *Batch) Exec(q Text, args ...any) { b.items = append(b.items, batchItem{q: q, args: args}) }

// Query adds a statement whose rows are read.
func (b *Batch) Query(q Text, row func(Scan) error, args ...any) {
	b.items = append(b.items, batchItem{q: q, args: args, row: row})
}

// Empty reports that there is nothing to carry out.
func (b *Batch) Empty() bool { return len(b.items) == 0 }

// WriteShared adds a statement whose rows tell what others may have written meanwhile. Where this process is the only writer there is nothing to tell, and row
// is not called.
func (b *Batch) WriteShared(q Text, row func(Scan) error, args ...any) {
	b.items = append(b.items, batchItem{q: q, args: args, row: row, alone: true})
}

// ErrCommitUnknown is wrapped by errors of a commit whose answer was lost.
var ErrCommitUnknown = errors.New("the outcome of the commit is unknown")

// ErrBroken is wrapped by errors after which nobody can know what is on the disk: a failed fsync may have thrown the pages away.
var ErrBroken = errors.New("the disk failed during a commit")

// Dialect names the engine whose text is used.
type Dialect int

const (
	SQLite   Dialect = iota // the embedded one: one file, one process that writes
	Postgres                // a server that nodes share
)

// Text is one statement for each engine, and a third form for PostgreSQL where the store is one of several; without one the second is used.
type Text [3]string

// shard is where a Text has its form for a store that is one of several.
const shard = 2

// on is the form for PostgreSQL.
func (q Text) on(sharded bool) string {
	if sharded && q[shard] != "" {
		return q[shard]
	}
	return q[Postgres]
}

// SQL makes a statement from the common text. Parameters are $1, $2, …, each used in any order. These stand for what differs:
//
//	{list $1}    a one-column subquery of the strings of a JSON array
//	{pairs $1}   a table (a, b) of the pairs of strings of a JSON array of arrays
//	{triples $1} the same with a third string (a, b, c)
//	{sevens $1}  the same with seven strings (a … g)
//	{places $1}  a table (a, b) of a string and an integer
//	{changed}    the position of this transaction in the order of commits, for writing
//	{position}   the position of this snapshot, as text
//	{at $1}      a position that was text, for comparing
//	{returning}  RETURNING with the columns named, where others may write too; see Batch.WriteShared
//	{rooms c}    AND the room with the id in the column c may be read here; nothing where the store is alone
//	{users c}    the same of a user
//	{writes c}   AND the room with the id in the column c may be written here
//	{upkeep c}   AND the relay and retention may touch the room with the id in the column c
func SQL(common string) Text {
	sharded := common
	for name, test := range map[string]string{
		"rooms":  "AND get_bit((SELECT reads FROM ownership), room_slot($1)) = 1",
		"users":  "AND get_bit((SELECT reads FROM ownership), user_slot($1)) = 1",
		"writes": "AND get_bit((SELECT writes FROM ownership), room_slot($1)) = 1",
		"upkeep": "AND get_bit((SELECT upkeep FROM ownership), room_slot($1)) = 1",
	} {
		mark := regexp.MustCompile(`\{` + name + ` ([^}]*)\}`)
		common, sharded = mark.ReplaceAllString(common, ""), mark.ReplaceAllString(sharded, test)
	}
	text := bothSQL(common)
	if sharded != common {
		text[shard] = bothSQL(sharded)[Postgres]
	}
	return text
}

// Apart makes a statement of a text for each engine, which may have what SQL understands.
func Apart(sqlite, postgres string) Text {
	text := SQL(postgres)
	text[SQLite] = SQL(sqlite)[SQLite]
	return text
}

// bothSQL is SQL without what is about slots.
func bothSQL(common string) Text {
	return Text{
		SQLite: replaceAll(common, [][2]string{
			{"{list $", "(SELECT value FROM json_each($"},
			{"{pairs $", "(SELECT value->>0 AS a, value->>1 AS b FROM json_each($"},
			{"{triples $", "(SELECT value->>0 AS a, value->>1 AS b, value->>2 AS c FROM json_each($"},
			{"{sevens $", "(SELECT value->>0 AS a, value->>1 AS b, value->>2 AS c, value->>3 AS d, value->>4 AS e, value->>5 AS f, value->>6 AS g FROM json_each($"},
			{"{places $", "(SELECT value->>0 AS a, value->>1 AS b FROM json_each($"},
			{"{changed}", "(SELECT v FROM tick)"},
			{"{position}", "(SELECT CAST(v + 1 AS TEXT) FROM tick)"},
			{"{at $", "CAST(($"},
			{"{returning ", "/* alone: "},
		}, map[string]string{"{list $": "))", "{pairs $": "))", "{triples $": "))", "{sevens $": "))", "{places $": "))", "{at $": ") AS INTEGER)", "{returning ": " */"}),
		Postgres: replaceAll(common, [][2]string{
			{"{list $", "(SELECT jsonb_array_elements_text($"},
			{"{pairs $", "(SELECT e->>0 AS a, e->>1 AS b FROM jsonb_array_elements($"},
			{"{triples $", "(SELECT e->>0 AS a, e->>1 AS b, e->>2 AS c FROM jsonb_array_elements($"},
			{"{sevens $", "(SELECT e->>0 AS a, e->>1 AS b, e->>2 AS c, e->>3 AS d, e->>4 AS e, e->>5 AS f, e->>6 AS g FROM jsonb_array_elements($"},
			{"{places $", "(SELECT e->>0 AS a, (e->>1)::bigint AS b FROM jsonb_array_elements($"},
			{"{changed}", "pg_current_xact_id()"},
			{"{position}", "pg_snapshot_xmin(pg_current_snapshot())::text"},
			{"{at $", "($"},
			{"{returning ", "RETURNING "},
		}, map[string]string{"{list $": "::text::jsonb))", "{pairs $": "::text::jsonb) e)", "{triples $": "::text::jsonb) e)", "{sevens $": "::text::jsonb) e)", "{places $": "::text::jsonb) e)", "{at $": "::text::xid8)", "{returning ": ""}),
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

// JSONList is the parameter of {list}, {pairs}, {triples}, {sevens} and {places}.
func JSONList(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: a list that does not encode: " + err.Error()) // only strings and numbers get here
	}
	return string(b)
}
