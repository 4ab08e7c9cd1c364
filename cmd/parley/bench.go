package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/bench"
)

// benchCommand drives a running server, one command for each scenario.
type benchCommand struct {
	Rooms   roomsCommand       `cmd:"" help:"Many small rooms in which everybody talks."`
	Fanout  fanoutCommand      `cmd:"" help:"One room with many members."`
	Idle    idleCommand        `cmd:"" help:"Many sessions that only stay."`
	Storm   stormCommand       `cmd:"" help:"All sessions are cut off at once while others talk, and resume."`
	Live    liveCommand        `cmd:"" help:"One live room with many watchers, few of whom comment."`
	Search  searchBenchCommand `cmd:"" help:"Rooms full of messages in which some search, while others talk."`
	Durable durableCommand     `cmd:"" help:"Messages are sent and acknowledged, and nobody listens."`
}

// benchFlags are those of every scenario.
type benchFlags struct {
	signing
	URL      []string      `help:"The server: http://HOST:PORT, https://HOST:PORT, or unix:PATH. Several are nodes of one cluster, which the users are spread over." default:"http://127.0.0.1:8080" name:"url" sep:","`
	CA       string        `help:"File with the certificates that vouch for the server's, PEM, in place of the system's." name:"ca" type:"existingfile" placeholder:"FILE"`
	Duration time.Duration `help:"How long the load lasts." default:"10s"`
	JSON     bool          `help:"Print one JSON object." name:"json"`
	Process  []string      `help:"A process on this machine, as NAME=PID, of which is told what the load costs it: the server, PostgreSQL, a broker. What it has started counts with it." placeholder:"NAME=PID" sep:","`
	History  string        `help:"File for everything that happened, one JSON object a line." type:"path" placeholder:"FILE"`
}

// run carries out a scenario. What it found wrong is an error, after the report was printed.
func (f benchFlags) run(ctx context.Context, c bench.Config) (err error) {
	signer, err := f.signer()
	if err != nil {
		return err
	}
	c.URLs, c.Duration, c.Progress = f.URL, f.Duration, os.Stderr
	if c.Processes, err = processes(f.Process); err != nil {
		return err
	}
	if path, isUnix := strings.CutPrefix(f.URL[0], "unix:"); isUnix && len(f.URL) == 1 {
		c.URLs = []string{"http://localhost"}
		c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	if f.CA != "" {
		certificates, err := os.ReadFile(f.CA)
		if err != nil {
			return err
		}
		c.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		if !c.TLS.RootCAs.AppendCertsFromPEM(certificates) {
			return fmt.Errorf("%s holds no certificate", f.CA)
		}
	}
	c.Sign = func(user string) (string, error) {
		return signer.Sign(auth.Claims{User: user, TTL: f.Duration + 24*time.Hour})
	}
	if f.History != "" {
		file, err := os.Create(f.History)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		c.History = file
	}
	report, err := bench.Run(ctx, c)
	if err != nil {
		return err
	}
	if f.JSON {
		err = json.MarshalWrite(os.Stdout, report, jsontext.Multiline(true))
		fmt.Println()
	} else {
		err = report.WriteText(os.Stdout)
	}
	if err == nil && report.Broken() {
		err = errors.New("the server broke a promise: see lost, duplicated and reordered")
	}
	return err
}

// processes reads NAME=PID.
func processes(given []string) ([]bench.Process, error) {
	var all []bench.Process
	for _, text := range given {
		name, number, _ := strings.Cut(text, "=")
		pid, err := strconv.Atoi(number)
		if err != nil || name == "" || pid < 1 {
			return nil, fmt.Errorf("--process %s: it is NAME=PID, such as server=1234", text)
		}
		all = append(all, bench.Process{Name: name, PID: pid})
	}
	return all, nil
}

type roomsCommand struct {
	benchFlags
	Users    int `help:"Users that talk and listen." default:"1000"`
	RoomSize int `help:"Members of each room." default:"5"`
	Inflight int `help:"Messages sent and not answered at a time, over all users." default:"512"`
}

// Run is called by the parser.
func (c *roomsCommand) Run(ctx context.Context) error {
	return c.run(ctx, bench.Config{Scenario: bench.Rooms, Users: c.Users, RoomSize: c.RoomSize, Inflight: c.Inflight})
}

type fanoutCommand struct {
	benchFlags
	Members  int `help:"Members of the room." default:"1000"`
	Inflight int `help:"Messages that are not delivered to everyone yet." default:"64"`
}

// Run is called by the parser.
func (c *fanoutCommand) Run(ctx context.Context) error {
	return c.run(ctx, bench.Config{Scenario: bench.Fanout, Users: c.Members, Inflight: c.Inflight})
}

type idleCommand struct {
	benchFlags
	Connections int `help:"Sessions that stay." default:"15000"`
	Rooms       int `help:"Rooms of which each is a member." default:"20"`
}

// Run is called by the parser.
func (c *idleCommand) Run(ctx context.Context) error {
	return c.run(ctx, bench.Config{Scenario: bench.Idle, Users: c.Connections, RoomsEach: c.Rooms})
}

type stormCommand struct {
	benchFlags
	Connections int `help:"Sessions that are cut off." default:"2000"`
}

// Run is called by the parser.
func (c *stormCommand) Run(ctx context.Context) error {
	return c.run(ctx, bench.Config{Scenario: bench.Storm, Users: c.Connections})
}

type liveCommand struct {
	benchFlags
	Watchers int   `help:"Sessions that watch." default:"10000"`
	Comments int   `help:"Comments a second." default:"100"`
	Sample   int64 `help:"The room's sample_per_s; 0: every comment is pushed." default:"0"`
}

// Run is called by the parser.
func (c *liveCommand) Run(ctx context.Context) error {
	return c.run(ctx, bench.Config{Scenario: bench.Live, Users: c.Watchers, Comments: c.Comments, SamplePerS: c.Sample})
}

type searchBenchCommand struct {
	benchFlags
	Messages int `help:"Messages that there are to be found." default:"200000"`
	Rooms    int `help:"Rooms in which they are." default:"100"`
	Rate     int `help:"Messages sent each second while some search." default:"100"`
}

// Run is called by the parser.
func (c *searchBenchCommand) Run(ctx context.Context) error {
	return c.run(ctx, bench.Config{Scenario: bench.Search, Messages: c.Messages, Rooms: c.Rooms, Comments: c.Rate})
}

type durableCommand struct {
	benchFlags
	Users    int `help:"Users that send." default:"256"`
	Inflight int `help:"Messages sent and not answered at a time, over all users." default:"1024"`
}

// Run is called by the parser.
func (c *durableCommand) Run(ctx context.Context) error {
	return c.run(ctx, bench.Config{Scenario: bench.Durable, Users: c.Users, Inflight: c.Inflight})
}
