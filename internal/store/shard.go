package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/protocol"
)

// Home is the name of the first shard of a deployment, which keeps the map of all.
const Home = "home"

// ShardRow is one of the shards of a deployment, as the home knows it.
type ShardRow struct {
	Number int // for good
	Name   string
	Epoch  string // that it had when a node opened it last; "" for one that none has opened, and for the home
}

// SlotRow is where a slot is, and where it was before.
type SlotRow struct {
	Shard  int   // its number
	Moved  int64 // the version of the map since which it is there; 0: from the beginning
	Before int64 // the version of the move before that
	Origin int   // the shard that it came from
	LeftAs string
	CameAs string // the parts of the epoch of both when it moved
}

// Map is where everything is. Its version grows with every move.
type Map struct {
	Version int64
	Shards  []ShardRow // by number
	Slots   [slots.Count]SlotRow
}

var (
	selectOwner  = database.Text{database.Postgres: `SELECT o.name, (SELECT count(*) FROM shards) FROM ownership o`}
	selectShards = database.Text{database.Postgres: `SELECT number, name, epoch FROM shards ORDER BY number`}
	selectSlots  = database.Text{database.Postgres: `SELECT slot, shard, moved, before, origin, left_as, came_as FROM slot_map`}
	setEpoch     = database.Text{database.Postgres: `UPDATE shards SET epoch = $2 WHERE number = $1`}
	insertOwner  = database.Text{database.Postgres: `INSERT INTO ownership (one, name, reads, writes, upkeep) VALUES (1, $1, $2, $2, $2) ON CONFLICT (one) DO NOTHING`}
	insertShard  = database.Text{database.Postgres: `INSERT INTO shards (number, name)
		SELECT COALESCE(max(number) + 1, 0), $1 FROM shards ON CONFLICT (name) DO NOTHING`}
	insertSlots = database.Text{database.Postgres: `INSERT INTO slot_map (slot, shard, moved, before, origin, left_as, came_as)
		SELECT n, 0, 0, 0, 0, '', '' FROM generate_series(0, 1023) n ON CONFLICT (slot) DO NOTHING`}
	countAnything = database.SQL(`SELECT (SELECT count(*) FROM (SELECT 1 FROM rooms LIMIT 1) r) + (SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1) u)`)
	slotIndexes   = []database.Text{
		{database.Postgres: `CREATE INDEX IF NOT EXISTS users_slot ON users (user_slot(id))`},
		{database.Postgres: `CREATE INDEX IF NOT EXISTS sessions_slot ON sessions (user_slot(user_id))`},
		{database.Postgres: `CREATE INDEX IF NOT EXISTS presence_slot ON presence (user_slot(user_id))`},
		{database.Postgres: `CREATE INDEX IF NOT EXISTS revocations_slot ON revocations (user_slot(user_id))`},
	}
)

// checkShard refuses a store that is not the shard that it is taken for.
func checkShard(ctx context.Context, t database.Tx, d database.Dialect, shard string) error {
	if d != database.Postgres {
		return nil
	}
	var name string
	var known int
	found, err := one(ctx, t, selectOwner, nil, &name, &known)
	switch {
	case err != nil:
		return err
	case shard != "" && name != shard:
		return fmt.Errorf("the store that is configured as the shard %s is the shard %s: mend the configuration", shard, name)
	case shard == "" && found && (known != 1 || name != Home):
		return fmt.Errorf("the store is the shard %s of several: configure all of them (shards)", name)
	}
	return nil
}

// placed is the part of the store that is about its place among several.
type placed struct{ *db }

