package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/logging"
)

// serveCommand runs the server.
type serveCommand struct {
	settings
}

// Run is called by the parser.
func (c *serveCommand) Run(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log := logger(cfg.Log)
	slog.SetDefault(log)
	a, err := app.New(ctx, cfg, log, version)
	if err != nil {
		return err
	}
	if cfg.Dev {
		log.Warn("development mode: anyone who reaches this server can sign in as anyone")
	}
	if cfg.Dev && cfg.Log.Format == "text" { // who reads JSON is a program
		fmt.Fprintf(os.Stderr, "\n  Open %s in two browser tabs, pick a name in each, and talk.\n  Then try: pull the plug (kill -9), start again, and see that everything is there.\n  In pages of somebody else's it looks like this: %s/demo\n\n", a.URL(), a.URL())
	}
	for err = a.Run(ctx); errors.Is(err, app.ErrMoved); err = a.Run(ctx) {
		if a, err = a.Reopen(ctx); err != nil {
			return err
		}
	}
	return err
}

func logger(c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration has checked it
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(os.Stderr, options)
	if c.Format == "json" {
		options.ReplaceAttr = seconds
		h = slog.NewJSONHandler(os.Stderr, options)
	}
	return slog.New(logging.Limit(h, linesPerSecond))
}

// linesPerSecond is how often one message is logged in a second, whatever it is about.
const linesPerSecond = 20

// seconds writes durations as numbers of seconds, where the JSON handler writes nanoseconds.
func seconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
