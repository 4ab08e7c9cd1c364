// Command parley is the server, and the tools around it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set when the binary is built: -ldflags "-X main.version=…".
var version = "devel"

// commands are what parley can be told to do.
type commands struct {
	Serve      serveCommand      `cmd:"" help:"Run the server."`
	Token      tokenCommand      `cmd:"" help:"Print a token for a user, signed with the secret of a data folder."`
	Key        keyCommand        `cmd:"" help:"Make, list and remove API keys for back ends."`
	Config     configCommand     `cmd:"" help:"Print, check and explain the settings of serve."`
	Doctor     doctorCommand     `cmd:"" help:"Say whether this machine and a configuration are fit for a server; it takes the settings of serve."`
	Migrate    migrateCommand    `cmd:"" help:"Bring a store's schema up to date; serve does it by itself."`
	Backup     backupCommand     `cmd:"" help:"Copy a data folder whose store is SQLite, also while the server runs."`
	Restore    restoreCommand    `cmd:"" help:"Make a data folder of a backup."`
	Shards     shardsCommand     `cmd:"" help:"Spread a deployment over several PostgreSQL servers."`
	Search     searchCommand     `cmd:"" help:"Build the search index anew."`
	Export     exportCommand     `cmd:"" help:"Print what a deployment keeps of a user, or a room."`
	Erase      eraseCommand      `cmd:"" help:"Take away what a deployment keeps of a user, or a room."`
	Feed       feedCommand       `cmd:"" help:"Look after the feed of events for the application's own systems."`
	Epoch      epochCommand      `cmd:"" help:"Say that a store was brought back to an earlier state."`
	Chat       chatCommand       `cmd:"" help:"Chat, on this terminal."`
	Tail       tailCommand       `cmd:"" help:"Print what happens in a room."`
	Trace      traceCommand      `cmd:"" help:"Say where a message is: on disk, in the search index, with whom."`
	Bench      benchCommand      `cmd:"" help:"Drive a running server over the public protocol: measure it, and check it meanwhile."`
	Completion completionCommand `cmd:"" help:"Print what a shell needs to complete the words of this program."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// newParser knows the commands.
func newParser() *kong.Kong {
	c := commands{Serve: serveCommand{newSettings()}, Doctor: doctorCommand{settings: newSettings()}}
	parser, err := kong.New(&c, kong.Name("parley"), kong.Description("A self-hosted real-time messaging server."), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the commands above are wrong
	}
	return parser
}

func main() {
	parser := newParser()
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"--help"}
	}
	run, err := parser.Parse(args)
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	run.BindTo(ctx, (*context.Context)(nil))
	run.Bind(parser)
	if err := run.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "parley: "+strings.TrimSpace(err.Error()))
		os.Exit(1)
	}
}

// versionCommand prints the version and nothing else.
type versionCommand struct{}

// Run is called by the parser.
func (versionCommand) Run() error {
	fmt.Println(version)
	return nil
}