// Map reads the map; of the home only. A home that is alone has none: ErrAlone.
func (s placed) Map(ctx context.Context) (*Map, error) {
	m := &Map{}
	rows := 0
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		b.Query(selectShards, collect(&m.Shards, func(scan database.Scan, _ ...any) (r ShardRow, err error) {
			return r, scan(&r.Number, &r.Name, &r.Epoch)
		}))
		b.Query(selectSlots, func(scan database.Scan) error {
			var slot int
			var r SlotRow
			err := scan(&slot, &r.Shard, &r.Moved, &r.Before, &r.Origin, &r.LeftAs, &r.CameAs)
			m.Slots[slot%slots.Count] = r
			m.Version = max(m.Version, r.Moved)
			rows++
			return err
		})
		return t.Batch(ctx, &b)
	})
	if err == nil && rows != slots.Count {
		err = ErrAlone
	}
	return m, err
}

// RememberEpoch has the home know the epoch of another shard, for nodes that start while that cannot be reached.
func (s placed) RememberEpoch(ctx context.Context, shard int, epoch string) error {
	return s.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, setEpoch, shard, epoch)
		return err
	})
}

// ErrAlone is the error of a store that is asked for a map and has no other shards.
var ErrAlone = errors.New("the store has no shards")

// Owned is which slots the store serves as one of several.
func (s placed) Owned(ctx context.Context) (o *database.Ownership, err error) {
	err = s.read(ctx, scope{}, func(t database.Tx) error {
		o = t.Owned()
		return nil
	})
	return o, err
}

// AddShard makes a PostgreSQL database, which holds no rooms or users, a shard of the deployment whose home is at o.URL, and the home a home. It owns no slots.
// The same again does no harm.
func AddShard(ctx context.Context, o Options, name, url string) error {
	home, err := openPlain(ctx, o)
	if err != nil {
		return fmt.Errorf("the home: %w", err)
	}
	defer home.Close()
	target, err := openPlain(ctx, Options{URL: url})
	if err != nil {
		return fmt.Errorf("the shard %s: %w", name, err)
	}
	defer target.Close()
	secret, err := readSecret(ctx, home)
	if err != nil {
		return fmt.Errorf("the home: %w", err)
	}
	if secret == "" {
		return errors.New("the home is new: start a server on it once, and add shards then")
	}
	if err := join(ctx, target, name, secret); err != nil {
		return err
	}
	all := slots.All()
	return home.Write(ctx, database.Waiting, func(t database.Tx) error {
		var b database.Batch
		b.Exec(insertOwner, Home, all[:])
		b.Exec(insertSlots)
		b.Exec(insertShard, Home)
		b.Exec(insertShard, name)
		for _, q := range slotIndexes {
			b.Exec(q)
		}
		return t.Batch(ctx, &b)
	})
}

