package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// canary stands in everything that bob writes.
const canary = "quetzalcoatlus"

// estate is bob's life on a server.
type estate struct {
	group, direct, channel string
	alice                  *client
	token                  string
}

// live makes bob leave something everywhere.
func (s *server) live() *estate {
	alice, bob := s.connect("alice", nil), s.connect("bob", nil)
	e := &estate{alice: alice, token: s.token("bob")}
	room := func(c *client, params object) string {
		return c.call("room.create", params)["room"].(object)["id"].(string)
	}
	e.group = room(alice, object{"kind": "group", "name": "Both", "members": []string{"bob"}})
	e.direct = room(alice, object{"kind": "direct", "members": []string{"bob"}})
	e.channel = room(bob, object{"kind": "channel", "name": "Bob's own"})
	bob.call("user.update", object{"name": "Bob " + canary, "data": object{"about": canary}})
	for _, id := range []string{e.group, e.direct, e.channel} {
		seq := bob.send(id, "1", "a "+canary)
		bob.call("message.edit", object{"room": id, "seq": seq, "text": "another " + canary})
		bob.send(id, "2", "more of the "+canary)
	}
	seq := alice.send(e.group, "1", "from alice")
	bob.call("reaction.add", object{"room": e.group, "seq": seq, "emoji": "👍"})
	return e
}

// Everything that bob wrote is in his export, over HTTP and by command alike; a user may not ask for it.
func TestExportUser(t *testing.T) {
	s := start(t, unlimited...)
	e := s.live()
	var lines []string
	for page := ""; ; {
		result := s.backendOf("export"+page).call("user.export", object{"user": "bob", "limit": 2, "page": page})
		for _, r := range result["records"].([]any) {
			line, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(line))
		}
		next, more := result["page"].(string)
		if !more {
			break
		}
		page = next
	}
	types := map[string]int{}
	for _, line := range lines {
		var r object
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		types[r["type"].(string)]++
	}
	want := map[string]int{"user": 1, "presence": 1, "session": 1, "membership": 3, "message": 6, "reaction": 1}
	for kind, n := range want {
		if types[kind] != n {
			t.Errorf("the export has %d records of the type %s, want %d:\n%s", types[kind], kind, n, strings.Join(lines, "\n"))
		}
	}
	printed := strings.Split(command(t, "export", "user", "bob", "--data", s.dir), "\n")
	if len(printed) != len(lines) {
		t.Errorf("the command prints %d records, want %d", len(printed), len(lines))
	}
	if room := command(t, "export", "room", e.group, "--data", s.dir); strings.Count(room, canary) < 3 || !strings.Contains(room, "from alice") {
		t.Errorf("the export of the room lacks something:\n%s", room)
	}
	for _, method := range []string{"user.export", "user.erase"} {
		if _, err := e.alice.try(method, object{"user": "alice"}); err == nil || err.(*wireError).Code != "forbidden" {
			t.Errorf("%s by a user: %v, want forbidden", method, err)
		}
	}
}

// backendOf is a back end with a key of its own name.
func (s *server) backendOf(name string) *backend {
	return &backend{s.t, "http://" + s.addr, s.key(name), ""}
}

// After bob's erasure nobody finds a word of his, in no list, log, search, replay or copy of the store, and those who are online are told; his tokens are void
// and the rooms of others go on. A backup from before, once restored, is without him too.
func TestEraseUser(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine.name, func(t *testing.T) {
			flags := engine.flags(t)
			s := start(t, append(flags, unlimited...)...)
			e := s.live()
			dir := filepath.Join(t.TempDir(), "backup")
			if flags == nil {
				command(t, "backup", "--data", s.dir, "--to", dir)
			}
			s.backend().call("user.erase", object{"user": "bob"})
			e.alice.expect("bob's leaving", func(f frame) bool { return f.Event == "member.left" && f.Room == e.group })
			e.gone(s)
			list := command(t, append([]string{"erase", "list", "--json", "--data", s.dir}, flags...)...)
			if flags != nil {
				return
			}
			s.stop()
			file := filepath.Join(t.TempDir(), "erasures")
			if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
				t.Fatal(err)
			}
			data := filepath.Join(t.TempDir(), "restored")
			command(t, "restore", "--from", dir, "--data", data)
			command(t, "erase", "replay", file, "--data", data)
			restored := startIn(t, "parley", data, unlimited...)
			e.alice = restored.connect("alice", nil)
			e.gone(restored)
		})
	}
}

// gone looks for bob wherever he may be found.
func (e *estate) gone(s *server) {
	t := s.t
	t.Helper()
	alice := s.connect("alice", object{"device": "new", "resume": object{"epoch": e.alice.hello["epoch"], "rooms": object{e.group: 1, e.direct: 1}}})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // the index follows
		if n := len(alice.call("message.search", object{"query": canary})["messages"].([]any)); n == 0 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%d of bob's messages are still found", n)
		}
	}
	var heard bytes.Buffer
	for _, room := range []string{e.group, e.direct} {
		for _, method := range []string{"message.list", "event.list"} {
			text, err := json.Marshal(alice.call(method, object{"room": room, "after": 0}))
			if err != nil {
				t.Fatal(err)
			}
			heard.Write(text)
		}
	}
	alice.mu.Lock()
	for _, f := range alice.pushes {
		heard.Write(f.Data)
	}
	alice.mu.Unlock()
	if bytes.Contains(heard.Bytes(), []byte(canary)) {
		t.Errorf("a word of bob's is still read:\n%s", heard.Bytes())
	}
	if users := alice.call("user.get", object{"users": []string{"bob"}})["users"].([]any); len(users) != 0 {
		t.Errorf("bob still has a profile: %v", users)
	}
	if message := alice.call("message.list", object{"room": e.group})["messages"].([]any)[2].(object); len(message["reactions"].([]any)) != 0 {
		t.Errorf("bob's reaction stands: %v", message)
	}
	if members := alice.call("member.list", object{"room": e.group})["members"].([]any); len(members) != 1 {
		t.Errorf("the members of the group are %v", members)
	}
	if _, err := s.dial("bob", e.token, object{"device": "new"}); err == nil {
		t.Error("bob's old token is good")
	}
	alice.send(e.group, "after-"+s.dir[len(s.dir)-6:], "life goes on")
}

// What is asked for by the command is done by the server that runs, and by the next one when none does.
func TestEraseByCommand(t *testing.T) {
	s := start(t, unlimited...)
	e := s.live()
	command(t, "erase", "user", "bob", "--data", s.dir)
	e.gone(s)
	room := e.alice.call("room.create", object{"kind": "group"})["room"].(object)["id"].(string)
	e.alice.send(room, "1", canary)
	s.kill()
	command(t, "erase", "room", room, "--data", s.dir)
	out, err := exec.Command(filepath.Join(binaries, "parley"), "erase", "user", "carol", "--wait", "100ms", "--data", s.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "when it starts") {
		t.Errorf("an erasure without a server: %v\n%s", err, out)
	}
	s.restart()
	alice := s.connect("alice", nil)
	if _, err := alice.try("room.get", object{"room": room}); err == nil || err.(*wireError).Code != "not_found" {
		t.Errorf("the erased room is there: %v", err)
	}
	if list := command(t, "erase", "list", "--data", s.dir); strings.Count(list, "not done yet") != 1 {
		t.Errorf("the room waits until it is emptied, and carol is done:\n%s", list)
	}
}
