package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// TestModel lets users, back ends and faults loose on two nodes, and judges every frame that every session is pushed. When all is healed, everyone must
// have come to the head.
func TestModel(t *testing.T) {
	for seed := range modelSeeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newModel(t, uint64(seed)).run() })
		})
	}
}

const (
	modelSeeds  = 24
	modelUsers  = 6
	modelRooms  = 6
	modelSteps  = 120
	modelReplay = 25
	modelSample = 8 // events in any second in the last room
)

type model struct {
	t      *testing.T
	random *random
	store  *store
	bus    *bus
	nodes  []*node
	wire   []*busNode
	faults faults
	calm   bool // no faults any more; under random.mu
	steady bool // the setting of the sampled room stays

	mu       sync.Mutex
	sessions []*client
	applied  []map[string]protocol.Seq // by node: what Applied has returned for
}

// random is shared by goroutines: a seed makes the mix of a run, not its every step.
type random struct {
	mu sync.Mutex
	*rand.Rand
}

func (r *random) n(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.IntN(n)
}

func (r *random) chance(percent int) bool { return r.n(100) < percent }

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, random: &random{Rand: rand.New(rand.NewPCG(seed, 1))}, store: newStore(), bus: newBus()}
	calm := func() bool {
		m.random.mu.Lock()
		defer m.random.mu.Unlock()
		return m.calm
	}
	m.store.pace = sleeper(func() time.Duration {
		if m.random.chance(40) {
			return 0
		}
		return time.Duration(m.random.n(5000)) * time.Microsecond
	})
	m.store.fail = func() error {
		if !calm() && m.random.chance(2) {
			return errors.New("the store is away")
		}
		return nil
	}
	m.steady = seed%3 != 0
	lossy := seed%4 != 0
	m.bus.fate = func() (int, time.Duration) {
		switch {
		case !calm() && lossy && m.random.chance(20):
			return 0, 0
		case m.random.chance(15):
			return 2, time.Duration(m.random.n(3000)) * time.Microsecond
		case m.random.chance(30):
			return 1, time.Duration(m.random.n(60)) * time.Millisecond
		}
		return 1, 0
	}
	for i := range 2 {
		n := newNode(t, m.store, delivery.Options{Node: fmt.Sprint("node", i), Replay: modelReplay, RingBytes: 4000 << m.random.n(8)})
		live := m.bus.join(n.hub)
		n.hub.SetLive(live)
		n.hub.Start(t.Context())
		m.nodes, m.wire = append(m.nodes, n), append(m.wire, live)
		m.applied = append(m.applied, map[string]protocol.Seq{})
	}
	return m
}

// client is one session and what its user's client knows.
type client struct {
	model *model
	sink  *sink
	node  int
	all   bool

	calls chan struct{} // a lock: a session's calls come one after the other

	mu       sync.Mutex
	follower *delivery.Follower
	streams  map[string]*stream
	floor    map[string]protocol.Seq // the heads before hello
	ceiling  map[string]protocol.Seq // and when it was answered
	dropped  map[string]bool         // unsubscribed
	ended    bool
	resume   string
}

func (m *model) run() {
	kinds := []protocol.Kind{protocol.Group, protocol.Group, protocol.Channel, protocol.Channel, protocol.Live, protocol.Live}
	for i := range modelRooms {
		n := m.nodes[i%2]
		if _, err := n.commit(func() (*chat.Event, error) {
			return m.store.create(kinds[i], kinds[i] == protocol.Group && m.random.chance(40), "u0", m.user()), nil
		}); err != nil {
			m.t.Fatal(err)
		}
	}
	if _, err := m.nodes[0].commit(func() (*chat.Event, error) { return m.store.sample(sampledRoom, modelSample) }); err != nil {
		m.t.Fatal(err)
	}
	var running sync.WaitGroup
	for range 6 {
		running.Go(func() {
			for range modelSteps {
				m.act()
				time.Sleep(time.Duration(m.random.n(8000)) * time.Microsecond)
			}
		})
	}
	if m.random.chance(50) {
		running.Go(func() {
			time.Sleep(100 * time.Millisecond)
			m.bus.setDown(true)
			time.Sleep(time.Duration(m.random.n(3000)) * time.Millisecond)
			m.bus.setDown(false)
		})
	}
	running.Wait()
	m.random.mu.Lock()
	m.calm = true
	m.random.mu.Unlock()
	time.Sleep(75 * time.Second) // twice the time in which every room is compared
	m.judgeTheEnd()
	m.stop()
	if s := m.faults.String(); s != "" {
		m.t.Error(s)
	}
}

