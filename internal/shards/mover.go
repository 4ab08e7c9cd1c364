package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/store/slots"
)

// Mover moves slots from one shard to another. It is for one goroutine, and there is one for a deployment at a time.
type Mover struct {
	home   *store.Store
	homeDB *pgx.Conn
	shards map[int]*end // by number
	log    *slog.Logger
	now    func() time.Time
	told   func(Progress)
	at     func(slot int, point string) error // for tests: called at each point; its error is as if the mover was killed there

	settleFor time.Duration
	marks     []mark // positions of shards, the oldest first
}

// end is a shard as the mover uses it.
type end struct {
	number int
	name   string
	store  *store.Store
	db     *pgx.Conn // for what is written, and for the origin what is read
}

// mark is where a shard's order of commits was.
type mark struct {
	at       time.Time
	shard    int
	position string
}

// Progress is told after each slot.
type Progress struct {
	Slot   int
	From   string
	To     string
	Done   int // slots, with this one
	Of     int
	Rows   int64
	Rounds int
	Paused time.Duration // for which nobody could write the slot
	Took   time.Duration
}

// MoverOptions say where a deployment is.
type MoverOptions struct {
	Home   string
	Others map[string]string
	Log    *slog.Logger
	Told   func(Progress)                     // may be nil
	At     func(slot int, point string) error // for tests; may be nil
	Settle time.Duration                      // for tests: how long a question to all shards may take; 0: as long as one may
}

// ErrBusy is the error of a second mover.
var ErrBusy = errors.New("another command is moving slots: wait for it to end")

// moverLock is the key of the lock, in the home, that a mover holds.
const moverLock = database.WriterLock + 1

// OpenMover connects to all shards. Close ends it.
func OpenMover(ctx context.Context, o MoverOptions) (*Mover, error) {
	m := &Mover{shards: map[int]*end{}, log: o.Log, now: time.Now, told: o.Told, at: o.At, settleFor: o.Settle}
	if m.settleFor == 0 {
		m.settleFor = settleMost
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	if m.told == nil {
		m.told = func(Progress) {}
	}
	if m.at == nil {
		m.at = func(int, string) error { return nil }
	}
	if err := m.open(ctx, o); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Mover) open(ctx context.Context, o MoverOptions) (err error) {
	if m.homeDB, err = pgx.Connect(ctx, o.Home); err != nil {
		return fmt.Errorf("the home: %w", err)
	}
	if _, err := m.homeDB.Exec(ctx, `SET lock_timeout = '3s'`); err != nil {
		return err
	}
	if _, err := m.homeDB.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(moverLock)); err != nil { // one that was killed holds it until its server notices
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == "55P03" {
			return ErrBusy
		}
		return err
	}
	urls := map[string]string{store.Home: o.Home}
	for name, url := range o.Others {
		urls[name] = url
	}
	if m.home, err = store.Open(ctx, store.Options{URL: o.Home, Shard: store.Home, Shared: true, Log: m.log}); err != nil {
		return err
	}
	known, err := m.home.Map(ctx)
	if err != nil {
		return err
	}
	for _, row := range known.Shards {
		url, configured := urls[row.Name]
		if !configured {
			return fmt.Errorf("the shard %s is not configured: give its URL (shards)", row.Name)
		}
		e := &end{number: row.Number, name: row.Name}
		m.shards[row.Number] = e
		if e.store, err = store.Open(ctx, store.Options{URL: url, Shard: row.Name, Secret: m.home.Secret(), Shared: true, Log: m.log}); err != nil {
			return fmt.Errorf("the shard %s: %w", row.Name, err)
		}
		if e.db, err = pgx.Connect(ctx, url); err != nil {
			return fmt.Errorf("the shard %s: %w", row.Name, err)
		}
	}
	return nil
}

// Close ends the mover. What it has begun another goes on with.
func (m *Mover) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	for _, e := range m.shards {
		if e.store != nil {
			errs = append(errs, e.store.Close())
		}
		if e.db != nil {
			errs = append(errs, e.db.Close(ctx))
		}
	}
	if m.home != nil {
		errs = append(errs, m.home.Close())
	}
	if m.homeDB != nil {
		errs = append(errs, m.homeDB.Close(ctx))
	}
	return errors.Join(errs...)
}

// Map is where everything is.
func (m *Mover) Map(ctx context.Context) (*store.Map, error) { return m.home.Map(ctx) }

// Under are the slots of which a move has begun and not ended.
func (m *Mover) Under(ctx context.Context) (list []int, err error) {
	rows, err := m.homeDB.Query(ctx, `SELECT slot FROM slot_moves ORDER BY slot`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// Ready refuses to move anything while a node lives that knows of no shards: it would write what it may not.
func (m *Mover) Ready(ctx context.Context) error {
	rows, err := m.homeDB.Query(ctx, `SELECT id FROM nodes WHERE beat_at >= $1 AND shards = 0 ORDER BY id`, m.now().Add(-45*time.Second).UnixMilli())
	if err != nil {
		return err
	}
	nodes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(nodes) > 0 {
		err = fmt.Errorf("these nodes run without shards in their configuration: %s; restart them with all shards configured, or wait 45 s if they are gone", strings.Join(nodes, ", "))
	}
	return err
}

// ParseSlots reads slots as they are given to the command: 0-511, or 7, or several of these with commas.
func ParseSlots(text string) ([]int, error) {
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, several := strings.Cut(part, "-")
		if !several {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("%q are no slots: give them as 0-511, or 7, or several of these with commas", part)
		}
		if from < 0 || to < from || to >= slots.Count {
			return nil, fmt.Errorf("%q are no slots: they go from 0 to %d", part, slots.Count-1)
		}
		for n := from; n <= to; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}
