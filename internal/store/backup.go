package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

// ErrNotSQLite is returned by Backup for a store that its own engine's tools back up.
var ErrNotSQLite = errors.New("the store is not a SQLite file")

// ErrInUse is returned by NewEpoch while a server serves the store.
var ErrInUse = errors.New("a server serves this store")

// Contents is how much a store holds.
type Contents struct {
	Rooms  int64  `json:"rooms"`  // deleted ones too
	Events uint64 `json:"events"` // that were ever stored
}

var (
	selectContents = database.SQL(`SELECT count(*), CAST(COALESCE(sum(seq), 0) AS BIGINT) FROM room_heads`)
	updateEpoch    = database.SQL(`UPDATE meta SET value = $1 WHERE name = 'epoch'`)
	selectLiveNode = database.SQL(`SELECT id, beat_at FROM nodes WHERE beat_at >= $1 ORDER BY beat_at DESC LIMIT 1`)
)

// Backup writes a copy of a SQLite store to a new file, of one moment at or after the call, and returns when it is checked and on disk. A server may go on
// serving the store: it is read in one snapshot, and nobody waits for it; the write-ahead log grows meanwhile. progress, which may be nil, is told now and
// then how many bytes of about how many have been written. An error leaves no file; ErrNotSQLite when the store is none.
func Backup(ctx context.Context, o Options, to string, progress func(done, total int64)) (c Contents, err error) {
	e, err := openEngine(ctx, Options{URL: o.URL, Data: o.Data, Shared: true})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if e.Dialect() != database.SQLite {
		return c, ErrNotSQLite
	}
	err = database.CopySQLite(ctx, e, to, progress, func(t database.Tx) error {
		_, err := one(ctx, t, selectContents, nil, &c.Rooms, &c.Events)
		return err
	})
	return c, err
}

// NewEpoch gives the store another epoch, so that every client loads its rooms anew: positions from before are no longer honoured. It must follow whatever
// may have brought the store back to an earlier state. Servers read the epoch when they start, so that none may be running: ErrInUse.
func (s *Store) NewEpoch(ctx context.Context) error {
	return s.write(ctx, scope{}, func(t database.Tx) error {
		var node string
		var beat protocol.Time
		found, err := one(ctx, t, selectLiveNode, []any{protocol.At(s.now().Add(-liveFor))}, &node, &beat)
		if err != nil {
			return err
		}
		if found && s.engine.Dialect() != database.SQLite { // a SQLite store that a server serves cannot be opened by another
			return fmt.Errorf("%w: node %s was alive at %s; stop it and try again %d seconds after that", ErrInUse, node, beat, int(liveFor.Seconds()))
		}
		var b database.Batch
		b.Exec(updateEpoch, uuid.NewString())
		return t.Batch(ctx, &b)
	})
}
