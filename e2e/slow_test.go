package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slowness is how much is done to a slow member.
type slowness struct {
	messages int
	stopped  time.Duration // for which the slow member reads nothing, while the messages come evenly
}

const (
	wordBytes     = 4 << 10   // of each message: more in all than sockets and the session's queue take
	allGrowth     = 128 << 20 // what the server may grow by: caches that have a bound, and what they make of garbage
	slowGrowth    = 32 << 20  // more of it than without a slow member
	slowQueue     = 1 << 20   // what may wait in it to be written: the bound of a session's queue is a quarter of that
	fastReaders   = 8
	slowReceiving = 4 << 10 // the slow member's receive buffer, of which the system makes a few KiB
)

// TestSlowReader has one member stop reading while its room is busy. The others must not notice, the server must not keep what is not read, and when the
// slow one reads again it gets everything, or one reset, and then what happens (promise 4).
func TestSlowReader(t *testing.T) {
	if !long() {
		t.Parallel() // the long form measures
	}
	amount := slowness{1500, 5 * time.Second}
	if long() {
		amount = slowness{5000, time.Minute}
	}
	// With heartbeats this rare nobody is taken for dead: that is another test.
	flags := append([]string{"--heartbeat=2m"}, unlimited...)
	if !long() {
		cost := runSlow(t, start(t, flags...), amount, true)
		t.Logf("p99 of a delivery beside a slow reader: %v", cost.p99)
		return
	}
	brisk := slowness{amount.messages, amount.stopped / 4}
	var p99s []time.Duration
	var grown int64
	for range 3 {
		cost := runSlow(t, start(t, flags...), brisk, false)
		p99s, grown = append(p99s, cost.p99), max(grown, cost.grown)
	}
	slices.Sort(p99s)
	cost := runSlow(t, start(t, flags...), brisk, true)
	t.Logf("p99 of a delivery: %v beside a slow reader, %v without one (median of %v)", cost.p99, p99s[1], p99s)
	if limit := 2*p99s[1] + 5*time.Millisecond; cost.p99 > limit {
		t.Errorf("a slow reader slows the others: p99 is %v, over %v", cost.p99, limit)
	}
	if limit := grown + slowGrowth; cost.grown > limit {
		t.Errorf("a slow reader makes the server grow by %d MiB, over %d", cost.grown>>20, limit>>20)
	}
	runSlow(t, start(t, flags...), amount, true)
}

// slowCost is what a run has cost: the 99th percentile of the time from sending to arrival for those who read, and what the server has grown by.
type slowCost struct {
	p99   time.Duration
	grown int64
}

// runSlow sends the messages, beside a slow member or without one.
func runSlow(t *testing.T, s *server, amount slowness, slow bool) slowCost {
	t.Helper()
	users := []string{"writer", "slow"}
	for i := range fastReaders {
		users = append(users, fmt.Sprint("fast", i))
	}
	room := s.backend().newRoom("group", users...)
	writer := s.connect("writer", object{"rooms": "none"})
	var fast []*client
	for _, u := range users[2:] {
		fast = append(fast, s.connect(u, nil))
	}
	var sleeper *rawConn
	if slow {
		sleeper = s.rawDial(slowReceiving)
		sleeper.upgrade(s.addr)
		sleeper.hello(s.token("slow"), "slow")
		_ = sleeper.SetDeadline(time.Now().Add(amount.stopped + 2*patience))
	}
	before, most, queued := s.rss(), int64(0), 0.0
	word := strings.Repeat("w", wordBytes)
	pace := time.NewTicker(amount.stopped / time.Duration(amount.messages)) // the time for which the slow one reads nothing must pass
	defer pace.Stop()
	began, replies := time.Now(), make([]<-chan frame, amount.messages)
	for i := range replies {
		<-pace.C
		params := object{"room": room, "client_id": fmt.Sprint(i), "text": fmt.Sprint(time.Now().UnixNano(), " ", word)}
		var err error
		if replies[i], err = writer.begin("message.send", params); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			most, queued = max(most, s.rss()-before), max(queued, s.metrics()["parley_queue_bytes"])
		}
	}
	var last uint64
	for _, reply := range replies {
		result, err := await(reply)
		if err != nil {
			t.Fatal(err)
		}
		last = uint64(result["seq"].(float64))
	}
	t.Logf("%d messages of %d bytes in %v: the server has grown by %.1f MiB, up to %.0f KiB waited to be written (slow reader: %v)",
		amount.messages, wordBytes, time.Since(began).Round(time.Millisecond), float64(most)/(1<<20), queued/(1<<10), slow)
	if slow && s.metrics()["parley_offers_refused_total"] == 0 {
		t.Error("nothing was ever kept from the slow member: this tested nothing")
	}
	if queued > slowQueue {
		t.Errorf("%.0f KiB waited to be written, over %d", queued/(1<<10), slowQueue>>10)
	}
	if most > allGrowth {
		t.Errorf("the server has grown by %d MiB, over %d", most>>20, int64(allGrowth)>>20)
	}
	var delays []time.Duration
	for _, c := range fast {
		c.expect("the last message", event(room, last))
		delays = append(delays, c.delays(room)...)
	}
	if slow {
		last = writer.send(room, "after", "the slow one reads again")
		wakeUp(t, sleeper, room, last)
	}
	slices.Sort(delays)
	return slowCost{delays[len(delays)*99/100], most}
}

// delays are how long the messages of a room took from sending to arrival here.
func (c *client) delays(room string) (list []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.pushes {
		if f.Room != room {
			continue
		}
		text, _ := f.data()["text"].(string)
		stamp, _, _ := strings.Cut(text, " ")
		if sent, err := strconv.ParseInt(stamp, 10, 64); err == nil {
			list = append(list, f.came.Sub(time.Unix(0, sent)))
		}
	}
	return list
}

// wakeUp reads everything that has waited for the slow member: the room's events from the first message on, with at most one reset between them.
func wakeUp(t *testing.T, c *rawConn, room string, last uint64) {
	t.Helper()
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = setReceiveBuffer(raw, 1<<20) // it is not slow any more
	}
	if err != nil {
		t.Fatal(err)
	}
	next, resets := uint64(2), 0
	for next <= last {
		op, payload, err := c.message()
		if err != nil || op != opText {
			t.Fatalf("the slow member waits for seq %d of %d, and gets a frame of kind %d: %q, %v", next, last, op, payload, err)
		}
		for line := range bytes.Lines(payload) {
			var f frame
			if err := json.Unmarshal(line, &f); err != nil {
				t.Fatalf("not a frame: %q", line)
			}
			switch {
			case f.Event == "reset" && resets == 0:
				resets++
				head := uint64(f.data()["head"].(float64))
				t.Logf("the slow member got the messages up to %d, and then a reset to %d", next-1, head)
				if head < next {
					t.Fatalf("a reset to %d, when %d had come", head, next-1)
				}
				next = head + 1
			case f.Room == room && f.Seq == next:
				next++
			case f.Event != "":
				t.Fatalf("the slow member waits for seq %d, and gets %s", next, line)
			}
		}
	}
}

// rss is the memory that the server's process holds, in bytes.
func (s *server) rss() int64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}
