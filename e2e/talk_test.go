package e2e

import (
	"testing"
)

// Two people talk, the plug is pulled, and everything is there.
func TestTalkAndPullThePlug(t *testing.T) {
	s := start(t)
	b := s.backend()
	room := b.newRoom("group", "alice", "bob")
	alice, bob := s.connect("alice", nil), s.connect("bob", nil)
	seq := alice.send(room, "m1", "Hello Bob")
	f := bob.expect("the message", event(room, seq))
	if f.Event != "message.created" || *f.User != "alice" || f.data()["text"] != "Hello Bob" {
		t.Fatalf("Bob got %+v", f)
	}
	bob.call("receipt.read", object{"room": room, "seq": seq})
	receipt := alice.expect("Bob's receipt", signal("receipt", room))
	member := receipt.data()["members"].([]any)[0].(object)
	if member["user"] != "bob" || uint64(member["read"].(float64)) != seq {
		t.Fatalf("the receipt says %v", member)
	}
	alice.call("typing.start", object{"room": room})
	if f := bob.expect("typing", signal("typing", room)); *f.User != "alice" || f.data()["active"] != true {
		t.Fatalf("typing says %+v", f)
	}
	epoch := alice.hello["epoch"]

	s.kill()
	s.restart()
	bob = s.connect("bob", object{"resume": object{"epoch": epoch, "rooms": object{room: seq - 1}}})
	f = bob.expect("the message again", event(room, seq))
	if f.data()["text"] != "Hello Bob" {
		t.Fatalf("after the restart Bob got %+v", f)
	}
	list := bob.call("room.list", object{})["rooms"].([]any)
	entry := list[0].(object)
	if me := entry["me"].(object); len(list) != 1 || me["unread"].(float64) != 0 || uint64(me["read"].(float64)) != seq {
		t.Fatalf("Bob's inbox: %v", list)
	}
	alice = s.connect("alice", nil)
	again := alice.call("message.send", object{"room": room, "client_id": "m1", "text": "Hello Bob"})
	if uint64(again["seq"].(float64)) != seq || again["duplicate"] != true {
		t.Fatalf("sent again after the restart: %v", again)
	}
}
