package bench

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// receiptIDs is where the ids of calls that report receipts begin; below it are those of sends, which are the numbers of the messages.
const receiptIDs = 1 << 40

// user is one user with one session. What its link tells it comes one call at a time.
type user struct {
	r     *run
	index int
	id    string
	link  *client.Link

	// Only within calls of the link.
	epoch   string
	last    *place
	started bool // was live once
	live    bool
	back    bool // is live again after a storm's cut

	session atomic.Uint64
	tally   tally // what the session did wrong; read at the end

	mu     sync.Mutex // guards the rest
	places []*place   // only added to, and only within calls of the link
	rooms  []*room    // that it is a member of; set before the load
	made   uint64     // messages, which are numbered from 1: the number is the client_id
	flying []flight
	seen   []sighting
	buf    []byte
	lastID uint64
}

// place is how far a session has got in a room.
type place struct {
	room  string
	next  atomic.Uint64 // the seq that must come next; 0: whichever comes first
	from  protocol.Seq  // the next one when the load began
	holes map[protocol.Seq]struct{}

	// By resets: how many events they left out, which are read from the log.
	reset uint64
	told  protocol.Seq // the delivered cursor reported; the pacer's
}

// flight is a message that is not answered yet.
type flight struct {
	n    uint64
	room *room
	at   time.Time // of the first attempt
}

// tally counts what a session saw that it should not have seen.
type tally struct{ duplicated, reordered, resets, removed atomic.Uint64 }

// sighting is an event that was looked into, to be compared with the log.
type sighting struct {
	room string
	seq  protocol.Seq
	what uint64 // see message
}

// message packs who sent a message and its number into one word, which is never 0.
func message(user int, n uint64) uint64 { return uint64(user)<<40 | n }

// newUser makes a user whose link is not open yet.
func newUser(r *run, index int, rooms protocol.RoomsToAll) (*user, error) {
	u := &user{r: r, index: index, id: r.name + "-" + strconv.Itoa(index)}
	var err error
	u.link, err = client.NewLink(&client.LinkOptions{
		URL: r.c.URLs[r.c.node(index)], Token: r.token(u.id), Device: "bench", Client: "parley bench", Rooms: rooms,
		Backoff: client.Backoff{Base: 250 * time.Millisecond, Cap: 2 * time.Second}, Conn: r.c.connOptions(),
	}, u)
	return u, err
}

// Resume names every position, and the beginning of rooms of which nothing has come yet.
func (u *user) Resume() *protocol.Resume {
	if u.epoch == "" {
		return nil
	}
	resume := &protocol.Resume{Epoch: u.epoch, Rooms: make(map[string]protocol.Seq, len(u.places))}
	if u.r.c.Scenario == Durable {
		return resume
	}
	u.mu.Lock()
	rooms := u.rooms
	u.mu.Unlock()
	for _, follows := range rooms {
		if id := follows.name(); id != "" {
			resume.Rooms[id] = 0
		}
	}
	for _, p := range u.places {
		if next := p.next.Load(); next > 0 {
			resume.Rooms[p.room] = next - 1
			u.r.history.add(entry{op: "resume", phase: "invoke", user: u.id, session: u.session.Load() + 1, room: p.room, seq: next - 1})
		}
	}
	return resume
}

// State counts the session in and out.
func (u *user) State(s client.State) {
	if u.live {
		u.live = false
		u.r.count.lives.Add(-1)
		u.r.history.add(entry{op: "conn", phase: "info", user: u.id, session: u.session.Load()})
	}
	switch s.Phase {
	case client.Live:
		u.live = true
		u.epoch = s.Hello.Epoch
		u.session.Store(s.Session)
		u.r.history.add(entry{op: "conn", phase: "ok", user: u.id, session: s.Session})
		u.greeted()
		u.resend()
	case client.Stopped:
		if s.Reason != client.ReasonShutdown {
			u.r.fail(fmt.Errorf("bench: the session of %s ended for good (%s): %w", u.id, s.Reason, s.Err))
		}
	}
}

