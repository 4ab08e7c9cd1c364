package delivery_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

func TestDbg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, newStore(), delivery.Options{}).start()
		bob, f := n.enter("s", "bob")
		room := n.create(protocol.Direct, "alice", "bob")
		n.send(room, 1)
		settle()
		if len(bob.story(room)) != 3 {
			fmt.Println("bad", bob.story(room), f.Follows(room), fmt.Sprintf("%+v", n.hub.Stats()), n.store.reads)
			f.Dump(room)
			for _, d := range []time.Duration{30 * time.Millisecond, time.Second, time.Minute} {
				time.Sleep(d)
				fmt.Println("after", d, bob.story(room), n.store.reads)
				t.Fail()
			}
		}
	})
}
