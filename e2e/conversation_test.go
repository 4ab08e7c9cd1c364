package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// A conversation goes on while nodes die under it: writers send each message until it is acknowledged, readers follow every room and come back with their
// positions. What everybody saw is held against the logs in the end.
type conversation struct {
	t       *testing.T
	nodes   []*server
	backend *backend
	rooms   []string
	tokens  map[string]string
	quiet   chan struct{} // closed: nobody writes any more
	stop    chan struct{} // closed: nobody listens any more
	talking sync.WaitGroup
	hearing sync.WaitGroup
	readers []*follower

	mu    sync.Mutex
	acked map[epochSeq]ack
	seen  map[epochSeq]string // what readers were told
	wrong []error
	lost  []sent // after end: what was acknowledged in an epoch that is over, and is not there now
}

// epochSeq is a seq of a room in the life of a store.
type epochSeq struct {
	epoch any
	roomSeq
}

// sent is a message.
type sent struct{ room, clientID string }

// roomSeq is a seq of a room.
type roomSeq struct {
	room string
	seq  uint64
}

// ack is an answer to message.send.
type ack struct {
	clientID string
	at       time.Time
}

const (
	writers   = 4
	hot       = 24 // rooms in which there is always something new; in the others there seldom is
	maxWrong  = 20
	lateAfter = 10 * time.Second // promised are 3 s; the machine may be busy with other things
)

// converse begins a conversation in so many rooms.
func converse(t *testing.T, nodes []*server, rooms int) *conversation {
	t.Helper()
	c := &conversation{t: t, nodes: nodes, quiet: make(chan struct{}), stop: make(chan struct{}), tokens: map[string]string{}, acked: map[epochSeq]ack{}, seen: map[epochSeq]string{}}
	var names []string
	for i := range writers {
		names = append(names, fmt.Sprint("writer", i))
	}
	for i := range max(2, len(nodes)) {
		c.readers = append(c.readers, &follower{
			c: c, user: fmt.Sprint("reader", i), node: nodes[i%len(nodes)],
			position: map[string]uint64{}, came: map[roomSeq]arrived{},
		})
		names = append(names, c.readers[i].user)
	}
	c.backend = nodes[0].backend()
	for range rooms {
		room := c.backend.newRoom("group", names...)
		c.rooms = append(c.rooms, room)
		for _, r := range c.readers {
			r.position[room] = 1 // its room.created
		}
	}
	for _, name := range append(names, "comer") {
		c.tokens[name] = nodes[0].token(name)
	}
	for _, r := range c.readers {
		r.epoch = nodes[0].connect(r.user, nil).hello["epoch"]
		c.hearing.Go(r.listen)
	}
	for i := range writers {
		c.talking.Go(func() { c.write(names[i], i) })
	}
	c.talking.Go(c.comeAndGo)
	t.Cleanup(c.leave)
	return c
}

// hush ends the writing.
func (c *conversation) hush() {
	if !c.over() {
		close(c.quiet)
	}
	c.talking.Wait()
}

// leave ends what the people do.
func (c *conversation) leave() {
	c.hush()
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.hearing.Wait()
}

func (c *conversation) over() bool {
	select {
	case <-c.quiet:
		return true
	default:
		return false
	}
}

// pause is short, and ends early when the writing does.
func (c *conversation) pause(d time.Duration) {
	select {
	case <-c.quiet:
	case <-time.After(d):
	}
}

// note takes note of what is wrong.
func (c *conversation) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && len(c.wrong) < maxWrong {
		c.wrong = append(c.wrong, err)
	}
}

// count is how many messages were acknowledged.
func (c *conversation) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// write sends messages, each until it is acknowledged, at the first node whenever that is there.
func (c *conversation) write(name string, slowness int) {
	w := &writer{c: c, name: name}
	defer w.hangUp()
	for i := 0; !c.over(); i++ {
		room := c.rooms[rand.IntN(min(hot, len(c.rooms)))]
		if len(c.rooms) > hot && i%4 == 0 { // the next message of such a room is far away, and so does not help this one
			room = c.rooms[hot+(i/4+97*slowness)%(len(c.rooms)-hot)]
		}
		w.send(room, fmt.Sprint(name, "_", i))
		c.pause(time.Duration(5+rand.IntN(5+5*slowness)) * time.Millisecond)
	}
}

// writer is one who writes, at one node or another.
type writer struct {
	c     *conversation
	name  string
	conn  *client // nil: none
	since time.Time
	at    int // index of the node
}

func (w *writer) hangUp() {
	if w.conn != nil {
		w.conn.cut()
		w.conn = nil
	}
}

