package main

import (
	"context"
	"errors"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/parley-im/parley/internal/terminal"
)

// chatCommand is the chat on a terminal.
type chatCommand struct {
	identity
	Room  string `help:"The room to begin with, by its id." placeholder:"ID"`
	State string `help:"Where messages that wait, drafts and the device are kept, in place of the user's state folder." env:"PARLEY_STATE" type:"path" placeholder:"DIR"`
}

// Run is called by the parser.
func (c *chatCommand) Run(ctx context.Context) error {
	if !isatty.IsTerminal(os.Stdout.Fd()) {
		return errors.New("chat needs a terminal; `parley tail` prints a room for a program")
	}
	user, token, err := c.source(ctx)
	if err != nil {
		return err
	}
	if c.State == "" {
		if c.State, err = terminal.StateDir(); err != nil {
			return err
		}
	}
	return terminal.Chat(ctx, terminal.ChatOptions{URL: c.URL, User: user, Token: token, Room: c.Room, State: c.State})
}
