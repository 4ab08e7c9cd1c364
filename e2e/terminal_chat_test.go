package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// chatProgram is `parley chat` under a pseudo terminal, and what that shows.
type chatProgram struct {
	t      *testing.T
	cmd    *exec.Cmd
	tty    *os.File
	screen vt10x.Terminal
	ended  chan struct{}
}

// chatting starts a chat whose state is kept in a folder. It is killed at the end of the test.
func (s *server) chatting(user, state string, args ...string) *chatProgram {
	s.t.Helper()
	t := s.t.(*testing.T)
	args = append([]string{"chat", "--url", "http://" + s.addr, "--data", s.dir, "--user", user, "--state", state}, args...)
	c := &chatProgram{t: t, cmd: exec.Command(filepath.Join(binaries, "parley"), args...), ended: make(chan struct{})}
	c.cmd.Env = append(environment(), "TERM=xterm-256color", "NO_COLOR=1", "TZ=UTC")
	tty, err := pty.StartWithSize(c.cmd, &pty.Winsize{Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	c.tty = tty
	c.screen = vt10x.New(vt10x.WithSize(80, 24))
	go func() {
		defer close(c.ended)
		buf := make([]byte, 32<<10)
		for {
			n, err := tty.Read(buf)
			_, _ = c.screen.Write(buf[:n]) // it takes anything
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(c.kill)
	return c
}

// kill ends the program as a crash would.
func (c *chatProgram) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_, _ = c.cmd.Process.Wait()
	<-c.ended
	_ = c.tty.Close()
}

func (c *chatProgram) keys(text string) {
	c.t.Helper()
	if _, err := c.tty.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// say types a message, or a command.
func (c *chatProgram) say(text string) {
	c.t.Helper()
	c.keys(text)
	c.shows("> " + text) // so that a burst is not taken for a paste
	c.keys("\r")
}

// shows waits until the screen shows a text.
func (c *chatProgram) shows(text string) {
	c.t.Helper()
	c.await(fmt.Sprintf("%q is not on the screen", text), func(screen string) bool { return strings.Contains(screen, text) })
}

func (c *chatProgram) await(what string, ok func(screen string) bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); ; {
		screen := c.screen.String()
		if ok(screen) {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s:\n%s", what, screen)
		}
		time.Sleep(10 * time.Millisecond) // an observer of another process's screen can only look again
	}
}

func TestTwoPeopleTalkOnTerminals(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.backend()
	room := b.newRoom("group", "alice", "bob")
	aliceState := t.TempDir()
	alice, bob := s.chatting("alice", aliceState, "--room", room), s.chatting("bob", t.TempDir())
	alice.shows("alice · online")
	bob.shows("bob · online")
	alice.say("hello bob")
	bob.shows("hello bob")
	alice.shows("hello bob ✔✔")
	bob.say("hello alice")
	bob.shows("hello alice ✔✔")
	alice.shows("hello alice")
	bob.say("/react 👍")
	alice.shows("👍 1")

	s.kill()
	alice.shows("offline")
	waiting := []string{"first without a server", "second without a server", "third without a server"}
	for _, text := range waiting {
		alice.say(text)
		alice.shows(text + " ◌")
	}
	alice.kill() // also the program's crash loses nothing
	s.restart()
	alice = s.chatting("alice", aliceState)
	for _, text := range waiting {
		alice.shows(text + " ✔✔")
		bob.shows(text)
	}
	var texts []string
	for _, m := range b.user("bob").call("message.list", object{"room": room})["messages"].([]any) {
		texts = append(texts, m.(object)["text"].(string))
	}
	if got, want := strings.Join(texts, "|"), strings.Join(append([]string{"hello bob", "hello alice"}, waiting...), "|"); got != want {
		t.Errorf("the room holds %s, not %s", got, want)
	}

	alice.say("/new direct bob")
	alice.shows("the beginning of bob")
	alice.shows("● bob") // who is online
	alice.say("only for you")
	bob.shows("● alice           1")
	bob.keys("\x10") // ctrl+p: the other room
	bob.shows("only for you")
	alice.shows("only for you ✔✔")
	alice.say("/quit")
	<-alice.ended
	if err := alice.cmd.Wait(); err != nil {
		t.Errorf("/quit is no failure: %v", err)
	}
}

func TestAChatHasItsStateForItself(t *testing.T) {
	t.Parallel()
	s := start(t)
	state := t.TempDir()
	first := s.chatting("alice", state)
	first.shows("alice · online")
	second := s.chatting("alice", state)
	second.shows("already chatting")
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-first.ended
	if err := first.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM is no failure: %v", err)
	}
}

func TestALiveRoomIsWatchedOnATerminal(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.backend()
	room := b.newRoom("live", "alice")
	send := func(id, text string) {
		t.Helper()
		b.user("alice").call("message.send", object{"room": room, "client_id": id, "text": text})
	}
	send("1", "before")
	bob := s.chatting("bob", t.TempDir())
	bob.shows("bob · online")
	bob.say("/join " + room)
	bob.shows("before")
	bob.shows("live · 1 watching")
	send("2", "while bob watches")
	bob.shows("while bob watches")
	bob.say("hello everybody")
	bob.shows("hello everybody")
	s.kill()
	bob.shows("offline")
	s.restart()
	send("3", "after the server was away")
	bob.shows("after the server was away")
	bob.say("/leave")
	bob.shows("There is no room yet.")
}