// session is a session at a node that lives; nil when there was none just now.
func (w *writer) session() *client {
	if w.conn != nil && (w.at == 0 || time.Since(w.since) < 300*time.Millisecond) {
		return w.conn
	}
	w.hangUp()
	for i, node := range w.c.nodes {
		conn, err := node.dial(w.name, w.c.tokens[w.name], object{"rooms": "none"})
		if err == nil {
			w.conn, w.at, w.since = conn, i, time.Now()
			return conn
		}
		w.c.mayFail("hello", err)
	}
	return nil
}

// mayFail takes note of errors that no fault excuses.
func (c *conversation) mayFail(what string, err error) {
	if e := asWireError(err); e != nil && e.Code != "unavailable" {
		c.note(fmt.Errorf("%s is refused: %w", what, err))
	}
}

// send sends one message until it is acknowledged, or until the conversation ends. Then it reports that it was read.
func (w *writer) send(room, clientID string) {
	for {
		if conn := w.session(); conn != nil {
			result, err := conn.try("message.send", object{"room": room, "client_id": clientID, "text": "this is " + clientID})
			if err == nil {
				seq := uint64(result["seq"].(float64))
				w.c.answered(epochSeq{conn.hello["epoch"], roomSeq{room, seq}}, clientID)
				_, err := conn.try("receipt.read", object{"room": room, "seq": seq})
				w.c.mayFail("receipt.read", err)
				return
			}
			w.c.mayFail("message.send", err)
			if asWireError(err) == nil {
				w.hangUp()
			}
		}
		if w.c.over() {
			return
		}
		w.c.pause(10 * time.Millisecond)
	}
}

func (c *conversation) answered(at epochSeq, clientID string) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, twice := c.acked[at]; twice && before.clientID != clientID {
		c.wrong = append(c.wrong, fmt.Errorf("%v was the answer to %s and to %s: one of them is lost", at, before.clientID, clientID))
	}
	c.acked[at] = ack{clientID, now}
}

// comeAndGo opens sessions at the first node.
func (c *conversation) comeAndGo() {
	for !c.over() {
		conn, err := c.nodes[0].dial("comer", c.tokens["comer"], nil)
		c.mayFail("hello", err)
		if err == nil {
			conn.cut()
		}
		c.pause(20 * time.Millisecond)
	}
}

// follower is a reader: always at one node, or on its way back to it.
type follower struct {
	c    *conversation
	user string
	node *server

	mu       sync.Mutex
	epoch    any
	position map[string]uint64
	renewed  map[string]bool // rooms that were told a reset in this epoch, if it is not the first; nil: it is
	came     map[roomSeq]arrived
	sessions int
}

// arrived is when a message came, in a session that was open since.
type arrived struct {
	clientID  string
	at, since time.Time
}

