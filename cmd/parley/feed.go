package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/protocol"
)

// feedCommand is about the feed of events for the application's own systems. What it does to the store a running server carries out.
type feedCommand struct {
	Status  feedStatusCommand  `cmd:"" help:"Tell what the engine has not acknowledged yet, and what was given up."`
	Replay  feedReplayCommand  `cmd:"" help:"Put events again, which a running server does: those of one room, or all, since a time."`
	Dead    feedDeadCommand    `cmd:"" help:"List the events that the engine refused and that were given up; put them again, or forget them."`
	Consume feedConsumeCommand `cmd:"" help:"Consume a queue: print each event as a line of JSON and acknowledge it. No other consumer gets it then."`
	End     feedEndCommand     `cmd:"" help:"End the feed: forget what waits for it. Before this, take it out of the configuration of all nodes and restart them."`
}

type feedStatusCommand struct {
	storePlace
}

// answered reports that something was answered or done, if only by some of the shards.
func answered(err error) bool {
	_, partly := errors.AsType[*feed.PartialError](err)
	return err == nil || partly
}

// Run is called by the parser.
func (c *feedStatusCommand) Run(ctx context.Context) error {
	return c.withFeed(ctx, func(f feed.Keeper) error {
		since, err := f.Since(ctx)
		if !answered(err) {
			return err
		}
		backlog, away := f.Backlog(ctx)
		if !answered(away) {
			return away
		}
		switch {
		case since != 0:
			fmt.Printf("The feed began at %s.\n", since)
		case err == nil:
			fmt.Println("There is no feed: no server was ever started with feed.url, or it was ended.")
		}
		more := ""
		if backlog.Jobs >= feed.MostCounted {
			more = " or more"
		}
		fmt.Printf("%d%s events are not acknowledged", backlog.Jobs, more)
		if backlog.Jobs > 0 {
			fmt.Printf("; the oldest has waited for %s", backlog.Oldest.Round(time.Second))
		}
		fmt.Printf(".\n%d dead letters.\n", backlog.Dead)
		return cmp.Or(away, err)
	})
}

type feedReplayCommand struct {
	storePlace
	Room  string `help:"Events of this room alone." placeholder:"ID"`
	Since string `help:"Events from this time on: 2026-01-31T12:00:00Z, or how long ago, 24h. Empty: all that are kept." placeholder:"TIME"`
	Queue string `help:"Into this queue alone." placeholder:"NAME"`
}

// Run is called by the parser.
func (c *feedReplayCommand) Run(ctx context.Context) error {
	since, err := sinceTime(c.Since, time.Now())
	if err != nil {
		return err
	}
	return c.withFeed(ctx, func(f feed.Keeper) error {
		events, err := feed.Replay(ctx, f, c.Room, since, c.Queue)
		if errors.Is(err, feed.ErrNone) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%d events are to be put again, and then it failed: %w", events, err)
		}
		fmt.Fprintf(os.Stderr, "%d events are to be put again, by the servers that run or the next one that is started; `parley feed status` tells how many are left.\n", events)
		return nil
	})
}

// sinceTime reads a time, or how long ago it was.
func sinceTime(text string, now time.Time) (protocol.Time, error) {
	if text == "" {
		return 0, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return protocol.At(t), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("--since %s is neither a time, such as 2026-01-31T12:00:00Z, nor a duration, such as 24h", text)
	}
	return protocol.At(now.Add(-d)), nil
}

type feedDeadCommand struct {
	storePlace
	Retry bool `help:"Put them again." xor:"do"`
	Drop  bool `help:"Forget them." xor:"do"`
	JSON  bool `help:"Print one JSON object a line." name:"json"`
}

// mostDead is how many dead letters are listed.
const mostDead = 1000

// Run is called by the parser.
func (c *feedDeadCommand) Run(ctx context.Context) error {
	return c.withFeed(ctx, func(f feed.Keeper) error {
		dead, away := f.Dead(ctx, mostDead)
		if !answered(away) {
			return away
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for _, d := range dead {
			if c.JSON {
				if err := json.MarshalWrite(os.Stdout, d); err != nil {
					return err
				}
				fmt.Println()
				continue
			}
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", d.Room, d.Seq, d.At, d.Sink, strings.ReplaceAll(d.Reason, "\n", " "))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		switch {
		case away == nil && len(dead) == 0:
			fmt.Fprintln(os.Stderr, "There is no dead letter.")
			return nil
		case len(dead) == 0 || !c.Retry && !c.Drop:
			return away
		}
		n, err := f.Settle(ctx, c.Retry)
		if !answered(err) {
			return err
		}
		done := "forgotten"
		if c.Retry {
			done = "to be put again"
		}
		fmt.Fprintf(os.Stderr, "%d dead letters are %s.\n", n, done)
		return err
	})
}

type feedConsumeCommand struct {
	Config string `help:"The server's configuration file, YAML; without one, the PARLEY_ variables of this environment." type:"existingfile" placeholder:"FILE"`
	Limit  int    `help:"End after so many events; 0: never."`
	Queue  string `arg:"" help:"The queue."`
}

// fedLine is an event as it is printed: what goes by the names of the headers, and the frame.
type fedLine struct {
	ID    string         `json:"id"`
	Kind  string         `json:"kind"`
	Epoch string         `json:"epoch"`
	Frame jsontext.Value `json:"frame"`
}

// Run is called by the parser.
func (c *feedConsumeCommand) Run(ctx context.Context) error {
	cfg, err := config.Load(c.Config, os.Environ(), nil)
	if err != nil {
		return err
	}
	if cfg.Feed.URL == "" {
		return errors.New("the configuration has no feed: name the server's with --config, or its settings as it was given them")
	}
	x, err := app.OpenExchange(ctx, &cfg.Feed, "parley-feed-consume")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	printed := 0
	var fault error
	err = x.Consume(ctx, c.Queue, func(_ context.Context, e broker.Entry) error {
		line, err := json.Marshal(fedLine{ID: e.ID(), Kind: e.Kind, Epoch: e.Epoch, Frame: e.Data})
		if err == nil {
			_, err = fmt.Printf("%s\n", line)
		}
		if err != nil {
			fault = err
			stop()
			return err
		}
		if printed++; printed == c.Limit {
			stop()
		}
		return nil
	})
	if errors.Is(err, context.Canceled) {
		err = nil // somebody has ended it
	}
	if errors.Is(err, broker.ErrNoQueue) {
		err = fmt.Errorf("%s: %w", c.Queue, err)
	}
	return errors.Join(fault, err, x.Close())
}

type feedEndCommand struct {
	storePlace
}

// Run is called by the parser.
func (c *feedEndCommand) Run(ctx context.Context) error {
	return c.withFeed(ctx, func(f feed.Keeper) error {
		if err := f.End(ctx); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "The feed has ended. What the engine has is the engine's.")
		return nil
	})
}
