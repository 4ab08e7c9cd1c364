package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hotRoom is a room that is written to all the time, and what is known of it.
type hotRoom struct {
	t       *testing.T
	id      string
	epoch   string
	replay  uint64        // limits.replay
	sent    atomic.Uint64 // the highest seq that was answered
	written atomic.Uint64 // messages sent
	stop    chan struct{}
	writers sync.WaitGroup

	mu   sync.Mutex
	seen map[uint64]uint64 // the hash of the frame of each seq: all who see it see the same
}

// heat makes a room with a past of several replays, and starts its writers.
func heat(t *testing.T, nodes []*server, replay uint64, readers ...string) *hotRoom {
	t.Helper()
	h := &hotRoom{t: t, replay: replay, stop: make(chan struct{}), seen: map[uint64]uint64{}}
	names := []string{"writer0", "writer1", "writer2"}
	h.id = nodes[0].backend().newRoom("group", append(names, readers...)...)
	for i, name := range names {
		c := nodes[i%len(nodes)].connect(name, object{"rooms": "none"})
		h.epoch = c.hello["epoch"].(string)
		var past []<-chan frame
		for j := range int(replay) {
			reply, err := c.begin("message.send", h.message("past", name, j))
			if err != nil {
				t.Fatal(err)
			}
			past = append(past, reply)
		}
		for _, reply := range past {
			h.answered(await(reply))
		}
		h.writers.Go(func() { h.write(c, name) })
	}
	t.Cleanup(h.writers.Wait)
	t.Cleanup(func() { close(h.stop) })
	return h
}

func (h *hotRoom) message(when, who string, i int) object {
	return object{"room": h.id, "client_id": fmt.Sprint(when, who, i), "text": fmt.Sprint(when, " ", who, " says ", i)}
}

// write sends messages, some of them at once, until the room is left alone.
func (h *hotRoom) write(c *client, name string) {
	flying := make(chan (<-chan frame), 8)
	defer close(flying)
	h.writers.Go(func() {
		for reply := range flying {
			h.answered(await(reply))
			h.written.Add(1)
		}
	})
	for i := 0; ; i++ {
		reply, err := c.begin("message.send", h.message("now", name, i))
		if err != nil {
			h.t.Errorf("a writer: %v", err)
			return
		}
		select {
		case <-h.stop:
			return
		case flying <- reply:
		}
	}
}

func (h *hotRoom) answered(result object, err error) {
	if err != nil {
		h.t.Errorf("a writer: %v", err)
		return
	}
	seq := uint64(result["seq"].(float64))
	for {
		highest := h.sent.Load()
		if seq <= highest || h.sent.CompareAndSwap(highest, seq) {
			return
		}
	}
}

// same checks that everybody gets the same bytes at a seq.
func (h *hotRoom) same(seq uint64, line []byte, seed maphash.Seed) error {
	sum := maphash.Bytes(seed, bytes.TrimSpace(line))
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, ok := h.seen[seq]; ok && before != sum {
		return fmt.Errorf("seq %d has come with other bytes before than %s", seq, line)
	}
	h.seen[seq] = sum
	return nil
}

// asked is what a session says when it comes back.
type asked struct {
	epoch    string
	position uint64
	stranger string // another room, which is not there
}

// draw is a position to come back with, mostly where the reader was cut off.
func (h *hotRoom) draw(last uint64) asked {
	head := h.sent.Load()
	a := asked{epoch: h.epoch, position: last}
	switch rand.IntN(12) {
	case 0:
		a.position = head - rand.Uint64N(2*h.replay)
	case 1:
		a.position = head - rand.Uint64N(3)
	case 2:
		a.position = head - h.replay - rand.Uint64N(20) + 10
	case 3:
		a.position = 0
	case 4:
		a.position = head + 1_000_000
	case 5:
		a.epoch = "another"
	case 6:
		a.stranger = "r_nobodyknowsthisroom"
	}
	return a
}

// outcome counts what became of the resumes.
type outcome struct{ events, live, resets, cutEarly int }

func (o *outcome) add(other outcome) {
	o.events += other.events
	o.live += other.live
	o.resets += other.resets
	o.cutEarly += other.cutEarly
}