// greeted counts a session that has opened.
func (u *user) greeted() {
	r := u.r
	r.count.lives.Add(1)
	if u.started {
		r.count.returns.Add(1)
	}
	u.started = true
	if at := r.cut.at.Load(); at > 0 && !u.back && u.index < r.c.Users {
		u.back = true
		r.cut.back.Add(1)
		r.cut.resumed.add(u.index, time.Since(r.begin)-time.Duration(at))
	}
}

// Ended has nothing to do: what was not answered is sent again with the next session.
func (u *user) Ended(uint64) {}

// Frame takes events and the answers to sends by the shortest way.
func (u *user) Frame(line []byte) error {
	if room, seq, ok := scanEvent(line); ok {
		u.event(room, seq, line)
		return nil
	}
	if id, seq, ok := scanReply(line); ok {
		if id < receiptIDs {
			u.answered(id, seq)
		}
		return nil
	}
	return u.other(line)
}

// event checks that it is the one that must come.
func (u *user) event(room []byte, seq protocol.Seq, line []byte) {
	p := u.last
	if p == nil || p.room != string(room) {
		p = u.place(string(room))
		u.last = p
	}
	if next := p.next.Load(); seq == next || next == 0 {
		p.next.Store(seq + 1)
	} else {
		u.disordered(p, seq, next)
	}
	sampled := (seq+uint64(u.index))%u.r.sampling == 0
	if sampled || u.r.history != nil {
		u.look(p, seq, line, sampled)
	}
}

// place finds where a room stands, or begins it.
func (u *user) place(room string) *place {
	for _, p := range u.places {
		if p.room == room {
			return p
		}
	}
	p := &place{room: room}
	u.mu.Lock()
	u.places = append(u.places, p)
	u.mu.Unlock()
	return p
}

// disordered counts an event that is not the next. Those between are holes until they come.
func (u *user) disordered(p *place, seq, next protocol.Seq) {
	if seq < next {
		if _, missing := p.holes[seq]; missing {
			delete(p.holes, seq)
			u.tally.reordered.Add(1)
		} else {
			u.tally.duplicated.Add(1)
		}
		return
	}
	if p.holes == nil {
		p.holes = make(map[protocol.Seq]struct{})
	}
	for missing := next; missing < seq; missing++ {
		p.holes[missing] = struct{}{}
	}
	p.next.Store(seq + 1)
}

// look times a delivery that is sampled and notes what it was.
func (u *user) look(p *place, seq protocol.Seq, line []byte, sampled bool) {
	received := entry{op: "recv", phase: "ok", user: u.id, session: u.session.Load(), room: p.room, seq: seq}
	n, digits := scanNumber(scanText(line, cidMember))
	index, ours := u.r.indexOf(scanText(line, userMember))
	if digits > 0 && ours {
		received.cid = n
	}
	u.r.history.add(received)
	if !sampled || received.cid == 0 {
		return
	}
	if sent, ok := scanStamp(line); ok {
		u.r.delivered(u.index, index, time.Since(u.r.begin)-time.Duration(sent)*time.Microsecond)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seen) < sightings {
		u.seen = append(u.seen, sighting{p.room, seq, message(index, n)})
	}
}

// sightings bounds how many events each user keeps for comparison.
const sightings = 2000

// other takes what is neither an event in the usual order nor a reply with a result.
func (u *user) other(line []byte) error {
	f, err := protocol.ParseFrame(line)
	if err != nil {
		return err
	}
	switch {
	case f.Error != nil:
		if f.ID < receiptIDs {
			u.refused(f.ID, f.Error)
		}
	case f.Seq > 0:
		u.event([]byte(f.Room), f.Seq, line)
	case f.Event == protocol.SignalRoomAdded:
		u.place(f.Room)
	case f.Event == protocol.SignalRoomRemoved:
		u.tally.removed.Add(1)
	case f.Event == protocol.SignalReset:
		var data protocol.ResetData
		if err := json.Unmarshal(f.Data, &data); err != nil {
			return err
		}
		u.reset(u.place(f.Room), data.Head)
	}
	return nil
}

// reset goes on behind the head.
func (u *user) reset(p *place, head protocol.Seq) {
	u.tally.resets.Add(1)
	u.r.history.add(entry{op: "reset", phase: "ok", user: u.id, session: u.session.Load(), room: p.room, seq: head})
	if next := p.next.Load(); next > 0 && head+1 > next {
		p.reset += head + 1 - next
	}
	p.next.Store(head + 1)
}

