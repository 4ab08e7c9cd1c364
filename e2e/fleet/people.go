package fleet

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	sdk "github.com/parley-im/parley/client"
	"github.com/parley-im/parley/e2e/history"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// Person is a user with the Go SDK, who writes down what comes.
type Person struct {
	*sdk.Client
	User string

	f     *Fleet
	rooms []*room

	mu     sync.Mutex
	conn   history.Conn
	node   string // "" without a session
	told   bool   // that this session will end: `reconnect` or `closing`
	untold int    // sessions that ended without a word
	places map[string]protocol.Seq
}

// room is one that people talk in.
type room struct {
	id      string
	index   int
	members []*Person
	guest   *Person // comes and goes; nil: everybody stays

	mu     sync.Mutex
	away   bool // the guest may be
	acked  protocol.Seq
	places map[protocol.Seq]struct{} // that were acknowledged
}

const (
	// One room in guestRooms has a member who comes and goes, and the cursors of one in cursorRooms are written down.
	guestRooms  = 10
	cursorRooms = 6
)

// hash is of a message's content.
func hash(text *string) uint64 {
	h := fnv.New64a()
	if text != nil {
		h.Write([]byte(*text))
	}
	return h.Sum64()
}

// Gather makes the rooms, and has everybody connect.
func (f *Fleet) Gather() {
	f.T.Helper()
	for i := range f.Users {
		f.people = append(f.people, &Person{f: f, User: fmt.Sprint("u", i), places: map[string]protocol.Seq{}})
	}
	back := f.backend(f.Nodes[0], "")
	for users := range slices.Chunk(f.people, 1) {
		if _, err := sdkUser(back, users[0].User); err != nil {
			f.T.Fatal(err)
		}
	}
	for i := range f.Rooms {
		r := &room{index: i, places: map[protocol.Seq]struct{}{}}
		for k := range f.RoomSize {
			p := f.people[(i*f.Users/f.Rooms+k)%f.Users]
			r.members = append(r.members, p)
			p.rooms = append(p.rooms, r)
		}
		if i%guestRooms == 1 {
			r.guest = r.members[len(r.members)-1]
		}
		var others []string
		for _, p := range r.members[1:] {
			others = append(others, p.User)
		}
		made, err := f.backend(f.Nodes[i%len(f.Nodes)], r.members[0].User).Rooms.Create(f.T.Context(), protocol.RoomCreateParams{
			Kind: protocol.Group, Name: fmt.Sprint("room ", i), Members: others,
		})
		if err != nil {
			f.T.Fatal(err)
		}
		r.id = made.Room.ID
		f.rooms = append(f.rooms, r)
	}
	for _, p := range f.people {
		p.connect()
	}
	f.Until("everybody is there", 60*time.Second, func() bool {
		return !slices.ContainsFunc(f.people, func(p *Person) bool { return p.Node() == "" })
	})
}

// sdkUser makes a user known.
func sdkUser(back *sdk.HTTP, user string) (protocol.User, error) {
	return back.Users.Update(context.Background(), protocol.UserUpdateParams{User: user})
}

// connect starts the client; it is closed with the test.
func (p *Person) connect() {
	f := p.f
	token := func(context.Context) (string, error) {
		return f.signer.Sign(auth.Claims{User: p.User, TTL: 24 * time.Hour})
	}
	p.conn = history.Conn{User: p.User}
	c, err := sdk.Start(sdk.Options{
		URL: "https://" + f.balancer.Addr, Token: token, Device: "fleet", ManualReceipts: true,
		Backoff: sdk.Backoff{Base: 250 * time.Millisecond, Cap: 2 * time.Second},
		Conn:    sdk.ConnOptions{TLS: f.trust}, Logger: slog.New(slog.DiscardHandler),
		Handler: sdk.Handler{
			Event: p.event, Reset: p.reset, Signal: p.signal, Sent: p.sent, State: p.state,
			Violation: func(err error) { f.complain("%s: a breach of the contract: %w", p.User, err) },
		},
	})
	if err != nil {
		f.T.Fatal(err)
	}
	p.Client = c
	f.T.Cleanup(c.Close)
}

// Node is where the person's session is, "" for nowhere.
func (p *Person) Node() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node
}

// note writes something down as seen in the present session.
func (p *Person) note(e history.Entry) {
	p.mu.Lock()
	e.Conn = p.conn
	p.mu.Unlock()
	p.f.History.Add(e)
}

func (p *Person) reach(room string, seq protocol.Seq) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places[room] = seq
}

