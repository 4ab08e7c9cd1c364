package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// removal is a way to lose sight of a room, for one who follows it.
type removal struct {
	name   string
	kind   string
	member bool   // whether the one removed was a member
	reason string // of room.removed
	carry  func(owner, removed *client, room string) (<-chan frame, error)
}

func removals() []removal {
	byOwner := func(method string) func(owner, removed *client, room string) (<-chan frame, error) {
		return func(owner, removed *client, room string) (<-chan frame, error) {
			params := object{"room": room}
			if method != "room.delete" {
				params["user"] = removed.user
			}
			return owner.begin(method, params)
		}
	}
	return []removal{
		{"a member is removed", "group", true, "removed", byOwner("member.remove")},
		{"a member is banned", "channel", true, "banned", byOwner("member.ban")},
		{"a watcher is banned", "live", false, "banned", byOwner("member.ban")},
		{"a stranger is banned", "channel", false, "banned", byOwner("member.ban")},
		{"the room is deleted", "group", true, "deleted", byOwner("room.delete")},
		{"a member leaves", "group", true, "left", func(_, removed *client, room string) (<-chan frame, error) {
			return removed.begin("room.leave", object{"room": room})
		}},
	}
}

// troupe are those who take part in the races, each with a session.
type troupe struct {
	t       *testing.T
	owner   *client
	senders []*client
	removed *client
	other   *server // on which the removed one reconnects
}

func newTroupe(t *testing.T, nodes []*server) *troupe {
	t.Helper()
	at := func(i int) *server { return nodes[i%len(nodes)] }
	p := &troupe{t: t, owner: at(0).connect("owner", nil), removed: at(1).connect("removed", nil), other: at(1)}
	for i := range 3 {
		p.senders = append(p.senders, at(i).connect(fmt.Sprint("sender", i), nil))
	}
	return p
}

// room makes a room of everybody, which the one to be removed follows.
func (p *troupe) room(r removal) string {
	p.t.Helper()
	members := []string{"sender0", "sender1", "sender2"}
	if r.member {
		members = append(members, p.removed.user)
	}
	id := p.owner.call("room.create", object{"kind": r.kind, "members": members})["room"].(object)["id"].(string)
	p.removed.call("room.subscribe", object{"room": id, "after": 0})
	return id
}

// send has every sender pipeline messages, and returns where the replies will be.
func (p *troupe) send(room string, each int) (replies []<-chan frame) {
	p.t.Helper()
	for i := range each {
		for _, s := range p.senders {
			reply, err := s.begin("message.send", object{"room": room, "client_id": fmt.Sprint(len(replies), i, rand.Uint64()), "text": "a word"})
			if err != nil {
				p.t.Fatal(err)
			}
			replies = append(replies, reply)
		}
	}
	return replies
}

// about are the frames about a room that have come, from an index on, and the index behind them all.
func (c *client) about(room string, from int) (frames []frame, next int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.pushes[from:] {
		if f.Room == room {
			frames = append(frames, f)
		}
	}
	return frames, len(c.pushes)
}

// TestRemovalRaces removes somebody while others write: they get nothing from behind their removal, and nothing once it is answered (promise 7, §4.2).
func TestRemovalRaces(t *testing.T) {
	t.Parallel()
	races := 100
	if long() {
		races = 1000
	}
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			for _, u := range []string{"owner", "sender0", "sender1", "sender2", "removed"} {
				b.call("user.update", object{"user": u})
			}
			p := newTroupe(t, nodes)
			late := 0
			for i := range races {
				r := removals()[i%len(removals())]
				late += p.race(r, len(nodes) == 1)
				if t.Failed() {
					t.Fatalf("race %d: %s", i, r.name)
				}
			}
			t.Logf("%d races; in %d of them the room was written to behind the removal", races, late)
		})
	}
}

