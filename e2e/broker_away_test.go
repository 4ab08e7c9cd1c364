package e2e

import (
	"fmt"
	"testing"

	"github.com/coder/websocket"

	"github.com/parley-im/parley/internal/testkit"
)

// Two nodes work as one system, with the broker, while it is away, and when it is back.
func TestTwoNodesAreOneSystem(t *testing.T) {
	broker := testkit.StartNATS(t)
	nodes := startTwo(t, broker.URL)
	b := nodes[0].backend()
	room := b.newRoom("group", "alice", "bob", "carol", "dave")
	alice, bob := nodes[0].connect("alice", nil), nodes[1].connect("bob", nil)

	rounds := 0
	round := func(name string, leaver string) {
		t.Helper()
		rounds++
		eves, franks := fmt.Sprint("eve", rounds), fmt.Sprint("frank", rounds)
		seq := alice.send(room, "there "+name, "to the other node")
		bob.expect(name+": the message from the other node", event(room, seq))
		back := bob.send(room, "back "+name, "and back")
		alice.expect(name+": the message back", event(room, back))
		bob.call("receipt.read", object{"room": room, "seq": back})
		alice.expect(name+": the receipt", func(f frame) bool {
			if !signal("receipt", room)(f) {
				return false
			}
			for _, m := range f.data()["members"].([]any) {
				if m := m.(object); m["user"] == "bob" && uint64(m["read"].(float64)) == back {
					return true
				}
			}
			return false
		})

		// Membership: a new room reaches a user on the other node, and a removal takes effect there.
		fresh := b.newRoom("group", "alice", "bob")
		bob.expect(name+": the new room", signal("room.added", fresh))
		bob.expect(name+": its first event", event(fresh, 1))
		gone := nodes[1].connect(leaver, nil)
		removed := uint64(alice.call("member.remove", object{"room": room, "user": leaver})["seq"].(float64))
		gone.expect(name+": the removal", event(room, removed))
		gone.expect(name+": the room is gone", signal("room.removed", room))
		alice.send(room, "after "+name, "not for "+leaver)

		// Revocation reaches a session on the other node.
		eve := nodes[1].connect(eves, nil)
		(&backend{t, "http://" + nodes[0].addr, b.key, ""}).call("session.revoke", object{"user": eves, "all": true})
		if code, err := eve.closed(); err != nil || code != websocket.StatusCode(4403) {
			t.Errorf("%s: a revoked session on the other node ended with %v, %v", name, code, err)
		}

		// The newer session of a device replaces the older one on the other node.
		older := nodes[0].connect(franks, nil)
		newer := nodes[1].connect(franks, nil)
		if code, err := older.closed(); err != nil || code != websocket.StatusCode(4409) {
			t.Errorf("%s: a replaced session on the other node ended with %v, %v", name, code, err)
		}
		newer.call("user.get", object{"users": []string{"alice"}})
		if last := gone.events(room); len(last) > 0 && last[len(last)-1] > removed {
			t.Errorf("%s: the removed member got %v, above %d", name, last, removed)
		}
	}
	round("with the broker", "carol")
	alice.call("typing.start", object{"room": room})
	bob.expect("typing on the other node", signal("typing", room))

	broker.Kill()
	round("without the broker", "dave")
	for i := range 20 {
		alice.send(room, fmt.Sprint("away", i), "while the broker is away")
	}

	broker.Start()
	b.user("alice").call("member.add", object{"room": room, "users": []string{"carol"}})
	round("with the broker again", "carol")
	head := alice.send(room, "last", "last")
	bob.expect("the last message", event(room, head))
	for i, seq := range bob.events(room) {
		if seq != uint64(i)+2 {
			t.Fatalf("Bob's stream has a hole or a repeat: %v", bob.events(room))
		}
	}
}
