package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/protocol"
)

// access is a row of the table of who gets what of a method. Answers are a code and a field, "ok", or "" where there is nothing to ask.
type access struct {
	method string
	params func(room string, message uint64) object // a call that its room's owner may make

	channel string // to one who is no member of a channel whose history is open to all
	live    string // to one who watches a live room
	hidden  string // of a room that is invisible; the same bytes as of a room that never was
}

// notServed says that this version does not have the method yet.
const notServed = "not_found method"

// accesses is the table: a row for every method of the protocol.
func accesses() []access {
	const gone = "not_found room"
	room := func(more object) func(string, uint64) object {
		return func(room string, _ uint64) object {
			params := object{"room": room}
			for name, value := range more {
				params[name] = value
			}
			return params
		}
	}
	message := func(more object) func(string, uint64) object {
		return func(id string, seq uint64) object {
			params := room(more)(id, seq)
			params["seq"] = seq
			return params
		}
	}
	noRoom := func(params object) func(string, uint64) object {
		return func(string, uint64) object { return params }
	}
	cursors := func(room string, seq uint64) object { return object{"cursors": object{room: seq}} }
	return []access{
		{"hello", noRoom(object{}), notServed, notServed, notServed}, // over HTTP
		{"session.refresh", noRoom(nil), "", "", ""},                 // TestSessionRefresh
		{"session.list", noRoom(object{}), "ok", "ok", "ok"},
		{"session.revoke", noRoom(object{"session": "none"}), "not_found session", "not_found session", "not_found session"},
		{"session.ticket", noRoom(object{}), "ok", "ok", "ok"},
		{"user.get", noRoom(object{"users": []string{"owner", "member"}}), "ok", "ok", "ok"},
		{"user.update", noRoom(object{"name": "Somebody"}), "ok", "ok", "ok"},
		{"user.search", noRoom(object{"query": "owner"}), "ok", "ok", "ok"},
		{"room.create", noRoom(object{"kind": "group", "client_id": "mine"}), "ok", "ok", "ok"},
		{"room.get", room(nil), "ok", "ok", gone},
		{"room.update", room(object{"topic": "Taken over"}), "forbidden", "forbidden", gone},
		{"room.delete", room(nil), "forbidden", "forbidden", gone},
		{"room.list", noRoom(object{}), "ok", "ok", "ok"},
		{"room.browse", noRoom(object{}), "ok", "ok", "ok"},
		{"room.join", room(nil), "ok", "bad_request room", gone},
		{"room.leave", room(nil), "ok", "ok", gone},
		{"member.add", room(object{"users": []string{"guest"}}), "forbidden", "forbidden", gone},
		{"member.remove", room(object{"user": "member"}), "forbidden", "forbidden", gone},
		{"member.update", room(object{"user": "member", "role": "admin"}), "forbidden", "forbidden", gone},
		{"member.ban", room(object{"user": "member"}), "forbidden", "forbidden", gone},
		{"member.unban", room(object{"user": "member"}), "forbidden", "forbidden", gone},
		{"member.list", room(nil), "forbidden", "forbidden", gone},
		{"member.settings", room(object{"pinned": true}), "forbidden", "forbidden", gone},
		{"room.subscribe", room(nil), "ok", "ok", gone},
		{"room.unsubscribe", room(nil), "ok", "ok", gone},
		{"message.send", room(object{"client_id": "intruder", "text": "I am in"}), "forbidden", "ok", gone},
		{"message.edit", message(object{"text": "I was here"}), "forbidden", "forbidden", gone},
		{"message.delete", message(nil), "forbidden", "forbidden", gone},
		{"reaction.add", message(object{"emoji": "+1"}), "forbidden", "ok", gone},
		{"reaction.remove", message(object{"emoji": "+1"}), "forbidden", "ok", gone},
		{"message.list", room(nil), "ok", "ok", gone},
		{"message.search", room(object{"query": "word"}), "ok", "ok", gone},
		{"event.list", room(object{"after": 0}), "ok", "ok", gone},
		{"receipt.delivered", cursors, "forbidden cursors", "bad_request cursors", "not_found cursors"},
		{"receipt.read", message(nil), "forbidden room", "bad_request room", gone},
		{"receipt.list", room(nil), "forbidden", "bad_request room", gone},
		{"typing.start", room(nil), "forbidden", "bad_request room", gone},
		{"typing.stop", room(nil), "forbidden", "bad_request room", gone},
		{"presence.set", noRoom(object{"status": "online"}), "ok", "ok", "ok"},
		{"presence.subscribe", noRoom(object{"users": []string{"owner"}}), "ok", "ok", "ok"},
		{"presence.unsubscribe", noRoom(object{"users": []string{"owner"}}), "ok", "ok", "ok"},
		{"user.export", noRoom(object{"user": "owner"}), "forbidden", "forbidden", "forbidden"},
		{"user.erase", noRoom(object{"user": "owner"}), "forbidden", "forbidden", "forbidden"},
	}
}

