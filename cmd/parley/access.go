package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// place says where a deployment keeps its secret and its store.
type place struct {
	Data string `help:"The data folder of the server." default:".parley" env:"PARLEY_DATA" type:"path" placeholder:"DIR"`
}

// secret is the deployment's; file, when given, holds it instead of the data folder. A data folder that is empty gets its secret now, so that tokens can be
// made before the first start.
func (p place) secret(file string) ([]byte, error) {
	if file != "" {
		return auth.LoadSecret(file)
	}
	if info, err := os.Stat(p.Data); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("there is no data folder %s: start the server with `parley serve --data DIR`, or name its folder with --data", p.Data)
	}
	secret, _, err := auth.EnsureSecret(p.Data)
	return secret, err
}

// tokenCommand prints a token and nothing else.
type tokenCommand struct {
	signing
	User string        `help:"Whose token it is." required:"" placeholder:"ID"`
	TTL  time.Duration `help:"How long it is good for." default:"1h" name:"ttl"`
	Role string        `help:"What it grants in the whole deployment." enum:"user,moderator,admin" default:"user"`
	Name *string       `help:"The name that the user's profile gets."`
}

// Run is called by the parser.
func (c *tokenCommand) Run() error {
	signer, err := c.signer()
	if err != nil {
		return err
	}
	token, err := signer.Sign(auth.Claims{User: c.User, Name: c.Name, Role: protocol.TokenRole(c.Role), TTL: c.TTL})
	if err != nil {
		return err
	}
	fmt.Println(token)
	return nil
}

// keyCommand manages API keys, also while the server runs.
type keyCommand struct {
	Create keyCreateCommand `cmd:"" help:"Make a key and print it: it is shown only now."`
	List   keyListCommand   `cmd:"" help:"List the keys by name."`
	Remove keyRemoveCommand `cmd:"" help:"End a key: within 15 seconds nothing accepts it any more."`
}

// storePlace says which store a command works on.
type storePlace struct {
	place
	Store  string            `help:"The store, as serve was told." env:"PARLEY_STORE" placeholder:"URL"`
	Shards map[string]string `help:"The shards, as serve was told, separated by commas." env:"PARLEY_SHARDS" mapsep:"," placeholder:"NAME=URL"`
}

// kept is a store, or several as one, as commands use it.
type kept interface {
	app.People
	auth.Keys
	Close() error
}

func (p storePlace) open(ctx context.Context) (kept, error) {
	if len(p.Shards) > 0 {
		return p.openShards(ctx)
	}
	return p.openOne(ctx)
}

// openShards opens several stores as one.
func (p storePlace) openShards(ctx context.Context) (*shards.Store, error) {
	return shards.Open(ctx, shards.Options{Home: p.Store, Others: p.Shards, Store: store.Options{Shared: true}})
}

// openOne opens the store that is alone.
func (p storePlace) openOne(ctx context.Context) (*store.Store, error) {
	if p.Store == "" {
		if err := os.MkdirAll(p.Data, 0o700); err != nil {
			return nil, err
		}
	}
	return store.Open(ctx, store.Options{URL: p.Store, Data: filepath.Clean(p.Data), Shared: true})
}

// withStore opens the store beside a server that may be running.
func (p storePlace) withStore(ctx context.Context, use func(kept) error) (err error) {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return use(s)
}

// withFeed opens the feed of the store, or of all shards as one, beside a server that may be running.
func (p storePlace) withFeed(ctx context.Context, use func(feed.Keeper) error) error {
	if len(p.Shards) == 0 {
		s, err := p.openOne(ctx)
		if err != nil {
			return err
		}
		return errors.Join(use(s.Feed()), s.Close())
	}
	s, err := p.openShards(ctx)
	if err != nil {
		return err
	}
	return errors.Join(use(s.Feed()), s.Close())
}

type keyCreateCommand struct {
	storePlace
	Name string `help:"What the key is for; names are unique." required:""`
}

// Run is called by the parser.
func (c *keyCreateCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, func(s kept) error {
		key, hash := auth.NewKey()
		if err := s.AddKey(ctx, c.Name, hash); errors.Is(err, auth.ErrKeyExists) {
			return fmt.Errorf("a key named %q exists: choose another name, or remove it first with `parley key remove --name %s`", c.Name, c.Name)
		} else if err != nil {
			return err
		}
		fmt.Println(key)
		return nil
	})
}

type keyListCommand struct {
	storePlace
}

// Run is called by the parser.
func (c *keyListCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, func(s kept) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			fmt.Fprintln(os.Stderr, "There is no key yet: make one with `parley key create --name NAME`.")
			return nil
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for _, k := range keys {
			fmt.Fprintf(table, "%s\t%s\n", k.Name, k.CreatedAt)
		}
		return table.Flush()
	})
}

type keyRemoveCommand struct {
	storePlace
	Name string `help:"Which key." required:""`
}

// Run is called by the parser.
func (c *keyRemoveCommand) Run(ctx context.Context) error {
	return c.withStore(ctx, func(s kept) error {
		if err := s.RemoveKey(ctx, c.Name); errors.Is(err, auth.ErrNoKey) {
			return fmt.Errorf("there is no key named %q: `parley key list` shows them", c.Name)
		} else if err != nil {
			return err
		}
		return nil
	})
}

// migrateCommand brings a store up to date without serving it.
type migrateCommand struct {
	storePlace
}

// Run is called by the parser.
func (c *migrateCommand) Run(ctx context.Context) error {
	n, err := store.Migrate(ctx, store.Options{URL: c.Store, Data: c.Data})
	if err != nil {
		return err
	}
	for name, url := range c.Shards {
		steps, err := store.Migrate(ctx, store.Options{URL: url})
		if err != nil {
			return fmt.Errorf("the shard %s: %w", name, err)
		}
		n += steps
	}
	if n == 0 {
		fmt.Fprintln(os.Stderr, "The store is up to date.")
	} else {
		fmt.Fprintf(os.Stderr, "The store was migrated: %d step(s).\n", n)
	}
	return nil
}
