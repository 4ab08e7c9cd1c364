package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// madeCluster is what `make cluster` runs.
type madeCluster struct {
	*server
	cmd   *exec.Cmd
	ended chan error
	out   *tail
	mark  string // in the environment of all its processes
	pids  map[string]int
}

// makeCluster starts a cluster and waits until it says what to open.
func makeCluster(t *testing.T, dir string) *madeCluster {
	t.Helper()
	c := &madeCluster{
		server: &server{t: t, binary: "parley", dir: filepath.Join(dir, "parley")},
		ended:  make(chan error, 1), out: &tail{}, mark: fmt.Sprint("MADE_BY=", t.Name(), os.Getpid(), time.Now().UnixNano()), pids: map[string]int{},
	}
	c.cmd = exec.Command(filepath.Join(binaries, "cluster"), "-data", dir, "-parley", filepath.Join(binaries, "parley"), "-listen", "127.0.0.1:0")
	c.cmd.Env = append(environment(), c.mark)
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // most have ended
		if t.Failed() {
			t.Logf("the cluster said:\n%s", c.out)
		}
	})
	opens := regexp.MustCompile(`Open http://(\S+) in`)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if found := opens.FindStringSubmatch(c.out.String()); found != nil {
			c.addr = found[1]
			break
		}
		select {
		case err := <-c.ended:
			t.Fatalf("the cluster has ended: %v\n%s", err, c.out)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("the cluster is not ready:\n%s", c.out)
		}
	}
	waitFor(t, "the table is whole", func() bool { return bytes.Contains([]byte(c.out.String()), []byte("Ctrl-C")) })
	for _, row := range regexp.MustCompile(`(?m)^  (\S+) +(\d+)   \S`).FindAllStringSubmatch(c.out.String(), -1) {
		c.pids[row[1]], _ = strconv.Atoi(row[2]) // digits
	}
	if len(c.pids) != 8 {
		t.Fatalf("the table names %v", c.pids)
	}
	return c
}

// processes are those that carry the mark.
func (c *madeCluster) processes() (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well formed
	for _, file := range all {
		if environ, err := os.ReadFile(file); err == nil && bytes.Contains(environ, []byte(c.mark)) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// on opens sessions of a user until one is on another node than those given.
func (c *madeCluster) on(user string, not ...any) *client {
	c.t.Helper()
	var s *client
	waitFor(c.t, "a session of "+user+" is on another node", func() bool {
		s = c.connect(user, nil)
		for _, node := range not {
			if s.hello["node"] == node {
				return false
			}
		}
		return true
	})
	return s
}

// `make cluster` gives a cluster that one can talk on, that goes on when a node is killed, starts it again, ends with everything that it started, also when it is
// killed itself, and finds its data when it is started again.
func TestMakeCluster(t *testing.T) {
	build := exec.Command("go", "build", "-o", filepath.Join(binaries, "cluster"), "../scripts/cluster")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir, err := os.MkdirTemp("", "parley-made-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL does not run as root
		t.Fatal(err)
	}
	c := makeCluster(t, dir)
	if n := len(c.processes()); n < 9 {
		t.Errorf("%d processes have the mark: this test sees not all", n)
	}
	alice := c.on("alice")
	bob := c.on("bob", alice.hello["node"])
	room := alice.call("room.create", object{"kind": "direct", "members": []string{"bob"}})["room"].(object)["id"].(string)
	bob.expect("what Alice says", event(room, alice.send(room, "1", "hello")))
	node := alice.hello["node"].(string)
	if err := syscall.Kill(c.pids["node-"+node], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := c.on("alice", node)
	again.expect("what Bob says", event(room, bob.send(room, "2", "still here")))
	waitFor(c.t, "the node is started again", func() bool {
		return bytes.Contains([]byte(c.out.String()), []byte("node-"+node+" is started again"))
	})
	c.end(syscall.SIGINT)

	c = makeCluster(t, dir)
	if head := c.on("bob").call("room.get", object{"room": room})["head"]; head != float64(3) {
		t.Errorf("after a restart the head is %v", head)
	}
	second := exec.Command(filepath.Join(binaries, "cluster"), "-data", dir)
	if out, err := second.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("a cluster runs on "+dir+" already")) {
		t.Errorf("a second one on the same data: %v\n%s", err, out)
	}
	c.end(syscall.SIGKILL)
}

// end sends a signal, and sees that everything has ended.
func (c *madeCluster) end(sig syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatal(err)
	}
	if err := <-c.ended; err != nil && sig != syscall.SIGKILL {
		c.t.Errorf("it ended with %v", err)
	}
	if sig != syscall.SIGKILL {
		if left := c.processes(); len(left) > 0 {
			c.t.Errorf("it has left the processes %v", left)
		}
	}
	waitFor(c.t, "nothing is left", func() bool { return len(c.processes()) == 0 })
}
