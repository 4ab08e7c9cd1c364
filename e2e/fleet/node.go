package fleet

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Node is one server process. Its methods are for one goroutine.
type Node struct {
	Name  string
	Addr  string // HOST:PORT for clients; it stays, and so does Admin
	Admin string

	t         testing.TB
	binary    string
	host      string
	namespace string // "" is ours
	flags     []string

	process *os.Process // nil: it does not run
	ended   chan struct{}
	log     tail
}

// tail keeps the end of what a process has written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text = append(l.text, p...); len(l.text) > 64<<10 {
		l.text = bytes.Clone(l.text[len(l.text)-32<<10:])
	}
	return len(p), nil
}

// Log is the end of what the node has logged, over all its lives.
func (n *Node) Log() string {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return string(n.log.text)
}

// Start starts the node, at the address that it had before, and returns when it listens.
func (n *Node) Start() {
	n.t.Helper()
	free := net.JoinHostPort(n.host, "0")
	args := append([]string{n.binary, "serve", "--listen", cmp.Or(n.Addr, free), "--admin-listen", cmp.Or(n.Admin, free)}, n.flags...)
	if n.namespace != "" {
		args = append([]string{"ip", "netns", "exec", n.namespace}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = environment()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	listening := make(chan error, 1)
	n.ended = make(chan struct{})
	go n.run(cmd, stderr, listening)
	select {
	case err := <-listening:
		if err != nil {
			n.t.Fatalf("%s: %v\n%s", n.Name, err, n.Log())
		}
	case <-time.After(60 * time.Second):
		n.t.Fatalf("%s does not listen\n%s", n.Name, n.Log())
	}
	n.process = cmd.Process
}

// run is the life of a process.
func (n *Node) run(cmd *exec.Cmd, stderr io.Reader, listening chan<- error) {
	defer close(n.ended)
	// The signal at our death comes with the death of the thread that started the process, so that this goroutine keeps it until the end.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		listening <- err
		return
	}
	told := false
	in := bufio.NewReader(io.TeeReader(stderr, &n.log))
	for {
		line, err := in.ReadBytes('\n')
		var entry struct{ Msg, Addr, Admin string }
		if !told && json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
			if told = true; n.Addr == "" { // they stay
				n.Addr, n.Admin = entry.Addr, entry.Admin
			}
			listening <- nil
		}
		if err != nil {
			break
		}
	}
	err := cmd.Wait()
	if !told {
		listening <- errors.Join(errors.New("it ended before it listened"), err)
	}
}

// environment is ours without settings of Parley.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PARLEY_") })
}

// command runs another of the binary's commands.
func command(binary string, args ...string) ([]byte, error) {
	var errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Stderr = environment(), &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out, nil
}

// Kill ends the node as a crash does, and returns when it is gone.
func (n *Node) Kill() { n.signal(syscall.SIGKILL, true) }

// Stop asks the node to end, and returns when it has.
func (n *Node) Stop() { n.signal(syscall.SIGTERM, true) }

// Freeze stops the process where it is, until Thaw.
func (n *Node) Freeze() { n.signal(syscall.SIGSTOP, false) }

// Thaw has a frozen process go on.
func (n *Node) Thaw() { n.signal(syscall.SIGCONT, false) }

func (n *Node) signal(s syscall.Signal, last bool) {
	n.t.Helper()
	if n.process == nil {
		n.t.Fatalf("%s does not run", n.Name)
	}
	if err := n.process.Signal(s); err != nil {
		n.t.Fatalf("%s: %v\n%s", n.Name, err, n.Log())
	}
	if last {
		<-n.ended
		n.process = nil
	}
}

// end is for the end of the test.
func (n *Node) end() {
	if n.process != nil {
		_ = n.process.Kill() // it may have ended by itself, which the test has noticed
		<-n.ended
	}
	if n.t.Failed() {
		n.t.Logf("the end of the log of %s:\n%s", n.Name, n.Log())
	}
}

// Metrics are what the node tells its operators, by name and labels; an error if it does not within a second.
func (n *Node) Metrics() (map[string]float64, error) {
	c := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + n.Admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return values, nil
}
