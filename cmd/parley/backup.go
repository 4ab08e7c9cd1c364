package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/parley-im/parley/internal/backup"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// backupCommand copies a data folder.
type backupCommand struct {
	storePlace
	To string `help:"A new folder for the backup." required:"" type:"path" placeholder:"DIR"`
}

// Run is called by the parser.
func (c *backupCommand) Run(ctx context.Context) error {
	if _, err := os.Stat(c.Data); err != nil {
		return fmt.Errorf("there is no data folder %s: name the server's with --data", c.Data)
	}
	from := backup.Source{Data: c.Data, Store: c.Store, Version: version, Now: protocol.At(time.Now())}
	m, err := backup.Make(ctx, from, c.To, showCopied)
	clearLine()
	if errors.Is(err, store.ErrNotSQLite) {
		return errors.New("this store is PostgreSQL: back it up with pg_dump or pg_basebackup, and keep the file with the secret; docs/operations.md says how")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s holds %d rooms with %d events, as of %s.\n", c.To, m.Contents.Rooms, m.Contents.Events, m.MadeAt)
	if m.Files["secret"] == "" {
		fmt.Fprintf(os.Stderr, "%s has no secret: keep the server's --secret-file as well.\n", c.Data)
	}
	return nil
}

// restoreCommand makes a data folder of a backup.
type restoreCommand struct {
	place
	From string `help:"The folder of the backup." required:"" type:"existingdir" placeholder:"DIR"`
}

// Run is called by the parser.
func (c *restoreCommand) Run(ctx context.Context) error {
	m, err := backup.Restore(ctx, c.From, c.Data)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s is as it was on %s: %d rooms with %d events.\n", c.Data, m.MadeAt, m.Contents.Rooms, m.Contents.Events)
	fmt.Fprintln(os.Stderr, "Clients load their rooms anew. What was removed, revoked or erased since then must be so again: see \"Restore\" in docs/operations.md.")
	return nil
}

// epochCommand is about the life of a store's logs.
type epochCommand struct {
	New epochNewCommand `cmd:"" help:"Give the store another epoch, so that clients load their rooms anew: after a restore that this program did not do."`
}

type epochNewCommand struct {
	storePlace
}

// Run is called by the parser.
func (c *epochNewCommand) Run(ctx context.Context) (err error) {
	// Not shared: a SQLite store that a server serves is refused.
	if err := newEpoch(ctx, store.Options{URL: c.Store, Data: c.Data, Shard: home(c.Shards)}); err != nil {
		return err
	}
	for name, url := range c.Shards {
		if err := newEpoch(ctx, store.Options{URL: url, Shard: name}); err != nil {
			return fmt.Errorf("the shard %s: %w", name, err)
		}
	}
	fmt.Fprintln(os.Stderr, "The store has a new epoch.")
	return nil
}

// home is the name of the store where there are shards.
func home(others map[string]string) string {
	if len(others) == 0 {
		return ""
	}
	return store.Home
}

func newEpoch(ctx context.Context, o store.Options) (err error) {
	s, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.NewEpoch(ctx)
}

// showCopied shows on a terminal how far a copy is.
func showCopied(done, total int64) {
	clearLine()
	if isatty.IsTerminal(os.Stderr.Fd()) {
		fmt.Fprintf(os.Stderr, "%d of %d MiB copied", done>>20, total>>20)
	}
}

// clearLine takes back what was shown on the line of a terminal.
func clearLine() {
	if isatty.IsTerminal(os.Stderr.Fd()) {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