// race is one removal. At once means that remover and removed are on one node, where nothing may follow the answer. It reports 1 if messages have come
// behind the removal, so that there was something to be kept back.
func (p *troupe) race(r removal, atOnce bool) (late int) {
	p.t.Helper()
	room := p.room(r)
	_, from := p.removed.about(room, 0)
	before := p.send(room, rand.IntN(8))
	removing, err := r.carry(p.owner, p.removed, room)
	if err != nil {
		p.t.Fatal(err)
	}
	behind := p.send(room, rand.IntN(8))
	result, err := await(removing)
	if err != nil {
		p.t.Errorf("the removal: %v", err)
		return 0
	}
	end := uint64(result["seq"].(float64))
	if atOnce {
		// Whatever was on its way to the removed one when the removal was answered comes before this reply.
		p.removed.call("user.get", object{"users": []string{"owner"}})
	} else if _, _, err := p.removed.wait(from, signal("room.removed", room)); err != nil {
		p.t.Error(err)
	}
	_, next := p.removed.about(room, from)
	behind = append(behind, p.send(room, 2)...)
	for _, reply := range append(before, behind...) {
		if result, err := await(reply); err == nil && uint64(result["seq"].(float64)) > end {
			late = 1
		}
	}
	p.removed.call("user.get", object{"users": []string{"owner"}})
	if more, _ := p.removed.about(room, next); len(more) > 0 {
		p.t.Errorf("the removal was answered, and then came %+v", more)
	}
	p.checkEnd(room, r.reason, end)
	return late
}

// checkEnd looks at all that the removed one got of a room: no hole, nothing above the end, and room.removed last. Receipts may be among it.
func (p *troupe) checkEnd(room, reason string, end uint64) {
	p.t.Helper()
	frames, _ := p.removed.about(room, 0)
	if len(frames) == 0 {
		p.t.Errorf("room.removed did not come")
		return
	}
	last := frames[len(frames)-1]
	if last.Event != "room.removed" || last.data()["reason"] != reason {
		p.t.Errorf("the last frame about the room is %+v; room.removed with the reason %s was expected", last, reason)
	}
	seq := uint64(0)
	for i, f := range frames[:len(frames)-1] {
		switch {
		case f.Event == "room.removed":
			p.t.Errorf("room.removed came twice")
		case f.Seq > end:
			p.t.Errorf("an event with seq %d came to one who was removed at %d", f.Seq, end)
		case f.Seq != 0 && seq != 0 && f.Seq != seq+1, f.Seq == 0 && f.Event != "room.added" && f.Event != "receipt":
			p.t.Errorf("frame %d about the room is %+v, after seq %d", i, f, seq)
		}
		seq = max(seq, f.Seq)
	}
}

// TestRemovalRacesResume removes somebody who is just coming back: they get what they missed up to their removal, or hear that the room is gone.
func TestRemovalRacesResume(t *testing.T) {
	t.Parallel()
	races := 60
	if long() {
		races = 1000
	}
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			for _, u := range []string{"owner", "sender0", "sender1", "sender2", "removed"} {
				b.call("user.update", object{"user": u})
			}
			p := newTroupe(t, nodes)
			token := p.other.token("removed")
			came := map[string]int{}
			for i := range races {
				r := removals()[i%5] // all but leaving, for which one must be there
				came[p.comeBack(r, token)]++
				if t.Failed() {
					t.Fatalf("race %d: %s", i, r.name)
				}
			}
			t.Logf("%d races ended with %v", races, came)
		})
	}
}

// comeBack is one removal of one who reconnects meanwhile, and returns the reason that they were told.
func (p *troupe) comeBack(r removal, token string) string {
	p.t.Helper()
	room := p.room(r)
	epoch := p.owner.hello["epoch"]
	for _, reply := range p.send(room, 5) {
		if _, err := await(reply); err != nil {
			p.t.Fatal(err)
		}
	}
	p.removed.cut()
	position := uint64(rand.IntN(17))
	again, err := p.other.open()
	if err != nil {
		p.t.Fatal(err)
	}
	again.user, p.removed = p.removed.user, again
	replies := p.send(room, rand.IntN(4))
	var hello, removing <-chan frame
	comeBack := func() {
		resume := object{"epoch": epoch, "rooms": object{room: position}}
		if hello, err = again.begin("hello", object{"token": token, "device": "removed-device", "resume": resume}); err != nil {
			p.t.Fatal(err)
		}
	}
	remove := func() {
		if removing, err = r.carry(p.owner, again, room); err != nil {
			p.t.Fatal(err)
		}
	}
	if rand.IntN(4) > 0 {
		comeBack()
		remove()
	} else {
		remove()
		comeBack()
	}
	replies = append(replies, p.send(room, 2)...)
	if again.hello, err = await(hello); err != nil {
		p.t.Fatalf("coming back: %v", err)
	}
	result, err := await(removing)
	if err != nil {
		p.t.Errorf("the removal: %v", err)
		return ""
	}
	for _, reply := range replies {
		_, _ = await(reply) // of a deleted room: not_found
	}
	removed := p.removed.expect("room.removed", signal("room.removed", room))
	p.removed.call("user.get", object{"users": []string{"owner"}})
	reason := removed.data()["reason"].(string)
	if reason != "gone" && reason != r.reason {
		p.t.Errorf("the reason is %s, not %s", reason, r.reason)
	}
	p.checkEnd(room, reason, uint64(result["seq"].(float64)))
	if seqs := p.removed.events(room); len(seqs) > 0 && seqs[0] != position+1 {
		p.t.Errorf("resumed from %d, the first event has seq %d", position, seqs[0])
	}
	return reason
}

