package store

import (
	"context"
	"time"

	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

const (
	checkpointLife      = 24 * time.Hour
	maxCheckpointsSwept = 2 * maxGathered // more than are added in one transaction, so that they cannot pile up
)

var (
	upsertCheckpoint = database.SQL(`INSERT INTO checkpoints (session, number, positions, used_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (session, number) DO UPDATE SET positions = excluded.positions, used_at = excluded.used_at`)
	dropCheckpoints  = database.SQL(`DELETE FROM checkpoints WHERE session = $1 AND number < $2`)
	selectCheckpoint = database.SQL(`SELECT positions FROM checkpoints WHERE session = $1 AND number = $2`)
	keepNamed        = database.SQL(`UPDATE checkpoints SET used_at = $2 WHERE session IN {list $1}`)
	keepCheckpoints  = database.SQL(`UPDATE checkpoints SET used_at = $2 WHERE session IN (SELECT s.id FROM sessions s WHERE s.node = $1)`)

	// sweepCheckpoints passes over what another node is sweeping.
	sweepCheckpoints = database.Text{
		database.SQLite: database.SQL(`DELETE FROM checkpoints WHERE (session, number) IN (
			SELECT session, number FROM checkpoints WHERE used_at < $1 LIMIT CAST($2 AS BIGINT))`)[database.SQLite],
		database.Postgres: database.SQL(`DELETE FROM checkpoints WHERE (session, number) IN (
			SELECT session, number FROM checkpoints WHERE used_at < $1 LIMIT CAST($2 AS BIGINT) FOR UPDATE SKIP LOCKED)`)[database.Postgres],
	}
)

// checkpoints are where the sessions of event streams stood, in a form that is theirs.
type checkpoints struct {
	*db
	saves *batcher[saving]
}

// saving is a checkpoint that is to be kept.
type saving struct {
	session   string
	number    uint64
	positions []byte
}

func newCheckpoints(d *db) *checkpoints {
	c := &checkpoints{db: d}
	c.saves = newBatcher(c.save)
	return c
}

// SaveCheckpoint keeps the next checkpoint of a session in place of the one before the last; the same again changes nothing. It is kept until a day has passed
// without KeepCheckpoints. When many are saved at once they share transactions.
func (c *checkpoints) SaveCheckpoint(ctx context.Context, session string, number uint64, positions []byte) error {
	return c.saves.do(ctx, saving{session, number, positions})
}

func (c *checkpoints) save(ctx context.Context, all []saving) error {
	now := c.now()
	return c.write(ctx, scope{}, func(t database.Tx) error {
		var b database.Batch
		b.Exec(sweepCheckpoints, protocol.At(now.Add(-checkpointLife)), maxCheckpointsSwept)
		for _, s := range all {
			b.Exec(upsertCheckpoint, s.session, int64(s.number), s.positions, protocol.At(now))
			b.Exec(dropCheckpoints, s.session, int64(s.number)-1)
		}
		return t.Batch(ctx, &b)
	})
}

// Checkpoint is what SaveCheckpoint was given; nil if it is kept no longer, or never was.
func (c *checkpoints) Checkpoint(ctx context.Context, session string, number uint64) ([]byte, error) {
	var positions []byte
	err := c.read(ctx, scope{}, func(t database.Tx) error {
		_, err := one(ctx, t, selectCheckpoint, []any{session, int64(number)}, &positions)
		return err
	})
	return positions, err
}

// KeepCheckpoints keeps those of a node's live sessions for a day from now.
func (c *checkpoints) KeepCheckpoints(ctx context.Context, node string) error {
	return c.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, keepCheckpoints, node, protocol.At(c.now()))
		return err
	})
}

// KeepCheckpointsOf keeps those of some sessions for a day from now: of a node whose sessions are known to another shard.
func (c *checkpoints) KeepCheckpointsOf(ctx context.Context, sessions []string) error {
	return c.write(ctx, scope{}, func(t database.Tx) error {
		_, err := t.Exec(ctx, keepNamed, database.JSONList(sessions), protocol.At(c.now()))
		return err
	})
}
