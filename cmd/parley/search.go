package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/parley-im/parley/internal/relay"
	"github.com/parley-im/parley/internal/store"
)

// searchCommand is about the search index.
type searchCommand struct {
	Rebuild searchRebuildCommand `cmd:"" help:"Empty the search index and build it anew from the logs, also while servers run. Until it is done searches find less."`
}

type searchRebuildCommand struct {
	storePlace
}

// Run is called by the parser.
func (c *searchRebuildCommand) Run(ctx context.Context) (err error) {
	if _, err := os.Stat(c.Data); err != nil && c.Store == "" {
		return fmt.Errorf("there is no data folder %s: name the server's with --data", c.Data)
	}
	if len(c.Shards) > 0 {
		return errors.New("with shards, parley shards rebuild does it for all")
	}
	s, err := c.openOne(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	began := time.Now()
	if err := s.RebuildSearch(ctx); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "The search index is empty and is being built anew: until that is done searches find less. It may be interrupted: servers go on with it.")

	// Running servers build it; where there is none, this does.
	r := relay.New(relay.Options{Source: s, Node: "search-rebuild-" + rand.Text()})
	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { r.Run(background) })
	defer running.Wait()
	defer stop()
	return watchRebuild(ctx, s, began)
}

// watchRebuild shows what is left, until every event from before the time is applied.
func watchRebuild(ctx context.Context, s *store.Store, before time.Time) error {
	terminal := isatty.IsTerminal(os.Stderr.Fd())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		rooms, events, err := s.Unapplied(ctx, before)
		clearLine()
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted: running servers go on, and so does the next one that is started")
		case err != nil:
			return err
		case events == 0:
			fmt.Fprintln(os.Stderr, "The search index holds everything again.")
			return nil
		case terminal:
			fmt.Fprintf(os.Stderr, "%d events of %d rooms are left", events, rooms)
		case n%10 == 0:
			fmt.Fprintf(os.Stderr, "%d events of %d rooms are left.\n", events, rooms)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