// send sends the user's next message to a room.
func (u *user) send(to *room) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.made++
	f := flight{n: u.made, room: to, at: time.Now()}
	u.flying = append(u.flying, f)
	u.r.history.add(entry{op: "send", phase: "invoke", user: u.id, session: u.session.Load(), room: to.id, cid: f.n})
	u.buf = u.appendFlight(u.buf[:0], f)
	u.link.Write(u.buf) // without a session it waits for the next
}

func (u *user) appendFlight(b []byte, f flight) []byte {
	return appendSend(b, f.n, f.room.id, uint64(f.at.Sub(u.r.begin).Microseconds()), u.r.filler)
}

// resend sends everything again that was not answered, in order.
func (u *user) resend() {
	u.mu.Lock()
	defer u.mu.Unlock()
	var b []byte
	for _, f := range u.flying {
		if len(b) > protocol.MaxFrameBytes/2 {
			u.link.Write(b)
			b = b[:0]
		}
		b = append(u.appendFlight(b, f), '\n')
	}
	if len(b) > 0 {
		u.link.Write(b)
	}
}

// again sends one message again, if it is still not answered.
func (u *user) again(n uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.flying {
		if f.n == n {
			u.buf = u.appendFlight(u.buf[:0], f)
			u.link.Write(u.buf)
		}
	}
}

// landed takes a message off the list of those that are not answered.
func (u *user) landed(n uint64) (f flight, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.flying, func(f flight) bool { return f.n == n })
	if i < 0 {
		return f, false // answered before: it was sent twice
	}
	f = u.flying[i]
	u.flying = slices.Delete(u.flying, i, i+1)
	return f, true
}

// answered takes the acknowledgement of a message.
func (u *user) answered(n uint64, seq protocol.Seq) {
	f, ok := u.landed(n)
	if !ok {
		return
	}
	u.r.ack.add(u.index, time.Since(f.at))
	u.r.history.add(entry{op: "send", phase: "ok", user: u.id, session: u.session.Load(), room: f.room.id, cid: n, seq: seq})
	f.room.acknowledged(seq, message(u.index, n))
	u.r.count.acked.Add(1)
	u.r.more()
}

// refused takes the refusal of a message: for now, or for good.
func (u *user) refused(n uint64, e *protocol.Error) {
	switch e.Code {
	case protocol.RateLimited, protocol.Unavailable:
		u.r.later(u, n, e)
	case protocol.Unauthenticated: // the session ends, and the next sends it again
	default:
		if f, ok := u.landed(n); ok {
			u.r.history.add(entry{op: "send", phase: "fail", user: u.id, session: u.session.Load(), room: f.room.id, cid: n})
			u.r.refusedForGood(e)
		}
	}
}

// report moves the cursors as an SDK does: delivered of every room in which something has come, read of one of them, which is the one on the screen.
func (u *user) report() {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := append(u.buf[:0], `{"id":`...)
	u.lastID++
	b = strconv.AppendUint(b, receiptIDs+u.lastID, 10)
	b = append(b, `,"method":"receipt.delivered","params":{"cursors":{`...)
	var read *place
	for _, p := range u.places {
		got := p.next.Load()
		if got <= 1 || got-1 <= p.told {
			continue
		}
		if read != nil {
			b = append(b, ',')
		}
		read = p
		p.told = got - 1
		b = append(append(append(b, '"'), p.room...), `":`...)
		b = strconv.AppendUint(b, p.told, 10)
	}
	if read == nil {
		return
	}
	b = append(b, "}}}\n{\"id\":"...)
	u.lastID++
	b = strconv.AppendUint(b, receiptIDs+u.lastID, 10)
	b = append(append(append(b, `,"method":"receipt.read","params":{"room":"`...), read.room...), `","seq":`...)
	b = append(strconv.AppendUint(b, read.told, 10), "}}"...)
	u.buf = b
	u.link.Write(b)
}

// waiting is how many messages are not answered.
func (u *user) waiting() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.flying)
}
