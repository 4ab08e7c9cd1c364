package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/config"
)

// serveCommand runs the server. Its flags are the settings of config.Config, derived from it, so that there is one list of them.
type serveCommand struct {
	Config string `help:"A configuration file, YAML." placeholder:"FILE"`
	kong.Plugins
}

func newServeCommand() serveCommand {
	var fields []reflect.StructField
	for i, f := range config.Flags() {
		field := reflect.StructField{Name: "Flag" + strconv.Itoa(i), Type: reflect.TypeFor[*string]()}
		tag := fmt.Sprintf("name:%s help:%s placeholder:%s", strconv.Quote(f.Name), strconv.Quote(f.Help), strconv.Quote(placeholder(f)))
		if f.Default == "false" {
			field.Type = reflect.TypeFor[*bool]()
		}
		field.Tag = reflect.StructTag(tag)
		fields = append(fields, field)
	}
	return serveCommand{Plugins: kong.Plugins{reflect.New(reflect.StructOf(fields)).Interface()}}
}

func placeholder(f config.Flag) string {
	if f.Default == "" {
		return strings.ToUpper(f.Name[strings.LastIndexByte(f.Name, '-')+1:])
	}
	return f.Default
}

// overrides are the flags that were given.
func (c *serveCommand) overrides() map[string]string {
	given := map[string]string{}
	values := reflect.ValueOf(c.Plugins[0]).Elem()
	for i, f := range config.Flags() {
		switch v := values.Field(i).Interface().(type) {
		case *string:
			if v != nil {
				given[f.Name] = *v
			}
		case *bool:
			if v != nil {
				given[f.Name] = strconv.FormatBool(*v)
			}
		}
	}
	return given
}

// Run is called by the parser.
func (c *serveCommand) Run(ctx context.Context) error {
	cfg, err := config.Load(c.Config, os.Environ(), c.overrides())
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
		fmt.Fprintf(os.Stderr, "\n  Open http://%s in two browser tabs, pick a name in each, and talk.\n  Then try: pull the plug (kill -9), start again, and see that everything is there.\n\n", a.Addr())
	}
	return a.Run(ctx)
}

func logger(c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration has checked it
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
