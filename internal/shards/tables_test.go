package shards

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/testkit"
)

// stays are the tables of which nothing moves with a slot, and why.
var stays = map[string]string{
	"meta":             "what the database is",
	"goose_db_version": "which migrations it has seen",
	"auth_mark":        "a count for the whole database, of which nodes look for changes",
	"ownership":        "what the shard is: a move changes it by itself",
	"relay_leases":     "which node looks after which rooms of the database",
	"feed_leases":      "the same, for the feed",
	"sinks":            "every shard has them",
	"nodes":            "a node lives in every shard",
	"keys":             "the home has them",
	"tickets":          "the home has them: who brings one names no user",
	"erasures":         "the home has the list, whatever shard is to erase",
	"checkpoints":      "the home has them: an event id names no user",
	"shards":           "the home has them",
	"slot_map":         "the home has it",
	"slot_moves":       "the home has them",
}

// TestEveryTableMovesOrStays: a table that somebody adds is to be thought of.
func TestEveryTableMovesOrStays(t *testing.T) {
	url := testkit.StartPostgres(t, "fsync=off").Database(t)
	s, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()
	found, err := db.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string]int{}
	for _, m := range slices.Concat(roomTables, feedTables, userTables) {
		lists[m.name]++
	}
	for name := range stays {
		lists[name]++
	}
	for _, name := range names {
		if lists[name] != 1 {
			t.Errorf("%s is in %d of the lists: its rows move with rooms (roomTables, feedTables) or with users (userTables), or stay, for a reason (stays)", name, lists[name])
		}
		delete(lists, name)
	}
	for name := range lists {
		t.Errorf("%s is no table", name)
	}
}
