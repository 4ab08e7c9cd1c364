package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/testkit"
)

// view is how a user is seen: "alice offline since" where there is a last_seen.
func view(user any, seen object) string {
	words := fmt.Sprint(user, " ", seen["status"])
	if _, ok := seen["last_seen"]; ok {
		words += " since"
	}
	return words
}

// views are how the answer to presence.subscribe or presence.unsubscribe shows users.
func views(result object) string {
	var list []string
	for _, entry := range result["users"].([]any) {
		list = append(list, view(entry.(object)["user"], entry.(object)))
	}
	return strings.Join(list, ", ")
}

// watcher is a session whose presence signals are read one by one.
type watcher struct {
	*client
	next int // the push to be looked at next
}

// sees waits for the next presence signal, whatever it is, and returns its last_seen.
func (w *watcher) sees(want string) (lastSeen any) {
	w.t.Helper()
	f, i, err := w.wait(w.next, func(f frame) bool { return f.Event == "presence" })
	if err != nil {
		w.t.Fatalf("%q for %s: %v; came: %s", want, w.user, err, w.summary())
	}
	w.next = i + 1
	if got := view(*f.User, f.data()); got != want {
		w.t.Fatalf("%s sees %q, want %q", w.user, got, want)
	}
	return f.data()["last_seen"]
}

// stage is who plays in these tests: alice and bob share one room, bob and carol another. Dave shares none with anybody.
type stage struct {
	*server
	b                       *backend
	room                    string // alice's and bob's
	alice, bob, carol, dave *client
}

func newStage(t *testing.T, flags ...string) *stage {
	t.Helper()
	s := start(t, flags...)
	p := &stage{server: s, b: s.backend()}
	p.room = p.b.newRoom("group", "alice", "bob")
	p.b.newRoom("group", "bob", "carol")
	p.b.newRoom("channel", "alice", "dave")
	p.alice, p.bob, p.carol, p.dave = s.connect("alice", nil), s.connect("bob", nil), s.connect("carol", nil), s.connect("dave", nil)
	return p
}

func (c *client) status(status string) { c.call("presence.set", object{"status": status}) }

// nothing has carol change twice: what w sees next is that, so that nothing else was on its way.
func (p *stage) nothing(w *watcher) {
	p.t.Helper()
	for _, status := range []string{"away", "online"} {
		p.carol.status(status)
		w.sees("carol " + status)
	}
}

func users(list ...string) object { return object{"users": append([]string{}, list...)} }

// Two people see each other come, go and hide; others see nothing of it.
func TestPresence(t *testing.T) {
	t.Parallel()
	p := newStage(t)
	bob, dave := &watcher{client: p.bob}, &watcher{client: p.dave}
	if got := views(p.bob.call("presence.subscribe", users("alice", "carol", "dave", "bob", "nobody", "alice"))); got != "alice online, carol online, dave offline, bob online, nobody offline" {
		t.Fatalf("bob sees %s", got)
	}
	if got := views(p.dave.call("presence.subscribe", users("alice", "dave"))); got != "alice offline, dave online" {
		t.Fatalf("dave sees %s", got)
	}
	p.alice.status("away")
	bob.sees("alice away")
	p.alice.status("away")
	p.nothing(bob)

	// Hidden, alice types and reads unseen.
	seq := p.bob.send(p.room, "m1", "Are you there?")
	p.alice.expect("the message", event(p.room, seq))
	p.alice.status("invisible")
	hidden := bob.sees("alice offline since")
	desk := p.connect("alice", object{"device": "desk"})
	if got := views(desk.call("presence.subscribe", users("alice"))); got != "alice invisible" {
		t.Errorf("alice sees herself as %s", got)
	}
	p.alice.call("typing.start", object{"room": p.room})
	p.alice.call("receipt.read", object{"room": p.room, "seq": seq})
	desk.expect("alice's own receipt", signal("receipt", p.room))
	p.nothing(bob)
	p.alice.status("online")
	bob.sees("alice online")
	p.alice.call("typing.start", object{"room": p.room}) // told now, so that what was before would have been told before
	p.bob.expect("typing", signal("typing", p.room))
	p.bob.mu.Lock()
	for _, f := range p.bob.pushes {
		if f.Event == "receipt" {
			t.Errorf("bob was told %s while alice was invisible", f.Data)
		}
	}
	p.bob.mu.Unlock()

	// A connection that is cut is no absence for 10 s; one of two sessions is none at all.
	p.alice.cut()
	p.alice = p.connect("alice", nil)
	desk.cut()
	p.nothing(bob)
	p.alice.cut()
	gone := bob.sees("alice offline since")
	if gone.(string) <= hidden.(string) {
		t.Errorf("hidden at %v, gone at %v", hidden, gone)
	}

	// What is kept outlives the server: when alice was seen, and that carol hides.
	p.carol.status("invisible")
	carolHid := bob.sees("carol offline since")
	if list := dave.presences(); len(list) > 0 {
		t.Errorf("dave was told %v", list)
	}
	p.kill()
	p.restart()
	carol := p.connect("carol", nil)
	if got := views(carol.call("presence.subscribe", users("bob"))); got != "bob offline since" {
		t.Errorf("carol sees that bob, who was here when the plug was pulled, is %s", got)
	}
	again := p.connect("bob", nil).call("presence.subscribe", users("alice", "carol"))
	if got := views(again); got != "alice offline since, carol offline since" {
		t.Fatalf("after the restart bob sees %s", got)
	}
	for i, want := range []any{gone, carolHid} {
		if at := again["users"].([]any)[i].(object)["last_seen"]; at != want {
			t.Errorf("after the restart the last_seen is %v, before it %v", at, want)
		}
	}
}