// TestResume reconnects with positions of all kinds while the room is written to, and cuts each connection at a random byte: what comes is exactly what was
// missed and then what happens, or one reset and then what happens (promises 4 and 5).
func TestResume(t *testing.T) {
	t.Parallel()
	resumes, replay := 500, uint64(300)
	if long() {
		resumes = 10_000
	}
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t, "--limits-replay="+fmt.Sprint(replay))
			readers := []string{"reader0", "reader1", "reader2", "reader3"}
			h := heat(t, nodes, replay, readers...)
			seed := maphash.MakeSeed()
			var (
				all outcome
				mu  sync.Mutex
				wg  sync.WaitGroup
			)
			began := time.Now()
			for _, reader := range readers {
				token := nodes[0].token(reader)
				wg.Go(func() {
					o, last := outcome{}, uint64(0)
					for range resumes / len(readers) {
						node := nodes[rand.IntN(len(nodes))]
						r := &resumed{hotRoom: h, ask: h.draw(last), known: h.sent.Load(), seed: seed, cut: cutAt()}
						if err := r.run(node, token); err != nil {
							t.Errorf("%s came back with %+v (head at least %d): %v", reader, r.ask, r.known, err)
							return
						}
						o.add(r.outcome)
						if r.next > 0 {
							last = r.next - 1
						}
					}
					mu.Lock()
					all.add(o)
					mu.Unlock()
				})
			}
			wg.Wait()
			t.Logf("%d resumes in %v while %d messages were written: %d events came, %d of them newer than the resume, %d resets; %d were cut before anything came",
				resumes, time.Since(began).Round(time.Millisecond), h.written.Load(), all.events, all.live, all.resets, all.cutEarly)
			if all.live == 0 || all.resets == 0 {
				t.Error("no resume has crossed the seam, or none was reset: this tested nothing")
			}
		})
	}
}

// resumed is one reconnection, from the handshake to the cut.
type resumed struct {
	*hotRoom
	ask   asked
	known uint64 // the head was not below this when the session was opened
	seed  maphash.Seed
	cut   int64 // after how many bytes
	outcome

	opened bool   // hello was answered
	next   uint64 // the seq that must come next; 0: not known yet
	gone   bool   // room.removed has come for the stranger
}

// helloBytes are enough for the answers to the handshake and to hello.
const helloBytes = 1000

// cutAt is after how many bytes a connection is cut: within the handshake, the replay, or what is live.
func cutAt() int64 {
	switch rand.IntN(5) {
	case 0:
		return rand.Int64N(helloBytes)
	case 1:
		return rand.Int64N(100_000)
	}
	return rand.Int64N(20_000)
}

// device is the one that comes back. Those who are cut before their hello is answered have another: the server may read such a hello after that of the next
// connection, and would take it for the newer one.
func (r *resumed) device() string {
	if r.cut < helloBytes {
		return "hasty"
	}
	return "steady"
}

