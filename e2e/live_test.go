package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// refusedWith checks the code of a refusal, and its scope where there is one.
func refusedWith(t *testing.T, what string, err error, code, scope string) {
	t.Helper()
	refusal := new(wireError)
	if !errors.As(err, &refusal) || refusal.Code != code || refusal.Scope != scope {
		t.Errorf("%s: %v, want %s %s", what, err, code, scope)
	}
}

// TestLiveRoomsAreOpen: whoever is not banned subscribes, reads and sends, without becoming a member (§4.2 "Live rooms").
func TestLiveRoomsAreOpen(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			near, far := nodes[0], nodes[len(nodes)-1]
			room := near.backend().newRoom("live", "alice")
			alice, bob, carol := near.connect("alice", nil), far.connect("bob", nil), near.connect("carol", nil)
			for _, watcher := range []*client{bob, carol} {
				if head := watcher.call("room.subscribe", object{"room": room})["head"].(float64); head != 1 {
					t.Errorf("%s subscribes at %v", watcher.user, head)
				}
			}
			seq := bob.send(room, "m1", "Hello all")
			for _, watcher := range []*client{bob, carol} {
				watcher.expect("a watcher's message", event(room, seq))
			}
			if got := alice.events(room); len(got) > 0 {
				t.Errorf("a member who has not subscribed was pushed %v", got)
			}
			list := carol.call("message.list", object{"room": room})["messages"].([]any)
			if len(list) != 1 || len(carol.call("event.list", object{"room": room, "after": 0})["events"].([]any)) != 2 {
				t.Errorf("carol reads %v", list)
			}
			if got := carol.call("room.get", object{"room": room}); got["me"] != nil || got["members_count"].(float64) != 1 {
				t.Errorf("room.get: %v", got)
			}
			for method, params := range map[string]object{
				"typing.start": {"room": room}, "receipt.read": {"room": room, "seq": seq}, "receipt.list": {"room": room}, "room.join": {"room": room},
				"receipt.delivered": {"cursors": object{room: seq}},
			} {
				_, err := carol.try(method, params)
				refusedWith(t, method, err, "bad_request", "")
			}

			set := func(settings object) uint64 {
				return uint64(alice.call("room.update", object{"room": room, "settings": settings})["seq"].(float64))
			}
			set(object{"post": "moderators"})
			_, err := bob.try("message.send", object{"room": room, "client_id": "m2", "text": "no"})
			refusedWith(t, "where only moderators post", err, "forbidden", "")
			set(object{"post": nil, "slow_mode_s": 60})
			carol.send(room, "m3", "her first")
			_, err = carol.try("message.send", object{"room": room, "client_id": "m4", "text": "no"})
			refusedWith(t, "in slow mode", err, "rate_limited", "slow_mode")
			alice.send(room, "m5", "an owner's first")
			alice.send(room, "m6", "an owner's second")

			left := uint64(alice.call("member.ban", object{"room": room, "user": "bob"})["seq"].(float64))
			if f := bob.expect("the end", signal("room.removed", room)); f.data()["reason"] != "banned" {
				t.Errorf("it ends with %s", f.Data)
			}
			after := alice.send(room, "m7", "without bob")
			carol.expect("what comes then", event(room, after))
			carol.expect("the ban", event(room, left))
			for method, params := range map[string]object{
				"room.subscribe": {"room": room}, "message.list": {"room": room}, "message.send": {"room": room, "client_id": "m8", "text": "no"},
			} {
				_, err := bob.try(method, params)
				refusedWith(t, method+" of one who is banned", err, "not_found", "")
			}
			frames, _ := bob.about(room, 0)
			if last := frames[len(frames)-1]; last.Event != "room.removed" {
				t.Errorf("bob was told %s last", last.Event)
			}
		})
	}
}

func TestLiveRoomsHaveARate(t *testing.T) {
	t.Parallel()
	s := start(t, "--limits-room-messages-per-second=4", "--limits-room-burst=8")
	room := s.backend().newRoom("live", "alice")
	accepted := 0
	for i := range 4 {
		c := s.connect(fmt.Sprint("guest", i), nil)
		for n := range 8 {
			_, err := c.try("message.send", object{"room": room, "client_id": fmt.Sprint("m", n), "text": "a comment"})
			if err == nil {
				accepted++
			} else {
				refusedWith(t, "too fast", err, "rate_limited", "room")
			}
		}
	}
	if accepted < 8 || accepted > 24 {
		t.Errorf("%d of 32 messages were taken", accepted)
	}
}

