package fleet

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	sdk "github.com/parley-im/parley/client"
	"github.com/parley-im/parley/e2e/history"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// crowd are many sessions that listen, each on a link of the Go SDK without the client above it, spread over the nodes.
type crowd struct {
	f       *Fleet
	members []*wanderer
	live    atomic.Int64
}

// wanderer is one of them. Its methods but Cut are the link's to call.
type wanderer struct {
	*sdk.Link
	of   *crowd
	user string
	back func(w *wanderer) // what it does besides, when its session has begun; nil: nothing

	begun atomic.Uint64        // sessions
	home  atomic.Pointer[Node] // where it connects to

	mu     sync.Mutex
	conn   history.Conn
	open   bool
	epoch  string
	places map[string]protocol.Seq
}

// crowd adds listeners to the rooms, so many in all, each to two neighbours, and has them connect: those of a room to one node, as far as that can be.
func (f *Fleet) crowd(n int, back func(w *wanderer)) *crowd {
	f.T.Helper()
	c := &crowd{f: f}
	in := make([][]string, len(f.rooms))
	for i := range n {
		w := &wanderer{of: c, user: fmt.Sprint("w", i), back: back, places: map[string]protocol.Seq{}}
		w.conn.User = w.user
		w.home.Store(f.Nodes[i%len(f.rooms)*len(f.Nodes)/len(f.rooms)])
		c.members = append(c.members, w)
		for k := range min(2, len(f.rooms)) {
			in[(i+k)%len(f.rooms)] = append(in[(i+k)%len(f.rooms)], w.user)
		}
	}
	for i, users := range in {
		for some := range slices.Chunk(users, protocol.MaxUsersPerCall) {
			for _, user := range some {
				if _, err := sdkUser(f.backend(f.Nodes[0], ""), user); err != nil {
					f.T.Fatal(err)
				}
			}
			_, err := f.backend(f.Nodes[0], f.rooms[i].members[0].User).Members.Add(f.T.Context(), protocol.MemberAddParams{Room: f.rooms[i].id, Users: some, ClientID: some[0]})
			if err != nil {
				f.T.Fatal(err)
			}
		}
	}
	f.T.Cleanup(c.close)
	for i, w := range c.members {
		w.connect()
		if i%200 == 199 { // not all at once: that comes later
			f.Until("those who came first are there", time.Minute, func() bool { return c.live.Load() >= int64(i-100) })
		}
	}
	f.Until("everybody is there", time.Minute, func() bool { return c.live.Load() == int64(n) })
	return c
}

func (w *wanderer) connect() {
	var err error
	w.Link, err = sdk.NewLink(&sdk.LinkOptions{
		URL: "http://" + w.of.f.Nodes[0].Addr, Device: "crowd",
		Conn: sdk.ConnOptions{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return asBalancer(ctx, network, w.home.Load().Addr)
		}},
		Token: func(context.Context) (string, error) {
			return w.of.f.signer.Sign(auth.Claims{User: w.user, TTL: 24 * time.Hour})
		},
	}, w)
	if err != nil {
		w.of.f.T.Fatal(err)
	}
	w.Open()
}

func (c *crowd) close() {
	var closing sync.WaitGroup
	for _, w := range c.members {
		if w.Link != nil {
			closing.Go(w.Close)
		}
	}
	closing.Wait()
}

// move has everybody come back to another node next time.
func (c *crowd) move() {
	for _, w := range c.members {
		i := slices.Index(c.f.Nodes, w.home.Load())
		w.home.Store(c.f.Nodes[(i+1)%len(c.f.Nodes)])
	}
}

// storm cuts everybody off at once, and returns how long it took until all had come back, and until all had what was known when they had.
func (c *crowd) storm(patience time.Duration) (back, caughtUp time.Duration) {
	c.f.T.Helper()
	before := make([]uint64, len(c.members))
	for i, w := range c.members {
		before[i] = w.begun.Load()
	}
	began := time.Now()
	c.f.History.Add(history.Entry{Op: history.Fault, Phase: history.Invoke, Name: "everybody cut off"})
	for _, w := range c.members {
		w.Cut()
	}
	c.f.Until("everybody is back", patience, func() bool {
		for i, w := range c.members {
			if w.begun.Load() == before[i] {
				return false
			}
		}
		return true
	})
	back = time.Since(began)
	c.f.History.Add(history.Entry{Op: history.Fault, Phase: history.OK, Name: "everybody cut off"})
	heads := map[string]protocol.Seq{}
	for _, r := range c.f.rooms {
		heads[r.id], _ = r.newest()
	}
	c.f.Until("everybody has what was missed", patience, func() bool {
		return !slices.ContainsFunc(c.members, func(w *wanderer) bool { return w.behind(heads) })
	})
	return back, time.Since(began)
}

// behind says whether the session has not come as far as heads in a room of its own.
func (w *wanderer) behind(heads map[string]protocol.Seq) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for room, seq := range w.places {
		if seq < heads[room] {
			return true
		}
	}
	return false
}

// Resume implements sdk.LinkHandler.
func (w *wanderer) Resume() *protocol.Resume {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoch == "" {
		return nil
	}
	r := &protocol.Resume{Epoch: w.epoch, Rooms: map[string]protocol.Seq{}}
	for room, seq := range w.places {
		r.Rooms[room] = seq
		next := w.conn
		next.Session++
		w.of.f.History.Add(history.Entry{Op: history.Resume, Phase: history.Invoke, Conn: next, Room: room, Seq: seq})
	}
	return r
}

// State implements sdk.LinkHandler.
func (w *wanderer) State(s sdk.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open {
		w.open = false
		w.of.live.Add(-1)
		w.of.f.History.Add(history.Entry{Op: history.Session, Phase: history.Info, Conn: w.conn})
	}
	if s.Phase != sdk.Live {
		return
	}
	w.open, w.epoch = true, s.Hello.Epoch
	w.conn.Session++ // attempts that failed do not count
	w.of.live.Add(1)
	w.begun.Add(1)
	w.of.f.History.Add(history.Entry{Op: history.Session, Phase: history.OK, Conn: w.conn, Node: s.Hello.Node})
	if w.back != nil {
		w.back(w)
	}
}

// Ended implements sdk.LinkHandler.
func (w *wanderer) Ended(uint64) {}

// Frame implements sdk.LinkHandler.
func (w *wanderer) Frame(line []byte) error {
	frame, err := protocol.ParseFrame(line)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := history.Entry{Op: history.Recv, Phase: history.OK, Conn: w.conn, Room: frame.Room, Seq: frame.Seq, Name: string(frame.Event), By: frame.User}
	switch {
	case frame.Event == protocol.MessageCreated:
		var data protocol.MessageCreatedData
		if err := json.Unmarshal(frame.Data, &data); err != nil {
			return err
		}
		seen.CID, seen.Hash = data.ClientID, hash(data.Text)
	case frame.Event == protocol.SignalReset:
		var data protocol.ResetData
		if err := json.Unmarshal(frame.Data, &data); err != nil {
			return err
		}
		seen.Op, seen.Seq = history.Reset, data.Head
	case frame.Seq == 0:
		return nil
	}
	w.places[frame.Room] = seen.Seq
	w.of.f.History.Add(seen)
	return nil
}
