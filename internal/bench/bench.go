// Package bench is the load generator behind `parley bench`: it drives a running server through the public protocol, as thousands of SDKs would, and
// checks while it measures that every acknowledged message reached every member, once and in order.
//
// Its rules. It shares the machine with the server that it measures, so that receiving an event costs it well under a microsecond: a session is a
// client.Link, events are looked at no further than their room and seq, and nothing is allocated for one. Load is a closed loop: a bounded
// number of messages is on its way, and an answer lets the next go. It survives the server's being killed and started again: what was not
// answered is sent again under its client_id, and sessions resume at the positions they had. Whatever it found on the way, in the end it reads the log of
// every room, and that is what counts.
package bench

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley/client"
)

// Scenario is what is done to the server.
type Scenario string

// The scenarios.
const (
	Rooms   Scenario = "rooms"   // many small rooms in which everybody talks
	Fanout  Scenario = "fanout"  // one room with many members
	Idle    Scenario = "idle"    // many sessions that only stay
	Storm   Scenario = "storm"   // all sessions are cut at once, while others talk
	Live    Scenario = "live"    // one live room with many watchers, few of whom comment
	Search  Scenario = "search"  // rooms full of messages in which some search, while others talk
	Durable Scenario = "durable" // messages are sent and acknowledged, and nobody listens
)

// Scenarios lists them with a line about each.
func Scenarios() map[Scenario]string {
	return map[Scenario]string{
		Rooms:   "many small rooms in which everybody talks",
		Fanout:  "one room with many members",
		Idle:    "many sessions that only stay",
		Storm:   "all sessions are cut off at once while others talk, and resume",
		Live:    "one live room with many watchers, few of whom comment",
		Search:  "rooms full of messages in which some search, while others talk",
		Durable: "messages are sent and acknowledged, and nobody listens",
	}
}

// Config says what to do. Zero fields are the scenario's defaults; URLs and Sign are required.
type Config struct {
	Scenario Scenario
	// URLs of the server, or of the nodes of a cluster, which the users are spread over: ws, wss, http or https.
	URLs []string
	// Sign makes a token for a user, good for longer than the run.
	Sign func(user string) (string, error)
	// Duration is how long the load lasts, without what comes before and after; 0: 10 s.
	Duration time.Duration
	// Users are those that talk and listen: 1,000 in rooms, the members in fanout, 256 in durable, the sessions that stay in idle (15,000), those
	// that are cut in storm (2,000), and those that watch in live (10,000).
	Users int
	// RoomSize is the number of members of each room in rooms and storm (5), and idle (100).
	RoomSize int
	// RoomsEach is how many rooms each user is a member of in rooms and storm (5), and idle (20).
	RoomsEach int
	// Inflight is how many messages are sent and not answered at a time, over all users: 512 in rooms, 1,024 in durable, 32 in storm; in fanout how many
	// are not delivered to everyone yet: 64.
	Inflight int
	// Comments are sent each second in live, and messages in search while some search; 0: 100.
	Comments int
	// Messages are how many there are to be found in search (200,000), and Rooms in how many rooms (100).
	Messages, Rooms int
	// SamplePerS is settings.sample_per_s of the room in live; 0: every event is pushed.
	SamplePerS int64
	// Processes are those on this machine of which is told what the load costs them: the server's, and the engines' behind it.
	Processes []Process
	// TextBytes is the length of a message's text; 0: 64.
	TextBytes int
	// Settle is how long the run waits at its end for answers and deliveries while none come; 0: 15 s.
	Settle time.Duration

	// History is written one JSON object a line about everything that happened, for a checker: {t, op, phase, conn, room, cid, seq}.
	History io.Writer
	// Progress is where a person watches; it shows a bar if it is a terminal. Nil: nowhere.
	Progress io.Writer
	// Dial reaches the server; nil: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is for https; nil: the system's roots.
	TLS *tls.Config
}

// withDefaults fills in what was left out, and says what cannot be.
func (c Config) withDefaults() (Config, error) {
	users := map[Scenario]int{Rooms: 1000, Fanout: 1000, Idle: 15000, Storm: 2000, Live: 10000, Search: searchPeople, Durable: 256}
	if _, ok := users[c.Scenario]; !ok {
		return c, fmt.Errorf("bench: there is no scenario %q: it is one of %s", c.Scenario, strings.Join(scenarioNames(), ", "))
	}
	inflight := map[Scenario]int{Rooms: 512, Fanout: 64, Storm: 32, Durable: 1024}
	size, each := 5, 5
	switch c.Scenario {
	case Idle:
		size, each = 100, 20
	case Durable:
		size, each = 1, 1
	}
	c.Duration = cmp.Or(c.Duration, 10*time.Second)
	c.Settle = cmp.Or(c.Settle, 15*time.Second)
	c.Users = cmp.Or(c.Users, users[c.Scenario])
	c.RoomSize = min(cmp.Or(c.RoomSize, size), c.Users)
	c.RoomsEach = cmp.Or(c.RoomsEach, each)
	c.Inflight = cmp.Or(c.Inflight, inflight[c.Scenario])
	c.Comments = cmp.Or(c.Comments, 100)
	c.Messages, c.Rooms = cmp.Or(c.Messages, 200_000), cmp.Or(c.Rooms, 100)
	c.TextBytes = max(cmp.Or(c.TextBytes, 64), stampBytes)
	switch {
	case len(c.URLs) == 0 || slices.Contains(c.URLs, ""):
		return c, fmt.Errorf("bench: the URL of the server is missing")
	case c.Sign == nil:
		return c, fmt.Errorf("bench: there is nothing to sign tokens with")
	case c.Users < 0 || c.RoomSize < 0 || c.RoomsEach < 0 || c.Inflight < 0 || c.Comments < 0 || c.Messages < 0 || c.Rooms < 0 || c.SamplePerS < 0 || c.Duration < 0 || c.TextBytes > 4096:
		return c, fmt.Errorf("bench: a number is out of range: users, sizes and times are positive, texts at most 4,096 bytes")
	case c.RoomSize > 200 && c.Scenario != Fanout:
		return c, fmt.Errorf("bench: rooms of %d members are for fanout; here 200 are the most", c.RoomSize)
	}
	return c, nil
}

func scenarioNames() []string {
	var names []string
	for s := range Scenarios() {
		names = append(names, string(s))
	}
	slices.Sort(names)
	return names
}

// Run carries out a scenario and tells what came of it. The error is nil if it could be carried out, whatever was found then: see Report.Broken.
// When ctx ends early, so does the load, and what was done until then is judged.
func Run(ctx context.Context, c Config) (Report, error) {
	c, err := c.withDefaults()
	if err != nil {
		return Report{}, err
	}
	if err := allowConnections(c.Users + speakers(c)); err != nil {
		return Report{}, err
	}
	switch c.Scenario {
	case Live:
		return runLive(ctx, c)
	case Search:
		return runSearch(ctx, c)
	}
	r := newRun(c)
	defer r.close()
	if err := r.setUp(ctx); err != nil {
		return Report{}, err
	}
	if err := r.load(ctx); err != nil {
		return Report{}, err
	}
	r.settle()
	return r.report(), nil
}

// node is the index of the URL that a user's session is at.
func (c Config) node(user int) int { return user % len(c.URLs) }

// connOptions are those of every session. Where nothing arrives, a small buffer will do.
func (c Config) connOptions() client.ConnOptions {
	o := client.ConnOptions{Dial: c.Dial, TLS: c.TLS}
	if c.Scenario == Idle || c.Scenario == Durable {
		o.ReadBuffer = 512
	}
	return o
}
