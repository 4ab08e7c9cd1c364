package e2e

import (
	"fmt"
	"sync"
	"testing"
)

// Fifty connections on all nodes write to one room at once; all fifty see one order with every seq (promise 3). What each pipelines keeps its order.
func TestOneOrderForEverybody(t *testing.T) {
	const writers, each = 50, 40
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			users := make([]string, writers)
			for i := range users {
				users[i] = fmt.Sprint("user", i)
			}
			room := b.newRoom("group", users...)
			sessions := make([]*client, writers)
			for i, u := range users {
				sessions[i] = nodes[i%len(nodes)].connect(u, nil)
			}
			var wg sync.WaitGroup
			for i, s := range sessions {
				wg.Go(func() { pipeline(s, room, i, each) })
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			head := uint64(1 + writers*each)
			if seen := oneOrder(t, sessions, room, head); seen != writers*each {
				t.Errorf("%d messages were seen, %d were sent", seen, writers*each)
			}
		})
	}
}

// oneOrder waits until all sessions have the room's events up to its head, checks that each has got every one from the second on, once and in order, and that what one
// sees at a seq all see there, and returns how many events they have seen.
func oneOrder(t *testing.T, sessions []*client, room string, head uint64) int {
	t.Helper()
	texts := map[uint64]string{}
	for _, s := range sessions {
		s.expect("the last message", event(room, head))
		seqs := s.events(room)
		for i, seq := range seqs {
			if seq != uint64(i)+2 {
				t.Fatalf("%s has a hole or a repeat: %v", s.user, seqs[max(0, i-3):i+1])
			}
		}
		if last := seqs[len(seqs)-1]; last != head {
			t.Errorf("the last seq is %d, not %d", last, head)
		}
		s.mu.Lock()
		for _, f := range s.pushes {
			if f.Room != room || f.Seq == 0 {
				continue
			}
			what := *f.User + " " + fmt.Sprint(f.data()["client_id"])
			if before, ok := texts[f.Seq]; ok && before != what {
				t.Errorf("at %d one sees %q and %s sees %q", f.Seq, before, s.user, what)
			}
			texts[f.Seq] = what
		}
		s.mu.Unlock()
	}
	return len(texts)
}

// pipeline sends messages without waiting for the replies, and checks that they have kept their order.
func pipeline(s *client, room string, writer, messages int) {
	var replies []<-chan frame
	for j := range messages {
		reply, err := s.begin("message.send", object{"room": room, "client_id": fmt.Sprint(writer, ".", j), "text": fmt.Sprint(j)})
		if err != nil {
			s.t.Error(err)
			return
		}
		replies = append(replies, reply)
	}
	last := 0.0
	for j, r := range replies {
		result, err := await(r)
		if err != nil {
			s.t.Errorf("%s: %v", s.user, err)
			return
		}
		if seq := result["seq"].(float64); seq <= last {
			s.t.Errorf("%s: message %d has seq %v, after one with %v", s.user, j, seq, last)
		} else {
			last = seq
		}
	}
}