// run says everything at once, handshake and hello, reads so many bytes, and goes away without a word.
func (r *resumed) run(s *server, token string) error {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	rooms := object{r.id: r.ask.position}
	if r.ask.stranger != "" {
		rooms[r.ask.stranger] = 5
	}
	hello := helloFrame(token, r.device(), object{"epoch": r.ask.epoch, "rooms": rooms})
	if _, err := conn.Write(append([]byte(handshake(s.addr)), masked(fin|opText, []byte(hello))...)); err != nil {
		return err
	}
	raw := &rawConn{Conn: conn, in: bufio.NewReaderSize(io.LimitReader(conn, r.cut), 32<<10)}
	err = raw.upgraded()
	for err == nil {
		var (
			op      byte
			payload []byte
		)
		if op, payload, err = raw.message(); err != nil {
			break
		}
		if op != opText {
			return fmt.Errorf("a frame of kind %d: %q", op, payload)
		}
		for line := range bytes.Lines(payload) {
			if err := r.take(line); errors.Is(err, errReplaced) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if r.events == 0 && r.resets == 0 {
		r.cutEarly++
	}
	if rand.IntN(2) == 0 {
		return conn.(*net.TCPConn).SetLinger(0) // with a reset
	}
	return nil
}

// errReplaced is the end of a hasty connection by one before it.
var errReplaced = errors.New("replaced")

// take checks one frame.
func (r *resumed) take(line []byte) error {
	var f frame
	if err := json.Unmarshal(line, &f); err != nil {
		return fmt.Errorf("not a frame: %q", line)
	}
	switch {
	case f.Event == "closing" && r.device() == "hasty":
		return errReplaced
	case !r.opened:
		if f.ID != 1 || f.Error != nil {
			return fmt.Errorf("the first frame is %s", line)
		}
		r.opened = true
	case f.Room == r.id && f.Seq != 0:
		return r.event(f.Seq, line)
	case f.Room == r.id && f.Event == "reset":
		return r.reset(uint64(f.data()["head"].(float64)))
	case f.Room != "" && f.Room == r.ask.stranger && f.Event == "room.removed" && f.data()["reason"] == "gone" && !r.gone:
		r.gone = true
	case f.Event != "" && f.Event != "receipt":
		return fmt.Errorf("nobody asked for %s", line)
	}
	return nil
}

func (r *resumed) event(seq uint64, line []byte) error {
	if r.next == 0 {
		switch missed := r.known - r.ask.position; {
		case r.ask.epoch != r.epoch, r.ask.position > r.known+r.replay:
			return fmt.Errorf("a position that is none is answered with seq %d, not a reset", seq)
		case r.ask.position <= r.known && missed > r.replay:
			return fmt.Errorf("%d events were missed, more than are replayed, and seq %d comes, not a reset", missed, seq)
		}
		r.next = r.ask.position + 1
	}
	if seq != r.next {
		return fmt.Errorf("seq %d comes, and not %d (%d events before, %d resets)", seq, r.next, r.events, r.resets)
	}
	r.next++
	r.events++
	if seq > r.known {
		r.live++
	}
	return r.same(seq, line, r.seed)
}

func (r *resumed) reset(head uint64) error {
	switch {
	case r.next != 0:
		return fmt.Errorf("a reset to %d comes in the middle, when seq %d was next", head, r.next)
	case head < r.known:
		return fmt.Errorf("a reset to %d, and the head was %d already", head, r.known)
	case r.ask.epoch == r.epoch && r.ask.position <= head && head-r.ask.position <= r.replay:
		return fmt.Errorf("a reset to %d, though no more than %d events were missed", head, head-r.ask.position)
	}
	r.next = head + 1
	r.resets++
	return nil
}

// oddCase is a resume in a room that is quiet.
type oddCase struct {
	name     string
	messages int  // that the room holds, besides its room.created
	strange  bool // to the one who comes back
	resume   func(epoch, room string, head uint64) object
	want     func(head uint64) []string // what comes before what is live; "gone": nothing does
}

const oddReplay = 10

// oddCases are those that §3 names.
func oddCases() []oddCase {
	at := func(position func(head uint64) uint64) func(epoch, room string, head uint64) object {
		return func(epoch, room string, head uint64) object {
			return object{"epoch": epoch, "rooms": object{room: position(head)}}
		}
	}
	back := func(n uint64) func(uint64) uint64 { return func(head uint64) uint64 { return head - n } }
	fixed := func(n uint64) func(uint64) uint64 { return func(uint64) uint64 { return n } }
	missed := func(n uint64) func(uint64) []string {
		return func(head uint64) (list []string) {
			for seq := head - n + 1; seq <= head; seq++ {
				list = append(list, fmt.Sprint(seq))
			}
			return list
		}
	}
	reset := func(head uint64) []string { return []string{fmt.Sprint("reset ", head)} }
	gone := func(uint64) []string { return []string{"gone"} }
	return []oddCase{
		{"at the head", 40, false, at(back(0)), missed(0)},
		{"one behind", 40, false, at(back(1)), missed(1)},
		{"as far behind as is replayed", 40, false, at(back(oddReplay)), missed(oddReplay)},
		{"one further", 40, false, at(back(oddReplay + 1)), reset},
		{"from the beginning", 40, false, at(fixed(0)), reset},
		{"from the beginning of a short log", 4, false, at(fixed(0)), missed(5)},
		{"above the head", 40, false, func(epoch, room string, head uint64) object {
			return object{"epoch": epoch, "rooms": object{room: head + 1}}
		}, reset},
		{"far above the head", 40, false, at(fixed(1 << 62)), reset},
		{"of another epoch", 40, false, func(_, room string, head uint64) object {
			return object{"epoch": "another", "rooms": object{room: head}}
		}, reset},
		{"of no epoch", 40, false, func(_, room string, head uint64) object { return object{"rooms": object{room: head}} }, reset},
		{"a room of others", 4, true, at(fixed(1)), gone},
		{"a room of others, from the beginning", 4, true, at(fixed(0)), gone},
		{"a room of others, of another epoch", 4, true, func(_, room string, head uint64) object {
			return object{"epoch": "another", "rooms": object{room: head}}
		}, gone},
	}
}

// TestResumeOddCases goes through the odd cases of §3, for a session that follows all its rooms and for one that follows only what it names.
func TestResumeOddCases(t *testing.T) {
	t.Parallel()
	s := start(t, append([]string{fmt.Sprint("--limits-replay=", oddReplay)}, unlimited...)...)
	b := s.backend()
	b.call("user.update", object{"user": "bob"})
	alice := s.connect("alice", nil)
	epoch := alice.hello["epoch"].(string)
	for i, c := range oddCases() {
		for _, follows := range []string{"all", "none"} {
			t.Run(c.name+", rooms "+follows, func(t *testing.T) {
				members := []string{"bob"}
				if c.strange {
					members = nil
				}
				room := alice.call("room.create", object{"kind": "group", "members": members})["room"].(object)["id"].(string)
				head := uint64(1)
				for i := range c.messages {
					head = alice.send(room, fmt.Sprint(i), "a word")
				}
				device := object{"device": fmt.Sprint(follows, i), "rooms": follows, "resume": c.resume(epoch, room, head)}
				bob := s.connect("bob", device)
				want := c.want(head)
				if c.strange {
					bob.expect("room.removed", signal("room.removed", room))
					// A removal is told once, and nothing comes behind it.
					alice.send(room, "live", "a word")
					bob.call("user.get", object{"users": []string{"bob"}})
				} else {
					if len(want) > 0 && strings.HasPrefix(want[0], "reset") {
						bob.expect("reset", signal("reset", room)) // what is sent before it, it may name as left out
					}
					head = alice.send(room, "live", "a word")
					bob.expect("what is live", event(room, head))
					want = append(want, fmt.Sprint(head))
				}
				if got := bob.told(room); !slices.Equal(got, want) {
					t.Errorf("with its head at %d came %v, not %v", head, got, want)
				}
			})
		}
	}
}

// told is what has come about a room: seqs, resets and whether it is gone.
func (c *client) told(room string) (list []string) {
	frames, _ := c.about(room, 0)
	for _, f := range frames {
		switch {
		case f.Seq != 0:
			list = append(list, fmt.Sprint(f.Seq))
		case f.Event == "reset":
			list = append(list, fmt.Sprint("reset ", uint64(f.data()["head"].(float64))))
		case f.Event == "room.removed":
			list = append(list, fmt.Sprint(f.data()["reason"]))
		default:
			list = append(list, f.Event)
		}
	}
	return list
}

// TestResumeManyRooms comes back with a thousand rooms, and is refused with one more.
func TestResumeManyRooms(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	room := s.backend().newRoom("group", "alice")
	rooms := object{room: 0}
	for i := len(rooms); i < 1000; i++ {
		rooms[fmt.Sprint("r_none", i)] = i
	}
	alice := s.connect("alice", object{"resume": object{"epoch": "another", "rooms": rooms}})
	for i := range 999 {
		alice.expect("room.removed", signal("room.removed", fmt.Sprint("r_none", i+1)))
	}
	alice.expect("the reset", signal("reset", room))
	rooms["r_one_more"] = 1
	_, err := s.dial("alice", s.token("alice"), object{"resume": object{"epoch": "another", "rooms": rooms}})
	refused(t, "too_large", "resume")(nil, err)
}
