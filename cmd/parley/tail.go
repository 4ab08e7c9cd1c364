package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/parley-im/parley/internal/terminal"
)

// tailCommand prints a room's log.
type tailCommand struct {
	identity
	Key       string  `help:"An API key that speaks for --user, in place of a token: @FILE to read it from a file." env:"PARLEY_KEY" placeholder:"@FILE"`
	Room      string  `arg:"" help:"The id of the room."`
	After     *uint64 `help:"Begin behind this event; without it, with what comes from now on." placeholder:"SEQ" xor:"from"`
	FromStart bool    `help:"Begin with the first event that may be read." xor:"from"`
	JSON      bool    `help:"Print each event as one line of JSON, as the protocol has it." name:"json"`
	Follow    bool    `help:"Go on with what comes." default:"true" negatable:""`
}

// Run is called by the parser.
func (c *tailCommand) Run(ctx context.Context) error {
	access, err := c.access(ctx)
	if err != nil {
		return err
	}
	o := terminal.TailOptions{Room: c.Room, After: c.After, Follow: c.Follow, JSON: c.JSON, Out: os.Stdout, Notes: os.Stderr}
	if c.FromStart {
		o.After = new(uint64)
	}
	return terminal.Tail(ctx, access, o)
}

// access is whose eyes to see with.
func (c *tailCommand) access(ctx context.Context) (terminal.Access, error) {
	a := terminal.Access{URL: c.URL}
	var err error
	if c.Key == "" {
		_, a.Token, err = c.source(ctx)
		return a, err
	}
	if a.Key, a.User = c.Key, c.User; a.User == "" {
		return a, errors.New("--key needs --user: the room is read as that user may see it")
	}
	if c.Token != "" || c.TokenCommand != "" {
		return a, errors.New("give --key or a token, and not both")
	}
	if file, ok := strings.CutPrefix(c.Key, "@"); ok {
		if a.Key, err = readSecret(file); err != nil {
			return a, fmt.Errorf("--key: %w", err)
		}
	}
	return a, nil
}