// caller is somebody with a token and, unless the token is no good, a live session.
type caller struct {
	user    string
	token   string
	session *client
}

func (s *server) caller(user string) *caller {
	s.t.Helper()
	c := &caller{user: user, token: s.tokenFrom(user, time.Now())}
	session, err := s.dial(user, c.token, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c.session = session
	return c
}

// ask makes an HTTP call and returns the status and the body as they are.
func (c *caller) ask(t testing.TB, s *server, method string, params any) (status int, body []byte) {
	t.Helper()
	text, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/v1/"+method, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.session != nil {
		r.Header.Set("Parley-Session", c.session.hello["session"].(string))
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// verdict is a body in the words of the table.
func verdict(body []byte) string {
	var answer struct{ Error *wireError }
	if err := json.Unmarshal(body, &answer); err != nil {
		return "no JSON: " + err.Error()
	}
	return wireVerdict(answer.Error)
}

func wireVerdict(e *wireError) string {
	if e == nil {
		return "ok"
	}
	return strings.TrimSpace(e.Code + " " + e.Field)
}

// place is a room with a message of its owner, from which one was removed, one has left and one was banned.
type place struct {
	kind, id string
	secret   string // in everything that the room holds: none of it may reach a stranger
	message  uint64
}

// newPlace makes a room of the owner and the member in which everything there is to know holds the secret word.
func (b *backend) newPlace(kind string) *place {
	b.t.Helper()
	for _, u := range []string{"owner", "member", "removed", "left", "banned", "guest"} {
		b.call("user.update", object{"user": u})
	}
	owner, members := b.user("owner"), []string{"member", "removed", "left", "banned"}
	if kind == "direct" {
		members = members[:1]
	}
	p := &place{kind: kind, secret: rand.Text()}
	p.id = owner.call("room.create", object{"kind": kind, "name": p.secret, "topic": p.secret, "members": members})["room"].(object)["id"].(string)
	p.message = uint64(owner.call("message.send", object{"room": p.id, "client_id": "first", "text": p.secret})["seq"].(float64))
	if kind != "direct" {
		owner.call("member.update", object{"room": p.id, "user": "member", "role": "owner"})
		owner.call("member.remove", object{"room": p.id, "user": "removed"})
		owner.call("member.ban", object{"room": p.id, "user": "banned"})
		b.user("left").call("room.leave", object{"room": p.id})
	}
	return p
}

func (b *backend) head(room string) uint64 {
	b.t.Helper()
	return uint64(b.user("owner").call("room.get", object{"room": room})["head"].(float64))
}

// neverWas are ids that no room has, most of them of the right form.
func neverWas(id string) []string {
	turned := []byte(id)
	last := len(turned) - 1
	turned[last], turned[last-1] = turned[last-1], turned[last]
	if string(turned) == id {
		turned[last] ^= 1
	}
	return []string{string(turned), "r_" + strings.Repeat("a", len(id)-2), "nonsense"}
}

// TestPrivate walks all methods for all who may not, or only in part, see a room (promise 7).
func TestPrivate(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	b := s.backend()
	checkTable(t)

	places := map[string]*place{}
	for _, kind := range []string{"group", "direct", "channel", "live"} {
		places[kind] = b.newPlace(kind)
	}
	deleted := b.newPlace("group")
	deleted.kind = "deleted"
	b.user("owner").call("room.delete", object{"room": deleted.id})

	t.Run("owner", func(t *testing.T) { ownerMay(t, s, b) })
	for user, kinds := range map[string][]string{
		"outsider": {"group", "direct"}, "removed": {"group"}, "left": {"group"}, "banned": {"group", "channel", "live"}, "member": {"deleted"}, "owner": {"deleted"},
	} {
		c := s.caller(user)
		for _, kind := range kinds {
			p := places[kind]
			if kind == "deleted" {
				p = deleted
			}
			t.Run(user+"/"+kind, func(t *testing.T) { mayNotSee(t, s, b, c, p) })
		}
	}
	for _, kind := range []string{"channel", "live"} {
		t.Run("outsider/"+kind, func(t *testing.T) { mayLook(t, s, places[kind]) })
	}
	now := time.Now()
	for name, token := range map[string]string{
		"no token": "", "not a token": "abc", "expired": s.sign(object{"sub": "owner", "exp": now.Add(-time.Second).Unix()}),
		"another's signature": otherSignature(s.tokenFrom("owner", now), s.tokenFrom("removed", now)), "not a key": "pk_none",
	} {
		t.Run(name, func(t *testing.T) { unauthenticated(t, s, places["group"], &caller{token: token}) })
	}
}

// otherSignature is a token with the signature of another.
func otherSignature(token, other string) string {
	return token[:strings.LastIndexByte(token, '.')] + other[strings.LastIndexByte(other, '.'):]
}

// checkTable wants one row for every method.
func checkTable(t *testing.T) {
	t.Helper()
	rows := map[string]int{}
	for _, a := range accesses() {
		rows[a.method]++
	}
	for _, m := range protocol.Methods() {
		if rows[m.Name] != 1 {
			t.Errorf("%s has %d rows in the table of who gets what", m.Name, rows[m.Name])
		}
		delete(rows, m.Name)
	}
	for name := range rows {
		t.Errorf("the table has a row for %s, which is no method", name)
	}
}

// ownerMay checks the table itself: what the others are refused is a call that an owner may make.
func ownerMay(t *testing.T, s *server, b *backend) {
	owner := s.caller("owner")
	for _, a := range accesses() {
		if a.hidden == notServed || a.hidden == "" || a.hidden == "forbidden" || a.method == "session.revoke" {
			continue // a call that no user may make is no call of an owner's
		}
		p := b.newPlace("group")
		if _, body := owner.ask(t, s, a.method, a.params(p.id, p.message)); verdict(body) != "ok" {
			t.Errorf("%s as the owner: %s", a.method, body)
		}
	}
}

// mayNotSee asks everything about a room that does not exist for the caller, and listens for what may come of it.
func mayNotSee(t *testing.T, s *server, b *backend, c *caller, p *place) {
	before := uint64(0)
	if p.kind != "deleted" {
		before = b.head(p.id)
	}
	for _, a := range accesses() {
		if a.hidden == "" {
			continue
		}
		params := a.params(p.id, p.message)
		status, body := c.ask(t, s, a.method, params)
		if got := verdict(body); got != a.hidden {
			t.Errorf("%s: %s was expected, this came: %s", a.method, a.hidden, body)
		}
		if bytes.Contains(body, []byte(p.secret)) || bytes.Contains(body, []byte(p.id)) {
			t.Errorf("%s tells of the room: %s", a.method, body)
		}
		if a.hidden == "ok" || a.hidden == notServed {
			continue
		}
		_, overSocket := c.session.try(a.method, params)
		for _, never := range neverWas(p.id) {
			otherStatus, other := c.ask(t, s, a.method, a.params(never, p.message))
			if status != otherStatus || !bytes.Equal(body, other) {
				t.Errorf("%s: the room is answered with %d %s, and one that never was with %d %s", a.method, status, body, otherStatus, other)
			}
			_, err := c.session.try(a.method, a.params(never, p.message))
			if fmt.Sprint(err) != fmt.Sprint(overSocket) || verdict(body) != wireVerdict(asWireError(err)) {
				t.Errorf("%s over the socket: the room is answered with %v, and one that never was with %v", a.method, overSocket, err)
			}
		}
	}
	if p.kind == "deleted" {
		return
	}
	if after := b.head(p.id); after != before {
		t.Errorf("one who may not see the room has changed it: its head was %d and is %d", before, after)
	}
	hearsNothing(t, b, c, p)
}

func asWireError(err error) *wireError {
	e, _ := err.(*wireError)
	return e
}

// hearsNothing stirs the room and looks for what reaches the caller.
func hearsNothing(t *testing.T, b *backend, c *caller, p *place) {
	t.Helper()
	owner, member := b.user("owner"), b.user("member")
	seq := owner.call("message.send", object{"room": p.id, "client_id": c.user + " listens", "text": p.secret, "mentions": []string{c.user}})["seq"]
	if p.kind != "live" {
		member.call("receipt.read", object{"room": p.id, "seq": seq})
		owner.call("typing.start", object{"room": p.id})
		owner.call("typing.stop", object{"room": p.id})
	}
	own := b.user(c.user).call("room.create", object{"kind": "group"})["room"].(object)["id"].(string)
	c.session.expect("a room of one's own", event(own, 1))
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	for _, f := range c.session.pushes {
		if f.Room == p.id || bytes.Contains(f.Data, []byte(p.secret)) || bytes.Contains(f.Data, []byte(p.id)) {
			t.Errorf("%s hears of the room: %+v", c.user, f)
		}
	}
}

// mayLook asks everything about an open room as one who is no member, each time as somebody new.
func mayLook(t *testing.T, s *server, p *place) {
	for i, a := range accesses() {
		want := a.channel
		if p.kind == "live" {
			want = a.live
		}
		if want == "" {
			continue
		}
		c := s.caller(fmt.Sprint("passer-by-", p.kind, i))
		_, body := c.ask(t, s, a.method, a.params(p.id, p.message))
		if got := verdict(body); got != want {
			t.Errorf("%s of a %s as one who is no member: %s was expected, this came: %s", a.method, p.kind, want, body)
		}
	}
}

// unauthenticated asks everything with a credential that is none.
func unauthenticated(t *testing.T, s *server, p *place, c *caller) {
	for _, a := range accesses() {
		want := "unauthenticated"
		if a.hidden == notServed {
			want = notServed
		}
		status, body := c.ask(t, s, a.method, a.params(p.id, p.message))
		if got := verdict(body); got != want {
			t.Errorf("%s: %s was expected, this came: %s", a.method, want, body)
		}
		otherStatus, other := c.ask(t, s, a.method, a.params("nonsense", p.message))
		if status != otherStatus || !bytes.Equal(body, other) {
			t.Errorf("%s: the room is answered with %d %s, and one that never was with %d %s", a.method, status, body, otherStatus, other)
		}
	}
}

// TestPrivateHistory is about what of a visible room is kept back: a channel whose history is for members, and what was before one's time.
func TestPrivateHistory(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	b := s.backend()
	p := b.newPlace("channel")
	owner := b.user("owner")
	owner.call("room.update", object{"room": p.id, "settings": object{"history": "since_join"}})
	stranger := s.caller("stranger")
	for _, method := range []string{"message.list", "event.list", "room.subscribe"} {
		refused(t, "forbidden", "")(stranger.session.try(method, object{"room": p.id, "after": 0}))
	}
	joined := uint64(stranger.session.call("room.join", object{"room": p.id})["seq"].(float64))
	after := uint64(owner.call("message.send", object{"room": p.id, "client_id": "second", "text": "welcome"})["seq"].(float64))

	list := stranger.session.call("message.list", object{"room": p.id, "limit": 200})["messages"].([]any)
	if len(list) != 1 || uint64(list[0].(object)["seq"].(float64)) != after {
		t.Errorf("a newcomer lists %v", list)
	}
	events := stranger.session.call("event.list", object{"room": p.id, "after": 0})["events"].([]any)
	if len(events) != 2 || uint64(events[0].(object)["seq"].(float64)) != joined {
		t.Errorf("a newcomer reads the log %v", events)
	}
	hidden := object{"seq": p.message, "emoji": "+1", "text": "x", "client_id": "reply", "reply_to": p.message, "around": p.message, "thread": p.message}
	only := func(names ...string) object {
		params := object{"room": p.id}
		for _, name := range names {
			params[name] = hidden[name]
		}
		return params
	}
	refused(t, "not_found", "seq")(stranger.session.try("reaction.add", only("seq", "emoji")))
	refused(t, "not_found", "seq")(stranger.session.try("message.edit", only("seq", "text")))
	refused(t, "not_found", "seq")(stranger.session.try("message.delete", only("seq")))
	refused(t, "not_found", "reply_to")(stranger.session.try("message.send", only("text", "client_id", "reply_to")))
	refused(t, "not_found", "around")(stranger.session.try("message.list", only("around")))
	refused(t, "not_found", "thread")(stranger.session.try("message.list", only("thread")))

	again := s.connect("stranger", object{"device": "second", "resume": object{"epoch": stranger.session.hello["epoch"], "rooms": object{p.id: 0}}})
	again.expect("the message of one's time", event(p.id, after))
	if got := again.events(p.id); got[0] != joined || len(got) != 2 {
		t.Errorf("from the beginning of what a newcomer may see come %v; they joined at %d", got, joined)
	}
}