func (m *model) stop() {
	for _, c := range m.sessions {
		c.close()
	}
	for i, n := range m.nodes {
		n.hub.Stop()
		m.wire[i].leave()
	}
	synctest.Wait()
}

// sampledRoom is the last of the rooms made at the beginning.
var sampledRoom = fmt.Sprint("r_", modelRooms)

func (m *model) user() string { return fmt.Sprint("u", m.random.n(modelUsers)) }
func (m *model) room() string { return fmt.Sprint("r_", 1+m.random.n(modelRooms+1)) }

// act does one thing that somebody might.
func (m *model) act() {
	at := m.random.n(2)
	n, room, user := m.nodes[at], m.room(), m.user()
	commit := func(do func() (*chat.Event, error)) *chat.Event {
		e, err := n.commit(do)
		if err != nil {
			return nil
		}
		return e
	}
	switch p := m.random.n(100); {
	case p < 45:
		for range 1 + m.random.n(4) {
			commit(func() (*chat.Event, error) { return m.store.send(room, user) })
		}
	case p < 53:
		m.applies(at, commit(func() (*chat.Event, error) { return m.store.join(room, user, m.user()) }))
	case p < 60:
		reason := protocol.ReasonRemoved
		if m.random.chance(15) {
			reason = protocol.ReasonBanned
		}
		m.applies(at, commit(func() (*chat.Event, error) { return m.store.leave(room, reason, user) }))
	case p < 63:
		target := protocol.Seq(1 + m.random.n(60))
		if e := commit(func() (*chat.Event, error) { return m.store.erase(room, target) }); e != nil {
			m.applies(at, e)
			m.store.mu.Lock()
			m.store.rooms[room].gone(at, target)
			m.store.mu.Unlock()
		}
	case p == 63 && m.random.chance(25):
		m.applies(at, commit(func() (*chat.Event, error) { return m.store.remove(room) }))
	case p == 64 && m.random.chance(30):
		commit(func() (*chat.Event, error) { return m.store.create(protocol.Group, false, user, m.user()), nil })
	case p < 76:
		m.enter(at, user)
	case p < 84:
		if c := m.session(); c != nil {
			c.subscribe(room)
		}
	case p < 88:
		if c := m.session(); c != nil {
			c.unsubscribe(room)
		}
	case p < 94:
		if c := m.session(); c != nil {
			c.close()
		}
	case p == 94 && !m.steady && m.random.chance(50):
		most := []int64{0, 4, modelSample, 100}[m.random.n(4)]
		commit(func() (*chat.Event, error) { return m.store.sample(sampledRoom, most) })
	case p < 97:
		n.hub.Typing(room, user, "", m.random.chance(60))
	default:
		row := chat.CursorRow{Room: room, User: user, Delivered: protocol.Seq(m.random.n(50)), Moved: true, Private: m.random.chance(50)}
		m.store.move(row)
		n.hub.Committed(&chat.Commit{Cursors: []chat.CursorRow{row}})
	}
}

