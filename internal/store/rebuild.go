package store

import (
	"context"
	"time"

	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

const maxSetBack = 1000 // marks that one transaction of a rebuild sets back, where others write too

var (
	clearIndex = database.Text{
		database.SQLite:   `INSERT INTO search (search) VALUES ('delete-all')`,
		database.Postgres: `TRUNCATE search`,
	}

	// A mark goes back to the first event that is kept. On PostgreSQL the rooms after one, locked in the order in which the log locks them; a row that needs
	// no change is told as well, so that one can go on behind it.
	setBack = database.Text{
		database.SQLite: database.SQL(`UPDATE room_heads SET applied = (SELECT r.first - 1 FROM rooms r WHERE r.id = room_heads.room) WHERE applied <> 0`)[database.SQLite],
		database.Postgres: `WITH l AS (SELECT h.room FROM room_heads h WHERE h.room > $1 ORDER BY h.room LIMIT $2 FOR UPDATE)
			UPDATE room_heads h SET applied = least(h.applied, r.first - 1) FROM l JOIN rooms r ON r.id = l.room WHERE h.room = l.room RETURNING h.room`,
	}
	countUnapplied = database.SQL(`SELECT count(*), CAST(COALESCE(sum(h.seq - h.applied), 0) AS BIGINT) FROM room_heads h CROSS JOIN events e
		WHERE h.applied < h.seq AND e.room = h.room AND e.seq = h.applied + 1 AND e.at < $1`)
)

// RebuildSearch empties the search index and sets the relay's marks back, so that it applies every log from the beginning again. Until that is done searches
// find less. It may be called while servers run. When it fails half way the index is incomplete until it is called again.
func (s *Store) RebuildSearch(ctx context.Context) error {
	if s.engine.Dialect() == database.SQLite {
		return s.write(ctx, scope{}, func(t database.Tx) error {
			if _, err := t.Exec(ctx, setBack); err != nil {
				return err
			}
			_, err := t.Exec(ctx, clearIndex)
			return err
		})
	}
	// The log does not wait for all marks at once. What a relay applies meanwhile it applies again later, over itself.
	err := s.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, clearIndex)
		return err
	})
	for after := ""; err == nil; {
		var rooms []string
		err = s.write(ctx, scope{}, func(t database.Tx) error {
			rooms = nil
			return t.Query(ctx, setBack, []any{after, maxSetBack}, collect(&rooms, scanString))
		})
		if len(rooms) < maxSetBack {
			break
		}
		for _, room := range rooms {
			after = max(after, room)
		}
	}
	return err
}

// Unapplied is how many rooms have an event from before a time that the relay has not applied, and how many events it has still to apply there.
func (s *Store) Unapplied(ctx context.Context, before time.Time) (rooms, events int, err error) {
	err = s.read(ctx, scope{}, func(t database.Tx) error {
		_, err := one(ctx, t, countUnapplied, []any{protocol.At(before)}, &rooms, &events)
		return err
	})
	return rooms, events, err
}
