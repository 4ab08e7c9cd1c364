package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
)

// shardsCommand is about a deployment whose rooms and users are spread over several stores.
type shardsCommand struct {
	Status  shardsStatusCommand  `cmd:"" help:"Say what each shard holds, and what is being moved."`
	Add     shardsAddCommand     `cmd:"" help:"Make an empty PostgreSQL database a shard. It holds nothing until slots are moved to it; where the deployment is new, it gets its part at once."`
	Move    shardsMoveCommand    `cmd:"" help:"Move slots, with their rooms and users, to a shard, while servers run. What was interrupted goes on with the same command."`
	Rebuild shardsRebuildCommand `cmd:"" help:"Make the map say what the shards say of themselves, and build the search index of each anew."`
}

// mover opens the shards for commands about them.
func (p storePlace) mover(ctx context.Context, told func(shards.Progress)) (*shards.Mover, error) {
	if p.Store == "" {
		return nil, errors.New("name the store that keeps the map with --store, and the shards with --shards, as serve was told")
	}
	m, err := shards.OpenMover(ctx, shards.MoverOptions{Home: p.Store, Others: p.Shards, Told: told})
	if errors.Is(err, store.ErrAlone) {
		err = errors.New("this store has no shards: add one with parley shards add NAME URL")
	}
	return m, err
}

type shardsStatusCommand struct {
	storePlace
}

// Run is called by the parser.
func (c *shardsStatusCommand) Run(ctx context.Context) (err error) {
	m, err := c.mover(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	loads, err := m.Loads(ctx)
	if err != nil {
		return err
	}
	known, err := m.Map(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "shard\tslots\trooms\tusers")
	for _, l := range loads {
		if l.Err != nil {
			fmt.Fprintf(table, "%s\t%d\t?\t?\t%v\n", l.Name, l.Slots, l.Err)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", l.Name, l.Slots, l.Rooms, l.Users)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Printf("The map has version %d.\n", known.Version)
	under, err := m.Under(ctx)
	if len(under) > 0 {
		fmt.Printf("On their way are the slots %s: parley shards move goes on with them.\n", ranges(under))
	}
	return errors.Join(err, m.Ready(ctx))
}

// ranges writes slots as ParseSlots reads them.
func ranges(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(list[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", list[i], list[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

type shardsAddCommand struct {
	storePlace
	Name string `arg:"" help:"What it shall be called, for good: small letters, digits and - ."`
	URL  string `arg:"" help:"The empty database: postgres://USER@HOST/DATABASE."`
}

var shardName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Run is called by the parser.
func (c *shardsAddCommand) Run(ctx context.Context) error {
	if !shardName.MatchString(c.Name) || c.Name == store.Home {
		return fmt.Errorf("%q is no name of a shard: up to 32 small letters, digits and - , other than %s", c.Name, store.Home)
	}
	home := store.Options{URL: c.Store}
	if err := store.AddShard(ctx, home, c.Name, c.URL); err != nil {
		return err
	}
	all := map[string]string{c.Name: c.URL}
	for name, url := range c.Shards {
		all[name] = url
	}
	dealt, err := store.Deal(ctx, home, all)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s is a shard. Name it in the configuration of every server (shards: %s: URL) and restart them one after the other.\n", c.Name, c.Name)
	if dealt {
		fmt.Fprintln(os.Stderr, "The deployment is new: every shard has an equal part of the slots.")
	} else {
		fmt.Fprintf(os.Stderr, "It holds nothing yet: then move slots to it, with parley shards move --rooms N --to %s.\n", c.Name)
	}
	return nil
}

type shardsMoveCommand struct {
	storePlace
	Slots  string `help:"Which slots: 0-511, or 7, or several of these with commas." xor:"what" required:""`
	Rooms  int    `help:"Slots that hold about so many rooms together, from the fullest shard." xor:"what" required:""`
	To     string `help:"The shard." required:""`
	DryRun bool   `help:"Say what would be moved, and move nothing."`
}

// Run is called by the parser.
func (c *shardsMoveCommand) Run(ctx context.Context) (err error) {
	var longest time.Duration
	var rows int64
	m, err := c.mover(ctx, func(p shards.Progress) {
		longest, rows = max(longest, p.Paused), rows+p.Rows
		fmt.Fprintf(os.Stderr, "slot %d, %d of %d: %s to %s, %d rows in %v, writes paused for %v\n", p.Slot, p.Done, p.Of, p.From, p.To, p.Rows,
			p.Took.Round(time.Millisecond), p.Paused.Round(time.Millisecond))
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var list []int
	if c.Slots != "" {
		list, err = shards.ParseSlots(c.Slots)
	} else {
		list, err = m.Pick(ctx, c.Rooms, c.To)
	}
	if err != nil {
		return err
	}
	if c.DryRun {
		fmt.Printf("These slots would be moved to %s, unless they are there: %s\n", c.To, ranges(list))
		return m.Ready(ctx)
	}
	if err := m.Move(ctx, list, c.To); err != nil {
		return fmt.Errorf("%w; everything is served, and the same command goes on", err)
	}
	fmt.Fprintf(os.Stderr, "Moved: %d rows; writes of a slot paused for at most %v.\n", rows, longest.Round(time.Millisecond))
	return nil
}

type shardsRebuildCommand struct {
	storePlace
}

// Run is called by the parser.
func (c *shardsRebuildCommand) Run(ctx context.Context) (err error) {
	m, err := c.mover(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	mended, err := m.Mend(ctx)
	fmt.Fprintf(os.Stderr, "%d slots of the map were mended.\n", mended)
	if err != nil {
		return err
	}
	if err := m.Rebuild(ctx); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "The search indexes are empty; running servers build them anew.")
	return nil
}
