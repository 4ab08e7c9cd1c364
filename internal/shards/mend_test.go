package shards_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

// inBoth makes rooms of a user until each of two shards has one.
func (n *node) inBoth(t *testing.T, user string) (home, other string) {
	t.Helper()
	if err := n.store.Ensure(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	for i := 0; home == "" || other == ""; i++ {
		created, err := n.core.CreateRoom(t.Context(), chat.Actor{User: user}, &protocol.RoomCreateParams{Kind: protocol.Group, ClientID: fmt.Sprint(user, i)})
		if err != nil {
			t.Fatal(err)
		}
		if slots.Room(created.Room.ID) < slots.Count/2 {
			home = created.Room.ID
		} else {
			other = created.Room.ID
		}
	}
	return home, other
}

func (n *node) say(t *testing.T, user, room, id, text string) {
	t.Helper()
	must[protocol.MessageSendResult](t, n, user, protocol.MessageSend, &protocol.MessageSendParams{Room: room, ClientID: id, Text: text})
}

// mover runs something by a mover, which calls at at each point on its way.
func (d *deployment) mover(t *testing.T, at func(slot int, point string) error, do func(*shards.Mover) error) error {
	t.Helper()
	m, err := shards.OpenMover(t.Context(), shards.MoverOptions{Home: d.home, Others: d.others, Log: silent(), Settle: time.Millisecond, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return errors.Join(do(m), m.Close())
}

func (d *deployment) mend(t *testing.T) (mended int, err error) {
	t.Helper()
	err = d.mover(t, nil, func(m *shards.Mover) (err error) {
		mended, err = m.Mend(t.Context())
		return err
	})
	return mended, err
}

func (d *deployment) connect(t *testing.T) (dbs []*pgx.Conn) {
	t.Helper()
	for _, url := range d.urls {
		db, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close(context.Background()) })
		dbs = append(dbs, db)
	}
	return dbs
}

// rows are what a query finds, as text.
func rows(t *testing.T, db *pgx.Conn, query string, args ...any) []string {
	t.Helper()
	found, err := db.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func exec(t *testing.T, db *pgx.Conn, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// tables are those that Parley has made.
const tables = `SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose%' ORDER BY 1`

// holdings is everything that the shards hold: a line for each row, of each table of each shard. The row of a slot on the map is without its history. Sorted.
func holdings(t *testing.T, dbs []*pgx.Conn) (all []string) {
	t.Helper()
	for i, db := range dbs {
		for _, table := range rows(t, db, tables) {
			query := `SELECT r::text FROM ` + table + ` r`
			if table == "slot_map" {
				query = `SELECT slot || ' at ' || shard FROM slot_map`
			}
			for _, row := range rows(t, db, query) {
				all = append(all, fmt.Sprint(i, " ", table, " ", row))
			}
		}
	}
	slices.Sort(all)
	return all
}

// differ are the lines that only one of two lists has.
func differ(before, after []string) (lines []string) {
	for _, line := range before {
		if _, found := slices.BinarySearch(after, line); !found {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range after {
		if _, found := slices.BinarySearch(before, line); !found {
			lines = append(lines, "+ "+line)
		}
	}
	return lines
}

const setBit = `UPDATE ownership SET %[1]s = set_bit(%[1]s, $1, $2)`

// TestMending damages the map, and what shards say of themselves, in every way that can be mended: then all is as it was.
func TestMending(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 2)
	n := d.node(t)
	home, other := n.inBoth(t, "ann")
	n.say(t, "ann", home, "1", "one")
	n.say(t, "ann", other, "1", "one")
	dbs := d.connect(t)
	atHome, atOther := slots.Room(home), slots.Room(other)
	bit := func(shard int, set string, slot, value int) func() {
		return func() { exec(t, dbs[shard], fmt.Sprintf(setBit, set), slot, value) }
	}
	named := func(slot, shard int) func() {
		return func() { exec(t, dbs[0], `UPDATE slot_map SET shard = $2 WHERE slot = $1`, slot, shard) }
	}
	for i, tt := range []struct {
		name   string
		damage []func()
		want   int
	}{
		{"nothing", nil, 0},
		{"a slot of the other shard's is at home on the map", []func(){named(atOther, 0)}, 1},
		{"a slot of the home's is at the other shard", []func(){named(atHome, 1)}, 1},
		{"a slot is at a shard that is none", []func(){named(atOther, 7)}, 1},
		{"nobody may write a slot", []func(){bit(1, "writes", atOther, 0)}, 1},
		{"nobody keeps a slot up", []func(){bit(0, "upkeep", atHome, 0)}, 1},
		{"all of that, for two slots", []func(){
			named(atHome, 1), bit(0, "writes", atHome, 0), bit(0, "upkeep", atHome, 0),
			named(atOther, 0), bit(1, "writes", atOther, 0), bit(1, "upkeep", atOther, 0),
		}, 2},
		{"another may write a slot", []func(){bit(0, "writes", atOther, 1)}, 1},
		{"another keeps a slot up", []func(){bit(1, "upkeep", atHome, 1)}, 1},
		{"another one instead of its own", []func(){bit(0, "writes", atOther, 1), bit(1, "writes", atOther, 0)}, 1},
	} {
		before := holdings(t, dbs)
		for _, damage := range tt.damage {
			damage()
		}
		if got := len(differ(before, holdings(t, dbs))) > 0; got != (tt.damage != nil) {
			t.Fatalf("%s: damaged: %v", tt.name, got)
		}
		if mended, err := d.mend(t); err != nil || mended != tt.want {
			t.Errorf("%s: %d mended, %v", tt.name, mended, err)
		}
		if left := differ(before, holdings(t, dbs)); len(left) > 0 {
			t.Errorf("%s: is not as it was:\n%s", tt.name, strings.Join(left, "\n"))
		}
		for _, room := range []string{home, other} {
			n.say(t, "ann", room, fmt.Sprint("after", i), "after")
		}
	}
	named(atOther, 7)()
	if _, err := shards.Open(t.Context(), shards.Options{Home: d.home, Others: d.others, Store: store.Options{Log: silent()}}); err == nil || !strings.Contains(err.Error(), "parley shards rebuild") {
		t.Errorf("a node that reads of a shard that is none: %v", err)
	}
}

// TestWhatIsNotMended: what only people can decide is named, what a move has in hand is not looked at, and neither is touched.
func TestWhatIsNotMended(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 2)
	d.node(t) // for whom all shards begin
	dbs := d.connect(t)
	exec(t, dbs[0], fmt.Sprintf(setBit, "reads"), 1000, 1)                                                                                   // by two
	exec(t, dbs[0], fmt.Sprintf(setBit, "reads"), 7, 0)                                                                                      // by nobody
	exec(t, dbs[0], `INSERT INTO slot_moves (slot, origin, target, step, since) VALUES (5, 0, 1, 'fenced', '1'), (6, 0, 1, 'flipped', '1')`) // moves that were killed
	exec(t, dbs[0], fmt.Sprintf(setBit, "writes"), 5, 0)
	exec(t, dbs[0], `UPDATE slot_map SET shard = 1 WHERE slot = 6`)
	exec(t, dbs[0], fmt.Sprintf(setBit, "upkeep"), 9, 0) // and one that can be mended
	before := holdings(t, dbs)
	mended, err := d.mend(t)
	if err == nil || !strings.Contains(err.Error(), "slot 1000 is served by 2 shards") || !strings.Contains(err.Error(), "slot 7 is served by 0 shards") ||
		strings.Count(err.Error(), "slot") != 2 || mended != 1 {
		t.Errorf("%d mended, %v", mended, err)
	}
	exec(t, dbs[0], fmt.Sprintf(setBit, "upkeep"), 9, 0)
	if touched := differ(before, holdings(t, dbs)); len(touched) > 0 {
		t.Errorf("touched:\n%s", strings.Join(touched, "\n"))
	}
}

// relays apply what each shard has to apply.
func (n *node) relays(t *testing.T) {
	t.Helper()
	for name, s := range n.store.Stores() {
		share := strings.Split("0123456789abcdefghjkmnpqrstvwxyz", "")
		behind, err := s.Behind(t.Context(), share, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range behind {
			if _, err := s.Apply(t.Context(), []relay.Span{{Room: b.Room, After: b.Mark, UpTo: b.Head}}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// finds are the messages that a user finds, sorted.
func (n *node) finds(t *testing.T, user, query string) (texts []string) {
	t.Helper()
	found, err := n.core.SearchMessages(t.Context(), chat.Actor{User: user}, &protocol.MessageSearchParams{Query: query})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found.Messages {
		texts = append(texts, *m.Text)
	}
	slices.Sort(texts)
	return texts
}

// TestRebuildingSearch: the index of each shard is emptied, and relays make it anew.
func TestRebuildingSearch(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 2)
	n := d.node(t)
	home, other := n.inBoth(t, "ann")
	n.say(t, "ann", home, "1", "word at home")
	n.say(t, "ann", other, "1", "word elsewhere")
	n.relays(t)
	dbs := d.connect(t)
	before, all := holdings(t, dbs), []string{"word at home", "word elsewhere"}
	if got := n.finds(t, "ann", "word"); !slices.Equal(got, all) {
		t.Fatalf("found %q", got)
	}
	exec(t, dbs[1], `DELETE FROM search`) // as after a crash of a server without fsync
	if got := n.finds(t, "ann", "word"); !slices.Equal(got, all[:1]) {
		t.Fatalf("found %q of an index that was lost", got)
	}
	if err := d.mover(t, nil, func(m *shards.Mover) error { return m.Rebuild(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	for i, db := range dbs {
		if left := rows(t, db, `SELECT room FROM search`); len(left) > 0 {
			t.Errorf("shard %d: the index still has %v", i, left)
		}
	}
	n.relays(t)
	if got := n.finds(t, "ann", "word"); !slices.Equal(got, all) {
		t.Errorf("found %q", got)
	}
	if changed := differ(before, holdings(t, dbs)); len(changed) > 0 {
		t.Errorf("not as it was:\n%s", strings.Join(changed, "\n"))
	}
}
