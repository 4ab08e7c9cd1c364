package testkit

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Node is where a load balancer finds a node: HOST:PORT of what its clients use, and of its operators' listener.
type Node struct{ Addr, Admin string }

// Balancer is a load balancer of one test's own, on the loopback interface, run in the foreground with a configuration that the project ships.
type Balancer struct {
	Addr        string // HOST:PORT, for TLS
	Certificate []byte // PEM: who trusts it trusts the balancer

	log *tail
}

// Log is the end of what the balancer has written, its access log included.
func (b *Balancer) Log() string { return b.log.String() }

// program finds a program that may be in a folder for administrators. Without it the test is skipped, or fails where CI is set in the environment.
func program(t testing.TB, name, packages string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skipf("SKIPPED WITHOUT %s: install it (Debian: apt-get install %s): %v", strings.ToUpper(name), packages, err)
	}
	return path
}

// freeAddr is an address of the loopback interface at which nobody listened a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().String()
}

// fill writes a configuration that is shipped to a file of the test's own, with what is the reader's to fill in replaced: in the lines marked "yours" and
// nowhere else. Each old text must be in such a line, and each such line must have one.
func fill(t testing.TB, shipped, path string, oldnew []string) {
	t.Helper()
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	used := map[string]bool{}
	for i, line := range lines {
		setting, _, yours := strings.Cut(line, "# yours")
		if !yours {
			continue
		}
		lines[i] = strings.NewReplacer(oldnew...).Replace(setting) + "\n"
		if lines[i] == setting+"\n" {
			t.Fatalf("%s: nothing is filled in here: %s", shipped, line)
		}
		for j := 0; j < len(oldnew); j += 2 {
			used[oldnew[j]] = used[oldnew[j]] || strings.Contains(setting, oldnew[j])
		}
	}
	for j := 0; j < len(oldnew); j += 2 {
		if !used[oldnew[j]] {
			t.Fatalf("%s: no line marked \"yours\" has %q", shipped, oldnew[j])
		}
	}
	writeFile(t, path, []byte(strings.Join(lines, "")))
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// check has a program look at its configuration.
func check(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}

// run starts a balancer that says when it is up, and ends it at the end of the test, with a signal on which it takes its own processes along.
func (b *Balancer) run(t testing.TB, readyLine, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	b.log = &tail{}
	ended, err := launch(cmd, output, b.log, readyLine)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.log)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stop %s: %v", filepath.Base(name), err)
		}
		<-ended
		if t.Failed() {
			t.Logf("the end of what %s has written:\n%s", filepath.Base(name), b.log)
		}
	})
}