// TestRemovedAndAddedAgain removes somebody who is just coming back, and adds them again at once: whatever their session hears of it, each stretch of the
// room's stream is without a hole, and the last one goes on.
func TestRemovedAndAddedAgain(t *testing.T) {
	t.Parallel()
	races := 60
	if long() {
		races = 1000
	}
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) {
			nodes := c.start(t)
			b := nodes[0].backend()
			for _, u := range []string{"owner", "sender0", "sender1", "sender2", "removed"} {
				b.call("user.update", object{"user": u})
			}
			p := newTroupe(t, nodes)
			token := p.other.token("removed")
			told := map[string]int{}
			for i := range races {
				told[p.addAgain(token)]++
				if t.Failed() {
					t.Fatalf("race %d", i)
				}
			}
			t.Logf("%d races were heard of as %v", races, told)
		})
	}
}

// addAgain is one removal and its end, of one who reconnects meanwhile. It returns what of it came.
func (p *troupe) addAgain(token string) string {
	p.t.Helper()
	room := p.room(removal{kind: "group", member: true})
	for _, reply := range p.send(room, 3) {
		if _, err := await(reply); err != nil {
			p.t.Fatal(err)
		}
	}
	epoch, position := p.owner.hello["epoch"], uint64(rand.IntN(11))
	p.removed.cut()
	again, err := p.other.open()
	if err != nil {
		p.t.Fatal(err)
	}
	again.user, p.removed = p.removed.user, again
	params := []object{
		{"room": room, "user": again.user},
		{"room": room, "users": []string{again.user}},
		{"token": token, "device": "removed-device", "resume": object{"epoch": epoch, "rooms": object{room: position}}},
	}
	var replies [3]<-chan frame
	begin := func(i int, c *client, method string) {
		if replies[i], err = c.begin(method, params[i]); err != nil {
			p.t.Fatal(err)
		}
	}
	at := rand.IntN(3)
	for i, method := range []string{"member.remove", "member.add"} {
		if i == at {
			begin(2, again, "hello")
		}
		begin(i, p.owner, method)
		p.send(room, 1)
	}
	if at == 2 {
		begin(2, again, "hello")
	}
	var joined uint64
	for i, reply := range replies {
		result, err := await(reply)
		switch {
		case err != nil:
			p.t.Fatalf("call %d: %v", i, err)
		case i == 1:
			joined = uint64(result["seq"].(float64))
		case i == 2:
			again.hello = result
		}
	}
	last := p.senders[0].send(room, fmt.Sprint("last ", rand.Uint64()), "the last word")
	if _, _, err := again.wait(0, event(room, last)); err != nil {
		p.t.Errorf("removed and added again at %d, with a hello as call %d that resumes from %d: the last message, %d: %v; what came: %v",
			joined, at+1, position, last, err, again.told(room))
	}
	return p.stretches(room, position, joined)
}

// stretches checks the frames about a room from which its user was removed and to which they were added again by the event joined.
func (p *troupe) stretches(room string, position, joined uint64) (told string) {
	p.t.Helper()
	frames, _ := p.removed.about(room, 0)
	next := position + 1
	for _, f := range frames {
		switch {
		case f.Event == "receipt" && next != 0:
		case f.Event == "room.removed":
			told += "removed "
			next = 0
		case f.Event == "room.added":
			told += "added "
			next = joined
		case f.Seq == 0 || f.Seq != next:
			p.t.Errorf("resumed from %d, added again at %d: %s with seq %d comes where %d is next, after %q", position, joined, f.Event, f.Seq, next, told)
			return told
		default:
			next++
		}
	}
	return told
}
