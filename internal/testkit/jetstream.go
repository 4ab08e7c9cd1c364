package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// JetStream is a NATS server of one test's own, with JetStream, in a process of its own on the loopback interface: it can be killed. Its methods are for one goroutine.
type JetStream struct {
	URL string

	t       testing.TB
	program string
	args    []string

	server *os.Process     // nil: it does not run
	ended  <-chan struct{} // closed when the process is gone
	log    *tail
}

// StartJetStream starts a server, which is built from the module that our go.mod names, and stops it at the end of the test.
func StartJetStream(t testing.TB) *JetStream {
	t.Helper()
	return startJetStream(t, 1)[0]
}

// StartJetStreamCluster starts three servers that are one cluster.
func StartJetStreamCluster(t testing.TB) []*JetStream {
	t.Helper()
	return startJetStream(t, 3)
}

func startJetStream(t testing.TB, count int) []*JetStream {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "nats-server")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build the NATS server: %v\n%s", err, out)
	}
	ports := freePorts(t, 2*count)
	var routes []string
	for _, port := range ports[count:] {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", port))
	}
	var servers []*JetStream
	for i, port := range ports[:count] {
		n := &JetStream{URL: fmt.Sprintf("nats://127.0.0.1:%d", port), t: t, program: program}
		n.args = []string{"-a", "127.0.0.1", "-p", strconv.Itoa(port), "-js", "-sd", filepath.Join(dir, "data"+strconv.Itoa(i)), "-n", "n" + strconv.Itoa(i)}
		if count > 1 {
			n.args = append(n.args, "-cluster_name", "parley", "-cluster", fmt.Sprintf("nats://127.0.0.1:%d", ports[count+i]), "-routes", strings.Join(routes, ","))
		}
		t.Cleanup(n.Kill)
		n.Start()
		servers = append(servers, n)
	}
	return servers
}

// Start starts a server that was killed, at the same address and with what it has kept, and returns when it takes connections.
func (n *JetStream) Start() {
	n.t.Helper()
	cmd := exec.Command(n.program, n.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.log = &tail{}
	if n.ended, err = launch(cmd, stderr, n.log, "Server is ready"); err != nil {
		n.t.Fatalf("%v\n%s", err, n.log)
	}
	n.server = cmd.Process
}

// Kill ends the server as a crash does, and returns when it is gone. One that does not run is left alone.
func (n *JetStream) Kill() {
	n.t.Helper()
	if n.server == nil {
		return
	}
	if err := n.server.Kill(); err != nil {
		n.t.Errorf("kill the server: %v", err)
	}
	<-n.ended
	n.server = nil
}