// presences are all presence signals of the session so far.
func (c *client) presences() (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.pushes {
		if f.Event == "presence" {
			list = append(list, view(*f.User, f.data()))
		}
	}
	return list
}

// Who is seen follows who shares a room now.
func TestPresenceFollowsMembership(t *testing.T) {
	t.Parallel()
	p := newStage(t)
	bob := &watcher{client: p.bob}
	p.bob.call("presence.subscribe", users("alice", "carol", "dave"))
	remove := func() { p.alice.call("member.remove", object{"room": p.room, "user": "bob"}) }
	add := func() { p.alice.call("member.add", object{"room": p.room, "users": []string{"bob"}}) }
	remove()
	bob.sees("alice offline")
	p.alice.status("away")
	p.nothing(bob)
	if got := views(p.bob.call("presence.subscribe", users("alice"))); got != "alice offline" {
		t.Errorf("asked, bob sees %s", got)
	}
	add()
	bob.sees("alice away")
	remove()
	bob.sees("alice offline")
	direct := p.bob.call("room.create", object{"kind": "direct", "members": []string{"dave"}})["room"].(object)["id"].(string)
	bob.sees("dave online")
	p.bob.call("room.leave", object{"room": direct})
	p.dave.status("away")
	bob.sees("dave away")
}

// Subscriptions end when they are asked to, and have a bound.
func TestPresenceSubscriptions(t *testing.T) {
	t.Parallel()
	p := newStage(t, unlimited...)
	bob := &watcher{client: p.bob}
	p.bob.call("presence.subscribe", users("alice", "carol"))
	if got := views(p.bob.call("presence.unsubscribe", users("alice", "nobody"))); got != "alice online, nobody offline" {
		t.Errorf("unsubscribing, bob sees %s", got)
	}
	p.alice.status("away")
	p.nothing(bob)
	if got := views(p.bob.call("presence.subscribe", users())); got != "" {
		t.Errorf("subscribing to nobody, bob sees %s", got)
	}
	var many []string
	for i := range 999 {
		many = append(many, fmt.Sprint("u", i))
	}
	for part := range slices.Chunk(many, 200) {
		p.bob.call("presence.subscribe", users(part...))
	}
	refused(t, "bad_request", "users")(p.bob.try("presence.subscribe", users("alice")))
	p.bob.call("presence.subscribe", users(many[0], "carol"))
	refused(t, "too_large", "users")(p.bob.try("presence.subscribe", users(many[:201]...)))
	refused(t, "bad_request", "status")(p.bob.try("presence.set", object{"status": "offline"}))
	p.nothing(bob)
}

// Over HTTP the calls are about the session that they name.
func TestPresenceOverHTTP(t *testing.T) {
	t.Parallel()
	p := newStage(t)
	call := func(user string, session any, method string, params any) (object, error) {
		headers := map[string]string{"Authorization": "Bearer " + p.token(user)}
		if session != nil {
			headers["Parley-Session"] = session.(string)
		}
		_, result, err := post("http://"+p.addr, method, headers, params)
		return result, err
	}
	bobs, alices := p.bob.hello["session"], p.alice.hello["session"]
	result, err := call("bob", bobs, "presence.subscribe", users("alice", "carol"))
	if err != nil || views(result) != "alice online, carol online" {
		t.Fatalf("subscribing: %v, %v", result, err)
	}
	if _, err := call("alice", alices, "presence.set", object{"status": "away"}); err != nil {
		t.Fatal(err)
	}
	bob := &watcher{client: p.bob}
	bob.sees("alice away")
	if result, err = call("bob", bobs, "presence.unsubscribe", users("alice")); err != nil || views(result) != "alice away" {
		t.Fatalf("unsubscribing: %v, %v", result, err)
	}
	p.alice.status("online")
	p.nothing(bob)
	for _, method := range []string{"presence.set", "presence.subscribe", "presence.unsubscribe"} {
		params := object{"users": []string{}, "status": "online"}
		refused(t, "bad_request", "session")(call("bob", nil, method, params))
		refused(t, "not_found", "session")(call("bob", alices, method, params))
	}
}

// Who hides on one node is hidden on the others.
func TestPresenceHiddenOnAllNodes(t *testing.T) {
	t.Parallel()
	nodes := startTwo(t, testkit.StartNATS(t).URL)
	b := nodes[0].backend()
	room := b.newRoom("group", "alice", "bob", "carol")
	phone, desk := nodes[0].connect("alice", object{"device": "phone"}), nodes[1].connect("alice", object{"device": "desk"})
	bob, carol := &watcher{client: nodes[1].connect("bob", nil)}, nodes[1].connect("carol", nil)
	if got := views(bob.call("presence.subscribe", users("alice"))); got != "alice online" {
		t.Fatalf("bob sees %s", got)
	}
	seq := carol.send(room, "m1", "Who has read this?")
	desk.expect("the message", event(room, seq))
	phone.status("invisible")
	bob.sees("alice offline since")
	desk.call("receipt.read", object{"room": room, "seq": seq})
	desk.call("typing.start", object{"room": room})
	phone.expect("alice's own receipt", signal("receipt", room))
	carol.call("receipt.read", object{"room": room, "seq": seq})
	receipt := bob.expect("carol's receipt", signal("receipt", room))
	if members := receipt.data()["members"].([]any); len(members) != 1 || members[0].(object)["user"] != "carol" {
		t.Errorf("while alice hides bob is told %s", receipt.Data)
	}
	phone.status("away")
	bob.sees("alice away")
	desk.call("typing.start", object{"room": room})
	if _, i, err := bob.wait(0, signal("typing", room)); err != nil || i < bob.next {
		t.Errorf("that alice types came before she showed herself, or never: %v", err)
	}
}