func (p *Person) event(e protocol.Event) {
	seen := history.Entry{Op: history.Recv, Phase: history.OK, Room: e.Room, Seq: e.Seq, Name: string(e.Name), By: e.User}
	if e.Name == protocol.MessageCreated {
		data, err := sdk.Data[protocol.MessageCreatedData](e.Data)
		if err != nil {
			p.f.complain("%s: the data of %s/%d: %w", p.User, e.Room, e.Seq, err)
		}
		seen.CID, seen.Hash = data.ClientID, hash(data.Text)
	}
	p.note(seen)
	p.reach(e.Room, e.Seq)
	if e.Seq%3 == 0 {
		p.note(history.Entry{Op: history.Cursor, Phase: history.Invoke, Room: e.Room, Seq: e.Seq})
		if e.Seq%2 == 0 {
			p.Read(e.Room, e.Seq)
		} else {
			p.Delivered(e.Room, e.Seq)
		}
	}
}

func (p *Person) reset(room string, head protocol.Seq) {
	p.note(history.Entry{Op: history.Reset, Phase: history.OK, Room: room, Seq: head})
	p.reach(room, head)
}

func (p *Person) signal(s sdk.Signal) {
	switch data := s.Data.(type) {
	case protocol.RoomRemovedData:
		p.note(history.Entry{Op: history.Removed, Phase: history.OK, Room: s.Room})
		p.mu.Lock()
		delete(p.places, s.Room)
		p.mu.Unlock()
	case protocol.ReceiptData:
		if i := slices.IndexFunc(p.rooms, func(r *room) bool { return r.id == s.Room }); i < 0 || p.rooms[i].index%cursorRooms != 0 {
			return
		}
		for _, m := range data.Members {
			p.note(history.Entry{Op: history.Cursor, Phase: history.OK, Room: s.Room, About: m.User, Read: m.Read, Delivered: m.Delivered})
		}
	case protocol.ReconnectData, protocol.ClosingData:
		p.mu.Lock()
		p.told = true
		p.mu.Unlock()
	}
}

func (p *Person) state(s sdk.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.node != "" {
		p.f.History.Add(history.Entry{Op: history.Session, Phase: history.Info, Conn: p.conn})
		if !p.told && s.Reason != sdk.ReasonDrain && s.Reason != sdk.ReasonShutdown && s.Phase != sdk.Live {
			p.untold++
		}
		p.node, p.told = "", false
	}
	switch s.Phase {
	case sdk.Live:
		p.conn.Session, p.node = s.Session, s.Hello.Node
		p.f.History.Add(history.Entry{Op: history.Session, Phase: history.OK, Conn: p.conn, Node: p.node})
		for room, seq := range maps.All(p.places) {
			p.f.History.Add(history.Entry{Op: history.Resume, Phase: history.Invoke, Conn: p.conn, Room: room, Seq: seq})
		}
	case sdk.Stopped:
		if s.Reason != sdk.ReasonShutdown {
			p.f.complain("%s may not come back: %v %d: %w", p.User, s.Reason, s.Code, s.Err)
		}
	case sdk.Connecting, sdk.Waiting:
	}
}

// say sends a message.
func (p *Person) say(r *room, number int) {
	m := protocol.MessageSendParams{Room: r.id, ClientID: fmt.Sprint("m", number), Text: fmt.Sprint("what ", p.User, " says as number ", number)}
	p.f.unanswered.Add(1)
	p.note(history.Entry{Op: history.Send, Phase: history.Invoke, Room: r.id, CID: m.ClientID, Hash: hash(&m.Text)})
	if _, err := p.SendAsync(m); err != nil {
		p.f.unanswered.Add(-1)
		p.f.complain("%s cannot send: %w", p.User, err)
	}
}

func (p *Person) sent(q sdk.Queued, result protocol.MessageSendResult, err error) {
	answer := history.Entry{Op: history.Send, Phase: history.OK, Room: q.Message.Room, CID: q.Message.ClientID, Seq: result.Seq}
	if refusal := new(protocol.Error); errors.As(err, &refusal) {
		answer.Phase = history.Fail
		p.f.complain("a message of %s was refused: %w", p.User, err)
	} else if err != nil {
		p.f.complain("a message of %s came to nothing: %w", p.User, err)
		return
	}
	p.note(answer)
	p.f.unanswered.Add(-1)
	i := slices.IndexFunc(p.rooms, func(r *room) bool { return r.id == q.Message.Room })
	if p.rooms[i].stored(result.Seq) {
		p.f.again.Store(true)
	}
}

// stored takes note of a seq that was acknowledged, and says whether it was before.
func (r *room) stored(seq protocol.Seq) (again bool) {
	r.reached(seq)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, again = r.places[seq]
	r.places[seq] = struct{}{}
	return again
}

func (r *room) reached(seq protocol.Seq) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked = max(r.acked, seq)
}

// newest is the highest seq that is known to be stored, and who should have it in time.
func (r *room) newest() (seq protocol.Seq, members []*Person) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return r.acked, r.members[:len(r.members)-1]
	}
	return r.acked, r.members
}

// has says whether the person has got as far in a room.
func (p *Person) has(r *room, seq protocol.Seq) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places[r.id] >= seq
}
