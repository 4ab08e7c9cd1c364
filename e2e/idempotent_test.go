package e2e

import (
	"fmt"
	"sync"
	"testing"
)

// One client_id, sent a hundred times at once over ten connections and HTTP, makes one event and a hundred equal answers (promise 2).
func TestOneClientIDManyTimes(t *testing.T) {
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			room := b.newRoom("group", "alice", "bob")
			params := object{"room": room, "client_id": "once", "text": "only once", "data": object{"a": 1, "b": []int{2}}}
			sameButForm := object{"data": object{"b": []int{2}, "a": 1.0}, "text": "only once", "client_id": "once", "room": room, "mentions": []string{}}
			other := object{"room": room, "client_id": "once", "text": "something else"}

			var (
				wg    sync.WaitGroup
				mu    sync.Mutex
				seqs  = map[uint64]int{}
				first int
			)
			answer := func(result object, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("sent again: %v", err)
					return
				}
				seqs[uint64(result["seq"].(float64))]++
				if result["duplicate"] != true {
					first++
				}
			}
			for i := range 10 {
				n := nodes[i%len(nodes)]
				session, err := n.dial("alice", n.token("alice"), object{"device": fmt.Sprint("device", i)})
				if err != nil {
					t.Fatal(err)
				}
				for j := range 9 {
					p := params
					if j%2 == 1 {
						p = sameButForm
					}
					wg.Go(func() { answer(session.try("message.send", p)) })
				}
				as := &backend{t, "http://" + n.addr, b.key, "alice"}
				wg.Go(func() { answer(as.try("message.send", params)) })
			}
			wg.Wait()
			if len(seqs) != 1 || first != 1 {
				t.Fatalf("100 sends of one message have the places %v, and %d of them were the first", seqs, first)
			}
			for range 2 {
				if result, err := b.user("alice").try("message.send", params); err != nil || result["duplicate"] != true {
					t.Fatalf("once more: %v, %v", result, err)
				}
				refused(t, "conflict", "client_id")(b.user("alice").try("message.send", other))
				for _, n := range nodes {
					n.kill()
					n.restart()
				}
			}
			head := b.user("bob").call("event.list", object{"room": room, "after": 0})["head"].(float64)
			if head != 2 {
				t.Fatalf("the log has %v events: room.created and one message were expected", head)
			}
		})
	}
}

// refused checks that a call was refused with a code and a field.
func refused(t *testing.T, code, field string) func(object, error) {
	t.Helper()
	return func(result object, err error) {
		t.Helper()
		e, ok := err.(*wireError)
		if !ok || e.Code != code || e.Field != field {
			t.Errorf("answered %v, %v; %s (%s) was expected", result, err, code, field)
		}
	}
}