// applies waits, as a call that removes somebody does before it is answered.
func (m *model) applies(at int, e *chat.Event) {
	if e == nil {
		return
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	if err := m.nodes[at].hub.Applied(ctx, e.Room, e.Seq); err != nil {
		m.faults.add("waiting for %s %d: %v", e.Room, e.Seq, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied[at][e.Room] = max(m.applied[at][e.Room], e.Seq)
}

// gone notes that no session of a node may be pushed the content of a message any more.
func (l *logged) gone(node int, target protocol.Seq) {
	if l.erased == nil {
		l.erased = map[erasure]bool{}
	}
	l.erased[erasure{node, target}] = true
}

func (m *model) session() *client {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sessions) == 0 {
		return nil
	}
	return m.sessions[m.random.n(len(m.sessions))]
}

func (m *model) enter(at int, user string) {
	c := &client{model: m, node: at, all: m.random.chance(75), streams: map[string]*stream{}, dropped: map[string]bool{}}
	c.calls = make(chan struct{}, 1)
	m.mu.Lock()
	c.sink = newSink(fmt.Sprint("s", len(m.sessions)), user)
	m.sessions = append(m.sessions, c)
	m.mu.Unlock()
	if m.random.chance(50) {
		c.sink.bound = 300 << m.random.n(5)
		c.sink.read = func() (time.Duration, bool) {
			return time.Duration(m.random.n(100)) * time.Millisecond, !m.random.chance(20)
		}
	}
	c.sink.saw = func(_ *sink, f pushed) { c.saw(f) }
	e := &delivery.Entry{Sink: c.sink, All: c.all, Ready: c.replied}
	if m.random.chance(5) {
		e.Epoch = "another"
	}
	c.floor = m.store.heads()
	if m.random.chance(60) {
		e.Resume = map[string]protocol.Seq{}
		for range m.random.n(4) {
			room := m.room()
			e.Resume[room] = c.floor[room] - min(c.floor[room], protocol.Seq(m.random.n(modelReplay+5)))
			if m.random.chance(4) {
				e.Resume[room] = c.floor[room] + 1000
			}
		}
	}
	for room, after := range e.Resume {
		c.streams[room] = &stream{user: user, in: true, next: after + 1}
		m.store.mu.Lock()
		if l := m.store.rooms[room]; e.Epoch != "" || l != nil && l.sinceJoin || after > c.floor[room] {
			c.streams[room].next = 0 // what comes first is not for this check to say: a reset, or what is visible
			c.streams[room].ceiling = 1 << 60
		}
		m.store.mu.Unlock()
	}
	c.resume = fmt.Sprint(e.Resume, e.Epoch)
	f, err := m.nodes[at].hub.Enter(m.t.Context(), e)
	if err != nil {
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		close(c.sink.gone)
		return
	}
	c.mu.Lock()
	c.follower = f
	c.mu.Unlock()
	c.sink.entered(f)
}

func (c *client) replied() {
	c.sink.replied()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ceiling = c.model.store.heads()
	for room, s := range c.streams {
		s.history = c.ceiling[room]
	}
}

func (c *client) close() {
	c.calls <- struct{}{}
	defer func() { <-c.calls }()
	c.mu.Lock()
	f, ended := c.follower, c.ended
	if f != nil {
		c.ended = true
	}
	c.mu.Unlock()
	if f != nil && !ended {
		f.Close()
		close(c.sink.gone)
	}
}

func (c *client) open() *delivery.Follower {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	return c.follower
}

func (c *client) subscribe(room string) {
	c.calls <- struct{}{}
	defer func() { <-c.calls }()
	f := c.open()
	if f == nil {
		return
	}
	var after *protocol.Seq
	if c.model.random.chance(50) {
		head := c.model.store.heads()[room]
		a := head - min(head, protocol.Seq(c.model.random.n(modelReplay)))
		after = &a
	}
	was := f.Follows(room)
	_ = f.Subscribe(c.model.t.Context(), room, after, "", func(head protocol.Seq) {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.dropped, room)
		if s := c.streams[room]; was || s != nil && s.in {
			return // already followed, or let in by a join in the meantime
		}
		s := &stream{user: c.sink.user, in: true, next: head + 1}
		c.model.store.mu.Lock()
		s.history = c.model.store.rooms[room].head()
		if after != nil {
			s.next = *after + 1
			if l := c.model.store.rooms[room]; l.sinceJoin {
				s.next, s.ceiling = 0, head
			}
		}
		c.model.store.mu.Unlock()
		c.streams[room] = s
	})
}

func (c *client) unsubscribe(room string) {
	c.calls <- struct{}{}
	defer func() { <-c.calls }()
	f := c.open()
	if f == nil {
		return
	}
	f.Unsubscribe(room)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[room] = true
	if s := c.streams[room]; s != nil && !f.Follows(room) {
		s.in, s.next, s.ended, s.added = false, 0, 0, false
	}
}

// saw judges a frame as it is queued.
func (c *client) saw(f pushed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.model
	s := c.streams[f.Room]
	if f.Event == protocol.SignalTyping || f.Event == protocol.SignalReceipt {
		if c.ceiling == nil || s != nil && !s.in || c.dropped[f.Room] {
			m.faults.add("%s of %s: %s of %s, which it does not follow", c.sink.id, c.sink.user, f.Event, f.Room)
		}
		return
	}
	if s == nil {
		s = &stream{user: c.sink.user, in: c.all && f.Event != protocol.SignalRoomAdded, floor: c.floor[f.Room], ceiling: c.ceiling[f.Room]}
		c.streams[f.Room] = s
	}
	if m.steady && f.Room == sampledRoom {
		s.sample.most = modelSample
	}
	was := s.in
	if c.ceiling == nil {
		m.faults.add("%s: %s %s %d before the reply to hello", c.sink.id, f.Room, f.Event, f.Seq)
	}
	complaint := s.push(f, func(seq protocol.Seq) *chat.Event { return m.store.at(f.Room, seq) })
	if complaint != "" {
		m.faults.add("%s of %s on node %d, all %v, resumed %s: %s: %s (%v)", c.sink.id, c.sink.user, c.node, c.all, c.resume, f.Room, complaint, s.said)
	}
	if f.Seq > 0 {
		c.judgeRight(f)
	}
	if f.Event == protocol.SignalRoomAdded && !was && (!c.all || m.store.kind(f.Room) == protocol.Live) {
		s.in, s.added = false, false // told only
	} else if f.Event == protocol.SignalRoomAdded {
		delete(c.dropped, f.Room)
	}
}

// judgeRight checks that the user may be pushed the event now: removed users nothing once the removal is applied, nobody the content of what is erased.
func (c *client) judgeRight(f pushed) {
	m := c.model
	m.mu.Lock()
	applied := m.applied[c.node][f.Room]
	m.mu.Unlock()
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	l := m.store.rooms[f.Room]
	mb := l.members[c.sink.user]
	out := mb.left
	if l.deleted {
		out = l.head()
	}
	if !l.sees(c.sink.user) && out != 0 && (out <= applied || f.Seq > out) {
		m.faults.add("%s of %s: %s %d was pushed after the removal at %d (applied: %d)", c.sink.id, c.sink.user, f.Room, f.Seq, out, applied)
	}
	if l.sinceJoin && mb.in && f.Seq < mb.joined && mb.joined <= applied {
		m.faults.add("%s of %s: %s %d was pushed, from before joining at %d", c.sink.id, c.sink.user, f.Room, f.Seq, mb.joined)
	}
	if l.erased[erasure{c.node, f.Seq}] && bytes.Contains(f.Data, []byte("secret")) {
		m.faults.add("%s: %s %d was pushed with the content that is erased", c.sink.id, f.Room, f.Seq)
	}
}

// judgeTheEnd checks that everyone who follows a room has come to its head, and nobody else follows it.
func (m *model) judgeTheEnd() {
	heads := m.store.heads()
	for _, c := range m.sessions {
		f := c.open()
		if f == nil {
			continue
		}
		for room, head := range heads {
			mb, sees := m.store.membership(room, c.sink.user)
			live := m.store.rooms[room].room.Kind == protocol.Live
			c.mu.Lock()
			s, dropped := c.streams[room], c.dropped[room]
			due := c.all && mb.in && !live && !dropped && sees
			follows := f.Follows(room)
			who := fmt.Sprintf("%s of %s on node %d (all %v) in %s, member since %d, head %d", c.sink.id, c.sink.user, c.node, c.all, room, mb.joined, head)
			switch {
			case due && !follows:
				m.faults.add("%s: does not follow it", who)
			case follows && !sees:
				m.faults.add("%s: follows it and may not", who)
			case !follows && s != nil && s.in:
				m.faults.add("%s: was not told that it is out (%v)", who, s.said)
			case follows && s == nil && head > c.ceiling[room]:
				m.faults.add("%s: was told nothing since the hello at %d", who, c.ceiling[room])
			case follows && s != nil && s.next == 0 && !(s.said == nil && head <= max(c.ceiling[room], s.ceiling)):
				m.faults.add("%s: nothing after %v", who, s.said)
			case follows && s != nil && s.next != 0 && s.next != head+1:
				m.faults.add("%s: stands at %d (%v)", who, s.next, s.said)
			}
			c.mu.Unlock()
		}
	}
	if slices.ContainsFunc(m.nodes, func(n *node) bool { return n.hub.Stats().Backlog != 0 }) {
		m.faults.add("a backlog is left: %+v", m.nodes[0].hub.Stats())
	}
}
