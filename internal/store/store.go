package store

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

//go:embed migrations
var migrations embed.FS

// Options say which store to open and how.
type Options struct {
	URL  string // "sqlite:PATH" or "postgres://…"; empty: parley.db in Data
	Data string // the data directory

	// Shared opens a SQLite store beside a server that runs on it, for the short calls of a command; no log is served then.
	Shared bool

	// Shard is the name by which a PostgreSQL store is one of several, and Secret what all of them share: "" and nil for one that is alone, and for the home
	// the secret may be left out. Exist finds out which of some users exist, who may be another shard's; nil: by the store itself.
	Shard  string
	Secret []byte
	Exist  func(ctx context.Context, users []string) (map[string]bool, error)

	Now       func() time.Time     // time.Now when nil
	Log       *slog.Logger         // slog.Default() when nil
	Committed chat.Committed       // told of every commit; may be nil
	Rates     chat.Rates           // limits on messages; may be nil
	Prepare   func([]*chat.Append) // told of the appends of a transaction before it begins, and waited for: what Rates have to find out; may be nil
	QueueMax  int                  // bytes of appends that may wait; 64 MiB when 0
	Observe   func(Transaction)    // told of every transaction of the log, by the goroutine that made it: it must not block. May be nil

	// Moved is told when a connection has led to another copy of the store, a promoted replica or a restored server: this one answers nothing any more, and a
	// store must be opened anew, which then has another epoch. It is called once and must not block; may be nil.
	Moved func(epoch string)

	// Fatal is told when the disk failed in the middle of a commit, so that nobody can know what is on it: the process must end. It panics when nil.
	Fatal func(error)
}

// Store is an open store. All methods may be called from any goroutine.
type Store struct {
	*db
	names
	*accounts
	pruner
	*keptPresence
	*checkpoints
	estate
	placed
	*life
	log       *slog.Logger
	committer *committer
	ensures   *batcher[[]string]
}

// Open opens the store, checks it, brings its schema up to date and starts its log. A damaged store, or one newer than this binary, is refused and
// left as it is.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	e, err := openEngine(ctx, o)
	if err != nil {
		return nil, err
	}
	d := &db{engine: e, now: o.Now, fatal: o.Fatal}
	s := &Store{db: d, accounts: newAccounts(d), keptPresence: newKeptPresence(d), checkpoints: newCheckpoints(d), pruner: pruner{d}, estate: estate{d}, placed: placed{d}, life: &life{}, log: o.Log}
	s.ensures = newBatcher(s.ensureUsers)
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return s, nil
}

func openEngine(ctx context.Context, o Options) (database.Engine, error) {
	if path, ok := o.sqlitePath(); ok {
		if o.Shard != "" {
			return nil, errors.New("a store in a SQLite file is alone: shards are kept in PostgreSQL")
		}
		return database.OpenSQLite(path, !o.Shared)
	}
	switch scheme, _, _ := strings.Cut(o.URL, ":"); scheme {
	case "postgres", "postgresql":
		return database.OpenPostgres(ctx, o.URL, o.Shard != "")
	default:
		return nil, fmt.Errorf("the store's URL begins with %q: it is sqlite:PATH or postgres://USER@HOST/DATABASE", scheme)
	}
}

// sqlitePath is the file of a SQLite store.
func (o Options) sqlitePath() (path string, ok bool) {
	if o.URL == "" {
		return filepath.Join(o.Data, "parley.db"), true
	}
	path, ok = strings.CutPrefix(o.URL, "sqlite:")
	return strings.TrimPrefix(path, "//"), ok
}

func (s *Store) start(ctx context.Context, o Options) error {
	if !o.Shared {
		if err := s.engine.Check(ctx); err != nil {
			return err
		}
	}
	if n, err := database.Migrate(ctx, s.engine, migrations); err != nil {
		return err
	} else if n > 0 {
		s.log.Info("store migrated", "steps", n)
	}
	if err := s.identify(ctx, o); err != nil {
		return err
	}
	if !o.Shared {
		s.committer = newCommitter(s, o)
	}
	return nil
}

var (
	insertMeta = database.SQL(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`)
	selectMeta = database.SQL(`SELECT name, value FROM meta`)
	selectLife = database.SQL(`SELECT e.value FROM meta e CROSS JOIN meta s WHERE e.name = 'epoch' AND s.name = 'secret' AND s.value = $1`)
)

// identify reads the store's secret and epoch, and makes them when the store is new.
func (s *Store) identify(ctx context.Context, o Options) error {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails, by its contract
	meta := map[string]string{}
	err := s.engine.Write(ctx, database.Waiting, func(t database.Tx) error {
		if err := checkShard(ctx, t, s.engine.Dialect(), o.Shard); err != nil {
			return err
		}
		var b database.Batch
		b.Exec(insertMeta, "secret", hex.EncodeToString(secret[:]))
		b.Exec(insertMeta, "epoch", uuid.NewString())
		b.Query(selectMeta, func(scan database.Scan) error {
			var name, value string
			if err := scan(&name, &value); err != nil {
				return err
			}
			meta[name] = value
			return nil
		})
		return t.Batch(ctx, &b)
	})
	if err != nil {
		return err
	}
	if s.names.secret, err = hex.DecodeString(meta["secret"]); err != nil {
		return fmt.Errorf("the store's secret is damaged: %w", err)
	}
	if o.Secret != nil && subtle.ConstantTimeCompare(o.Secret, s.names.secret) == 0 {
		return fmt.Errorf("the store of the shard %s belongs to another deployment: its secret is not the home's", o.Shard)
	}
	part, err := s.engine.Identity(ctx)
	if err != nil {
		return fmt.Errorf("read the identity of the store: %w", err)
	}
	s.epoch.Store(new(meta["epoch"] + "." + part))
	if w, ok := s.engine.(database.Watched); ok && !o.Shared {
		w.Watch(database.Watch{Query: selectLife[database.Postgres], Arg: meta["secret"], Known: s.Epoch(), Moved: func(epoch string) {
			s.log.Warn("the store is another copy of what it was: it has to be opened anew", "was", s.Epoch(), "is", epoch)
			if o.Moved != nil {
				o.Moved(epoch)
			}
		}})
	}
	return nil
}

// Close ends the log, after what has been accepted is committed or answered, and closes the store.
func (s *Store) Close() error {
	if s.committer != nil {
		s.committer.stop()
	}
	s.accounts.stop()
	s.saves.stop()
	s.ensures.stop()
	s.statuses.stop()
	return s.engine.Close()
}

// Migrate brings a store's schema up to date and tells how many steps were taken.
func Migrate(ctx context.Context, o Options) (int, error) {
	e, err := openEngine(ctx, o)
	if err != nil {
		return 0, err
	}
	if err := e.Check(ctx); err != nil {
		return 0, errors.Join(err, e.Close())
	}
	n, err := database.Migrate(ctx, e, migrations)
	return n, errors.Join(err, e.Close())
}

// unavailable is the answer when trying again may help.
func unavailable() *protocol.Error {
	return &protocol.Error{Code: protocol.Unavailable, Message: "The store cannot be reached just now; send the same call again.", RetryAfterMS: 1000}
}