// openPlain opens a PostgreSQL database as it is, with its schema up to date.
func openPlain(ctx context.Context, o Options) (database.Engine, error) {
	o.Shard = ""
	e, err := openEngine(ctx, o)
	if err != nil {
		return nil, err
	}
	if e.Dialect() != database.Postgres {
		return nil, errors.Join(errors.New("a store in a SQLite file is alone: shards are kept in PostgreSQL"), e.Close())
	}
	if err := e.Check(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if _, err := database.Migrate(ctx, e, migrations); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func readSecret(ctx context.Context, e database.Engine) (secret string, err error) {
	err = e.Read(ctx, func(t database.Tx) error {
		return t.Query(ctx, selectMeta, nil, func(scan database.Scan) error {
			var name, value string
			err := scan(&name, &value)
			if name == "secret" {
				secret = value
			}
			return err
		})
	})
	return secret, err
}

// join makes a database a shard that owns nothing, unless it is that shard already.
func join(ctx context.Context, e database.Engine, name, secret string) error {
	own, err := readSecret(ctx, e)
	if err != nil {
		return fmt.Errorf("the shard %s: %w", name, err)
	}
	if own != "" && own != secret {
		return fmt.Errorf("the store of the shard %s belongs to another deployment: give one that is empty", name)
	}
	return e.Write(ctx, database.Waiting, func(t database.Tx) error {
		var held string
		var anything, known int
		if _, err := one(ctx, t, selectOwner, nil, &held, &known); err != nil {
			return err
		}
		if _, err := one(ctx, t, countAnything, nil, &anything); err != nil {
			return err
		}
		switch {
		case held != "" && held != name:
			return fmt.Errorf("the store of the shard %s is the shard %s already", name, held)
		case held == "" && anything != 0:
			return fmt.Errorf("the store of the shard %s holds rooms or users: give one that is empty", name)
		}
		var b database.Batch
		b.Exec(insertMeta, "secret", secret)
		b.Exec(insertOwner, name, make([]byte, slots.Count/8))
		for _, q := range slotIndexes {
			b.Exec(q)
		}
		return t.Batch(ctx, &b)
	})
}

// CheckMove says what Store.Move would say to a move, if that would be refused.
func (s placed) CheckMove(ctx context.Context, m *chat.Move) error {
	rooms := make([]string, len(m.Rooms))
	scenes := make(map[string]*chat.Scene, len(m.Rooms))
	for i, r := range m.Rooms {
		rooms[i], scenes[r.Room] = r.Room, &chat.Scene{}
	}
	err := s.read(ctx, ofRooms(rooms...), func(t database.Tx) error {
		var b database.Batch
		queryScenes(&b, m.Actor.User, rooms, func(room string) *chat.Scene { return scenes[room] })
		return t.Batch(ctx, &b)
	})
	if err != nil {
		return err
	}
	for _, r := range m.Rooms {
		if err := m.Check(scenes[r.Room].Room, scenes[r.Room].Me); err != nil {
			return err
		}
	}
	return nil
}

var (
	setOwnership = database.Text{database.Postgres: `UPDATE ownership SET reads = $1, writes = $1, upkeep = $1`}
	setSlot      = database.Text{database.Postgres: `UPDATE slot_map SET shard = $2 WHERE slot = $1`}
)

// Deal gives every shard of a deployment that is still empty, and that no node serves, as many slots as the others, and reports whether it was so. urls are
// those of the shards by name, without the home.
func Deal(ctx context.Context, o Options, urls map[string]string) (dealt bool, err error) {
	home, err := openPlain(ctx, o)
	if err != nil {
		return false, fmt.Errorf("the home: %w", err)
	}
	defer home.Close()
	engines := map[string]database.Engine{Home: home}
	for name, url := range urls {
		if engines[name], err = openPlain(ctx, Options{URL: url}); err != nil {
			return false, fmt.Errorf("the shard %s: %w", name, err)
		}
		defer engines[name].Close()
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	empty := true
	var names []string
	err = home.Read(ctx, func(t database.Tx) error {
		var anything int
		if _, err := one(ctx, t, countAnything, nil, &anything); err != nil {
			return err
		}
		var node string
		var beat protocol.Time
		living, err := one(ctx, t, selectLiveNode, []any{protocol.At(now().Add(-liveFor))}, &node, &beat)
		empty = anything == 0 && !living
		if err != nil {
			return err
		}
		return t.Query(ctx, selectShards, nil, func(scan database.Scan) error {
			var r ShardRow
			err := scan(&r.Number, &r.Name, &r.Epoch)
			names = append(names, r.Name)
			return err
		})
	})
	if err != nil || !empty || len(names) != len(engines) {
		return false, err
	}
	sets := make([]slots.Set, len(names))
	for slot := range slots.Count {
		sets[slot*len(names)/slots.Count].Put(slot, true)
	}
	for i, name := range names {
		err := engines[name].Write(ctx, database.Waiting, func(t database.Tx) error {
			var b database.Batch
			b.Exec(setOwnership, sets[i][:])
			return t.Batch(ctx, &b)
		})
		if err != nil {
			return false, fmt.Errorf("the shard %s: %w", name, err)
		}
	}
	return true, home.Write(ctx, database.Waiting, func(t database.Tx) error {
		var b database.Batch
		for i := range sets {
			for slot := range sets[i].Each() {
				b.Exec(setSlot, slot, i)
			}
		}
		return t.Batch(ctx, &b)
	})
}
