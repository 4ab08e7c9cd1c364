package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/protocol"
)

// exportCommand prints what a deployment keeps.
type exportCommand struct {
	User exportUserCommand `cmd:"" help:"Print what is kept of a user, one JSON object a line: profile, sessions, memberships, messages, reactions."`
	Room exportRoomCommand `cmd:"" help:"Print a room, one JSON object a line: the room, its members, its messages as they stand, its log."`
}

// records writes records as lines.
type records struct {
	out     *bufio.Writer
	written int
}

func (r *records) write(one protocol.ExportRecord) error {
	r.written++
	if err := json.MarshalWrite(r.out, one, protocol.Encoding()); err != nil {
		return err
	}
	return r.out.WriteByte('\n')
}

type exportUserCommand struct {
	storePlace
	ID string `arg:"" help:"The user."`
}

// exportPage is how many records are read at once.
const exportPage = 200

// Run is called by the parser.
func (c *exportUserCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, func(s kept) error {
		out := &records{out: bufio.NewWriter(os.Stdout)}
		for page := new(privacy.Page); page != nil; {
			batch, next, err := app.NewExporter(s).User(ctx, c.ID, *page, exportPage)
			if err != nil {
				return err
			}
			for _, one := range batch {
				if err := out.write(one); err != nil {
					return err
				}
			}
			page = next
		}
		if out.written == 0 {
			return fmt.Errorf("nothing is kept of a user %s", c.ID)
		}
		return out.out.Flush()
	})
}

type exportRoomCommand struct {
	storePlace
	ID string `arg:"" help:"The room."`
}

// Run is called by the parser.
func (c *exportRoomCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, func(s kept) error {
		out := &records{out: bufio.NewWriter(os.Stdout)}
		if err := app.NewExporter(s).Room(ctx, c.ID, out.write); err != nil {
			return err
		}
		return out.out.Flush()
	})
}

// eraseCommand takes away what a deployment keeps. It writes down what is wanted, and the server does it.
type eraseCommand struct {
	User   eraseUserCommand   `cmd:"" help:"Sign a user out, delete their messages and reactions, take them out of their rooms and empty their profile."`
	Room   eraseRoomCommand   `cmd:"" help:"Delete a room with everything in it."`
	List   eraseListCommand   `cmd:"" help:"List what was erased, or shall be. Keep the output of --json beside your backups."`
	Replay eraseReplayCommand `cmd:"" help:"After a restore: erase again what the list says was erased since the backup."`
}

type eraseUserCommand struct {
	storePlace
	ID   string        `arg:"" help:"The user."`
	Wait time.Duration `help:"How long to wait until the server has done it." default:"1m"`
}

// Run is called by the parser.
func (c *eraseUserCommand) Run(ctx context.Context) error {
	if !protocol.ValidUser(c.ID) {
		return fmt.Errorf("%q is no user id", c.ID)
	}
	return c.withStore(ctx, func(s kept) error {
		subject := privacy.Subject{Kind: privacy.User, ID: c.ID}
		if err := s.Request(ctx, subject); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, c.Wait)
		defer cancel()
		for {
			all, err := s.Erasures(ctx, false)
			i := slices.IndexFunc(all, func(e privacy.Erasure) bool { return e.Subject == subject })
			switch {
			case ctx.Err() != nil:
				return fmt.Errorf("%s is to be erased, and no server has finished yet: one that runs goes on, another does it when it starts; `parley erase list` tells", c.ID)
			case err != nil:
				return err
			case i >= 0 && all[i].DoneAt != 0:
				fmt.Fprintf(os.Stderr, "%s is erased.\n", c.ID)
				return nil
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

type eraseRoomCommand struct {
	storePlace
	ID string `arg:"" help:"The room."`
}

// Run is called by the parser.
func (c *eraseRoomCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, func(s kept) error {
		if err := s.Request(ctx, privacy.Subject{Kind: privacy.Room, ID: c.ID}); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "The server deletes the room within seconds, and a day later what it held is taken off the disk; `parley erase list` tells when.")
		return nil
	})
}

type eraseListCommand struct {
	storePlace
	JSON bool `help:"Print one JSON object a line." name:"json"`
}

// Run is called by the parser.
func (c *eraseListCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, func(s kept) error {
		all, err := s.Erasures(ctx, false)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for _, e := range all {
			if c.JSON {
				if err := json.MarshalWrite(os.Stdout, e); err != nil {
					return err
				}
				fmt.Println()
				continue
			}
			done := "not done yet"
			if e.DoneAt != 0 {
				done = "done " + e.DoneAt.String()
			}
			fmt.Fprintf(table, "%s\t%s\tasked for %s\t%s\n", e.Kind, e.ID, e.RequestedAt, done)
		}
		if len(all) == 0 {
			fmt.Fprintln(os.Stderr, "Nothing was ever erased.")
		}
		return table.Flush()
	})
}

type eraseReplayCommand struct {
	storePlace
	File *os.File `arg:"" help:"What erase list --json printed, - for standard input."`
}

// Run is called by the parser.
func (c *eraseReplayCommand) Run(ctx context.Context) error {
	var wanted []privacy.Erasure
	for in := jsontext.NewDecoder(c.File); ; {
		var e privacy.Erasure
		err := json.UnmarshalDecode(in, &e, json.RejectUnknownMembers(true))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || e.ID == "" || e.Kind != privacy.User && e.Kind != privacy.Room {
			return fmt.Errorf("line %d is nothing that erase list --json prints: %v", len(wanted)+1, err)
		}
		wanted = append(wanted, e)
	}
	return c.withStore(ctx, func(s kept) error {
		known, err := s.Erasures(ctx, false)
		if err != nil {
			return err
		}
		again := 0
		for _, e := range wanted {
			if slices.ContainsFunc(known, func(k privacy.Erasure) bool { return k.Subject == e.Subject && k.RequestedAt >= e.RequestedAt }) {
				continue // the backup has it
			}
			if err := s.Request(ctx, e.Subject); err != nil {
				return err
			}
			again++
		}
		fmt.Fprintf(os.Stderr, "%d of %d are to be erased again: a server that runs does it now, another when it starts, before anyone can connect.\n", again, len(wanted))
		return nil
	})
}