// listen follows all rooms, from one session to the next.
func (l *follower) listen() {
	for {
		conn, err := l.node.dial(l.user, l.c.tokens[l.user], object{"resume": object{"epoch": l.epoch, "rooms": l.position}})
		if err == nil {
			l.sessions++
			l.greeted(conn.hello["epoch"])
			l.follow(conn)
			conn.cut()
		}
		l.c.mayFail("hello", err)
		select {
		case <-l.c.stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// greeted takes note of the epoch of a session: in a new one every room is reset, and nothing comes before that.
func (l *follower) greeted(epoch any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		l.epoch, l.renewed, l.came = epoch, map[string]bool{}, map[roomSeq]arrived{}
	}
}

// follow takes what a session is pushed until it ends.
func (l *follower) follow(conn *client) {
	since := time.Now()
	for next := 0; ; {
		conn.mu.Lock()
		pushes, more := conn.pushes[next:], conn.more
		conn.mu.Unlock()
		l.mu.Lock()
		for _, f := range pushes {
			l.take(f, since)
		}
		l.mu.Unlock()
		next += len(pushes)
		if more == nil {
			return
		}
		if len(pushes) > 0 {
			continue
		}
		select {
		case <-more:
		case <-l.c.stop:
			return
		}
	}
}

// take checks one push; mu is held.
func (l *follower) take(f frame, since time.Time) {
	at, followed := l.position[f.Room]
	switch {
	case !followed:
	case f.Event == "reset" && l.renewed != nil && !l.renewed[f.Room]:
		l.renewed[f.Room] = true
		l.position[f.Room] = uint64(f.data()["head"].(float64))
	case f.Event == "reset" || f.Event == "room.removed" || f.Event == "room.added":
		l.c.note(fmt.Errorf("%s was told %s of a room that it follows at seq %d", l.user, f.Event, at))
	case f.Seq == 0:
	case l.renewed != nil && !l.renewed[f.Room]:
		l.c.note(fmt.Errorf("%s got seq %d in a new epoch, and no reset before", l.user, f.Seq))
	case f.Seq != at+1:
		l.c.note(fmt.Errorf("%s got seq %d after seq %d", l.user, f.Seq, at))
		l.position[f.Room] = f.Seq
	default:
		l.position[f.Room] = f.Seq
		id, _ := f.data()["client_id"].(string)
		l.came[roomSeq{f.Room, f.Seq}] = arrived{id, f.came, since}
		l.c.told(epochSeq{l.epoch, roomSeq{f.Room, f.Seq}}, id)
	}
}

// told holds what a reader was told against what others were.
func (c *conversation) told(at epochSeq, id string) {
	c.mu.Lock()
	before, known := c.seen[at]
	c.seen[at] = id
	c.mu.Unlock()
	if known && before != id {
		c.note(fmt.Errorf("at %v one reader was told %q and another %q", at, before, id))
	}
}

// has is whether the reader has come as far.
func (l *follower) has(heads map[string]uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for room, head := range heads {
		if l.position[room] < head || l.renewed != nil && !l.renewed[room] {
			return false
		}
	}
	return true
}

// slowest is how long the slowest acknowledged message took to one who was online.
func (l *follower) slowest() (d time.Duration) {
	for at, a := range l.c.acked {
		if got, ok := l.came[at.roomSeq]; ok && at.epoch == l.epoch {
			online := a.at
			if got.since.After(online) {
				online = got.since
			}
			d = max(d, got.at.Sub(online))
		}
	}
	return d
}

// log is what a node says the log of a room is: the client ids of its events.
func (c *conversation) log(b *backend, room string) (ids []string) {
	for {
		page := b.call("event.list", object{"room": room, "after": len(ids), "limit": 1000})
		for _, e := range page["events"].([]any) {
			event := e.(object)
			if event["seq"] != float64(len(ids)+1) {
				c.note(fmt.Errorf("in the log of %s seq %v stands after %d", room, event["seq"], len(ids)))
			}
			id, _ := event["data"].(object)["client_id"].(string)
			ids = append(ids, id)
		}
		if page["head"] == float64(len(ids)) {
			return ids
		}
	}
}

// end waits until everybody has got everything, and tells what is wrong.
func (c *conversation) end() error {
	c.t.Helper()
	c.hush()
	logs, heads := map[roomSeq]string{}, map[string]uint64{}
	for i, node := range c.nodes {
		b := c.backend.user("writer0")
		b.url = "http://" + node.addr
		for _, room := range c.rooms {
			stands := map[string]uint64{}
			for n, id := range c.log(b, room) {
				at := roomSeq{room, uint64(n + 1)}
				if before, twice := stands[id]; twice && id != "" {
					c.note(fmt.Errorf("%s stands at %v and at %d", id, at, before))
				}
				if i > 0 && logs[at] != id {
					c.note(fmt.Errorf("at %v one node has %q and the other %q", at, logs[at], id))
				}
				stands[id], logs[at], heads[room] = at.seq, id, at.seq
			}
		}
	}
	for _, r := range c.readers {
		c.note(soon(r.user+" has not got all that is in the logs", func() bool { return r.has(heads) }))
	}
	c.leave()
	for at, a := range c.acked {
		if logs[at.roomSeq] != a.clientID && at.epoch != c.readers[0].epoch {
			c.lost = append(c.lost, sent{at.room, a.clientID})
		} else if logs[at.roomSeq] != a.clientID {
			c.note(fmt.Errorf("%s was acknowledged as %v and is lost: there stands %q", a.clientID, at, logs[at.roomSeq]))
		}
	}
	for _, r := range c.readers {
		for at, got := range r.came {
			if logs[at] != got.clientID {
				c.note(fmt.Errorf("%s got %q at %v, where %q stands", r.user, got.clientID, at, logs[at]))
			}
		}
		if late := r.slowest(); late > lateAfter {
			c.note(fmt.Errorf("a message came to %s %v after it was acknowledged", r.user, late))
		}
	}
	return errors.Join(c.wrong...)
}

// summary is what was done; after end.
func (c *conversation) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d messages acknowledged in %d rooms", len(c.acked), len(c.rooms))
	for _, r := range c.readers {
		fmt.Fprintf(&b, "; %s got %d events in %d sessions, the slowest %v after its acknowledgement", r.user, len(r.came), r.sessions, r.slowest().Round(time.Millisecond))
	}
	return b.String()
}
