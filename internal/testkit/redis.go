package testkit

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Redis is a Redis server of one test's own, on the loopback interface. Its methods are for one goroutine.
type Redis struct {
	URL string

	t       testing.TB
	program string
	dir     string
	addr    string
	keeps   bool // on the disk

	server *os.Process     // nil: it does not run
	ended  <-chan struct{} // closed when the process is gone
	log    *tail
}

// StartRedis starts a server that keeps nothing on the disk, and stops it at the end of the test. Without Redis on the machine the test is skipped, or fails
// where CI is set in the environment.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	return startRedis(t, false)
}

// StartDurableRedis is as StartRedis, with a server that has everything on the disk before it answers, and still has it after a kill and a start.
func StartDurableRedis(t testing.TB) *Redis {
	t.Helper()
	return startRedis(t, true)
}

func startRedis(t testing.TB, keeps bool) *Redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED WITHOUT REDIS: install it (Debian: apt-get install redis-server): ", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	r := &Redis{URL: "redis://" + addr, t: t, program: program, dir: t.TempDir(), addr: addr, keeps: keeps}
	t.Cleanup(r.Kill)
	r.Start()
	return r
}

// Start starts a server that was killed, at the same address and with nothing in it but what it has kept, and returns when it takes connections.
func (r *Redis) Start() {
	r.t.Helper()
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	appendOnly := "no"
	if r.keeps {
		appendOnly = "yes"
	}
	cmd := exec.Command(r.program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", appendOnly, "--appendfsync", "always")
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	r.log = &tail{}
	if r.ended, err = launch(cmd, stdout, r.log, "eady to accept connections"); err != nil {
		r.t.Fatalf("%v\n%s", err, r.log)
	}
	r.server = cmd.Process
}

// Kill ends the server as a crash does, and returns when it is gone. One that does not run is left alone.
func (r *Redis) Kill() {
	r.t.Helper()
	if r.server == nil {
		return
	}
	if err := r.server.Kill(); err != nil {
		r.t.Errorf("kill the server: %v", err)
	}
	<-r.ended
	r.server = nil
}

// Pause stops the server without ending it or its connections, until resume is called.
func (r *Redis) Pause() (resume func()) {
	r.t.Helper()
	if err := r.server.Signal(syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		if err := r.server.Signal(syscall.SIGCONT); err != nil {
			r.t.Error(err)
		}
	}
}

// Flush deletes everything in the server.
func (r *Redis) Flush() { r.Command("FLUSHALL") }

// Command carries out a command and returns the beginning of the answer as the server wrote it.
func (r *Redis) Command(words ...string) string {
	r.t.Helper()
	conn, err := net.DialTimeout("tcp", r.addr, startTimeout)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	command := "*" + strconv.Itoa(len(words)) + "\r\n"
	for _, word := range words {
		command += "$" + strconv.Itoa(len(word)) + "\r\n" + word + "\r\n"
	}
	answer := make([]byte, 4<<10)
	n := 0
	if err = conn.SetDeadline(time.Now().Add(startTimeout)); err == nil {
		if _, err = conn.Write([]byte(command)); err == nil {
			n, err = conn.Read(answer)
		}
	}
	if err != nil || answer[0] == '-' {
		r.t.Fatalf("%v: %v %s", words, err, answer[:n])
	}
	return string(answer[:n])
}
