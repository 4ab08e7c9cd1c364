package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// printed is a running command whose lines on standard output are gathered.
type printed struct {
	cmd   *exec.Cmd
	lines chan string
	errs  *tail
}

// printing starts one of the binary's commands. It is killed at the end of the test.
func printing(t *testing.T, args ...string) *printed {
	t.Helper()
	p := &printed{cmd: exec.Command(filepath.Join(binaries, "parley"), args...), lines: make(chan string, 1000), errs: &tail{}}
	p.cmd.Env = environment()
	p.cmd.Stderr = p.errs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it may have ended
	return p
}

// next is the next line.
func (p *printed) next(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			t.Fatalf("the command has ended:\n%s", p.errs)
		}
		return line
	case <-time.After(patience):
		t.Fatalf("no line came:\n%s", p.errs)
	}
	return ""
}

// §1, promises 4 and 5, for somebody who pipes a room's log into a program of their own.
func TestTailPrintsEveryEventOnceOverAKill(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	b := s.backend()
	room := b.newRoom("group", "alice", "bob")
	send := func(n int) {
		t.Helper()
		for i := range n {
			message := object{"room": room, "client_id": fmt.Sprint(time.Now().UnixNano(), i), "text": "line\nbreak \x1b[2J"}
			if _, err := b.user("bob").try("message.send", message); err != nil { // on a connection to the server before
				b.user("bob").call("message.send", message)
			}
		}
	}
	send(20)
	url := "http://" + s.addr
	bySession := printing(t, "tail", "--url", url, "--data", s.dir, "--user", "alice", "--json", "--from-start", room)
	byKey := printing(t, "tail", "--url", url, "--key", b.key, "--user", "alice", "--json", "--after", "0", room)
	words := printing(t, "tail", "--url", url, "--data", s.dir, "--user", "bob", "--from-start", room)
	check := func(p *printed, from, to uint64) {
		t.Helper()
		for seq := from; seq <= to; seq++ {
			var e struct{ Seq uint64 }
			if line := p.next(t); json.Unmarshal([]byte(line), &e) != nil || e.Seq != seq {
				t.Fatalf("event %d is next, this came: %s", seq, line)
			}
		}
	}
	check(bySession, 1, 21)
	check(byKey, 1, 21)
	if got := words.next(t); !strings.Contains(got, "#1 alice made the group test") {
		t.Errorf("the first line for people: %q", got)
	}
	if got := words.next(t); !strings.HasSuffix(got, "#2 bob: line") {
		t.Errorf("a message for people: %q", got)
	}
	if got := words.next(t); !strings.HasSuffix(got, "    break ␛[2J") {
		t.Errorf("the second line of a message for people: %q", got)
	}
	for range 3 {
		s.kill()
		s.restart()
		send(20)
	}
	check(bySession, 22, 81)
	check(byKey, 22, 81)
	if err := bySession.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for line := range bySession.lines {
		t.Errorf("one line too many: %s", line)
	}
	if err := bySession.cmd.Wait(); err != nil {
		t.Errorf("SIGINT is no failure: %v\n%s", err, bySession.errs)
	}
	b.user("alice").call("member.remove", object{"room": room, "user": "bob"})
	for range words.lines {
	}
	err := words.cmd.Wait()
	if said := words.errs.String(); err == nil || !strings.Contains(said, "no longer visible") && !strings.Contains(said, "that this user may see") {
		t.Errorf("the end of a membership: %v\n%s", err, words.errs)
	}
}

func TestTailSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.backend()
	room := b.newRoom("group", "alice", "bob")
	url := "http://" + s.addr
	for _, c := range []struct {
		says string
		args []string
	}{
		{"no room " + room, []string{"--user", "carol", room}},
		{"no room r_never", []string{"--user", "alice", "r_never"}},
		{"say who you are", []string{room}},
		{"--key needs --user", []string{"--key", b.key, room}},
		{"is alice's, and --user is bob", []string{"--token", s.token("alice"), "--user", "bob", room}},
		{"not a token", []string{"--token", "nonsense", room}},
		{"--token-command: exit status 3: no luck", []string{"--token-command", "echo no luck >&2; exit 3", room}},
		{"it was restored from an older copy", []string{"--user", "alice", "--after", "99", room}},
	} {
		cmd := exec.Command(filepath.Join(binaries, "parley"), slices.Concat([]string{"tail", "--url", url, "--data", s.dir, "--no-follow"}, c.args)...)
		cmd.Env = environment()
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte(c.says)) || bytes.Count(bytes.TrimSpace(out), []byte("\n")) > 0 {
			t.Errorf("parley tail %s: %v, and it does not say %q on one line:\n%s", strings.Join(c.args, " "), err, c.says, out)
		}
	}
	for _, args := range [][]string{
		{"--token-command", filepath.Join(binaries, "parley") + " token --user alice --data " + s.dir},
		{"--key", b.key, "--user", "bob"},
	} {
		out := command(t, append([]string{"tail", "--url", url, "--no-follow", "--from-start", room}, args...)...)
		if !strings.Contains(out, "#1 alice made the group test") {
			t.Errorf("parley tail %s printed %q", strings.Join(args, " "), out)
		}
	}
	out, err := exec.Command("sh", "-c", fmt.Sprintf("%s tail --url %s --data %s --user alice --from-start --no-follow --json %s 2>&1 | head -n 1",
		filepath.Join(binaries, "parley"), url, s.dir, room)).Output()
	_ = err // head's, which has what it wanted
	if bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("a closed pipe is no news: %s", out)
	}
}