// TestAudience counts the sessions that watch, on all nodes, and tells each session at most once a second (§5 `audience`).
func TestAudience(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			room := nodes[0].backend().newRoom("live", "alice")
			var watchers []*client
			for i := range 6 {
				w := nodes[i%len(nodes)].connect(fmt.Sprint("guest", i/2), object{"device": fmt.Sprint(i)})
				w.call("room.subscribe", object{"room": room})
				watchers = append(watchers, w)
			}
			watching := func(n float64) func(frame) bool {
				return func(f frame) bool { return signal("audience", room)(f) && f.data()["watching"] == n }
			}
			for i, w := range watchers {
				w.expect(fmt.Sprint("the audience of six, to watcher ", i), watching(6))
			}
			watchers[5].cut()
			watchers[4].call("room.unsubscribe", object{"room": room})
			watchers[0].expect("the audience of four", watching(4))
			for i, w := range watchers {
				frames, _ := w.about(room, 0)
				for at := 1; at < len(frames); at++ {
					if apart := frames[at].came.Sub(frames[at-1].came); apart < 900*time.Millisecond {
						t.Errorf("watcher %d was told the audience twice in %v", i, apart)
					}
				}
			}
			if frames, _ := watchers[4].about(room, 0); watching(4)(frames[len(frames)-1]) {
				t.Error("who has unsubscribed is still told")
			}
		})
	}
}

// TestSampledLiveRoom: of a room that is busier than its setting, watchers on all nodes are pushed no more than that, and told what was left out; the log
// is whole (§4.2, promise 4).
func TestSampledLiveRoom(t *testing.T) {
	t.Parallel()
	const most, rate, seconds = 10, 100, 4
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			room := nodes[0].backend().newRoom("live", "alice")
			alice := nodes[0].connect("alice", nil)
			alice.call("room.update", object{"room": room, "settings": object{"sample_per_s": most}})
			var watchers []*client
			for i := range 4 {
				w := nodes[i%len(nodes)].connect(fmt.Sprint("guest", i), nil)
				w.call("room.subscribe", object{"room": room})
				watchers = append(watchers, w)
			}
			watchers[0].expect("an idle room's event", event(room, alice.send(room, "first", "a word")))
			tick := time.NewTicker(time.Second / rate)
			defer tick.Stop()
			var replies []<-chan frame
			for i := range rate * seconds {
				<-tick.C
				reply, err := alice.begin("message.send", object{"room": room, "client_id": fmt.Sprint(i), "text": "a comment"})
				if err != nil {
					t.Fatal(err)
				}
				replies = append(replies, reply)
			}
			deleted := uint64(alice.call("message.delete", object{"room": room, "seq": 3})["seq"].(float64))
			for _, reply := range replies {
				if _, err := await(reply); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(1500 * time.Millisecond)
			last := alice.send(room, "last", "the last word")
			for i, w := range watchers {
				w.expect("a deletion", event(room, deleted))
				w.expect("the last", event(room, last))
				frames, _ := w.about(room, 0)
				judgeSampled(t, fmt.Sprint("watcher ", i), frames, 3, last, most, seconds+3)
			}
			events := alice.call("event.list", object{"room": room, "after": 0, "limit": 1000})["events"].([]any)
			if len(events) != int(last) {
				t.Errorf("the log has %d events, want %d", len(events), last)
			}

			back := nodes[0].connect("bob", nil)
			back.call("room.subscribe", object{"room": room, "after": last - 2})
			back.expect("a little that was missed", event(room, last))
			again := nodes[0].connect("carol", nil)
			again.call("room.subscribe", object{"room": room, "after": 2})
			if f := again.expect("that much is left out", signal("skipped", room)); f.data()["from"] != 3.0 || f.data()["to"] != float64(last) {
				t.Errorf("left out: %s", f.Data)
			}
		})
	}
}

// judgeSampled checks that events and skipped name every seq from first to last, in order, and that there were no more events than so many seconds allow.
func judgeSampled(t *testing.T, who string, frames []frame, first, last uint64, most, seconds int) {
	t.Helper()
	next, events := first, 0
	for _, f := range frames {
		from, to := f.Seq, f.Seq
		switch {
		case f.Seq > 0:
			events++
		case f.Event == "skipped":
			from, to = uint64(f.data()["from"].(float64)), uint64(f.data()["to"].(float64))
		default:
			continue
		}
		if from != next || to < from {
			t.Errorf("%s: %d to %d where %d was due", who, from, to, next)
		}
		next = to + 1
	}
	if next != last+1 {
		t.Errorf("%s: the last is %d, want %d", who, next-1, last)
	}
	if events > most*seconds || events < most*(seconds-3)/2 {
		t.Errorf("%s: %d events in %d s, where %d a second are pushed", who, events, seconds, most)
	}
}
