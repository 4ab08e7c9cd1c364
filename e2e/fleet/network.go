package fleet

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// namespace is a network of one node's own: a pair of virtual cables leads out of it, and can be cut.
type namespace struct {
	name         string
	cable        string // our end
	outer, inner string // the addresses of the ends
	file         *os.File
}

// newNamespace makes one, until the end of the test. Without root the test is skipped; where root cannot either, it is skipped, or fails where CI is set in the
// environment.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED WITHOUT ROOT: a network namespace takes it")
	}
	n := os.Getpid() % 16384 // its own among the tests of this machine
	ns := &namespace{
		name: fmt.Sprint("parley", os.Getpid()), cable: fmt.Sprint("pv", os.Getpid()),
		outer: fmt.Sprintf("10.213.%d.%d", n/64, n%64*4+1), inner: fmt.Sprintf("10.213.%d.%d", n/64, n%64*4+2),
	}
	if err := ns.ip("netns", "add", ns.name); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED WITHOUT A NETWORK NAMESPACE: install iproute2, and run where namespaces are allowed: ", err)
	}
	t.Cleanup(func() {
		if ns.file != nil {
			ns.file.Close()
			if err := ns.ip("link", "del", ns.cable); err != nil { // it would go with the namespace, but some time later
				t.Error(err)
			}
		}
		if err := ns.ip("netns", "del", ns.name); err != nil {
			t.Error(err)
		}
	})
	for _, words := range []string{
		"link add " + ns.cable + " type veth peer name out netns " + ns.name,
		"addr add " + ns.outer + "/30 dev " + ns.cable,
		"link set " + ns.cable + " up",
		"-n " + ns.name + " addr add " + ns.inner + "/30 dev out",
		"-n " + ns.name + " link set out up",
		"-n " + ns.name + " link set lo up",
	} {
		if err := ns.ip(strings.Fields(words)...); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if ns.file, err = os.Open("/run/netns/" + ns.name); err != nil {
		t.Fatal(err)
	}
	return ns
}

func (ns *namespace) ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// cut takes the cable out, or puts it in again. Nobody is told: packets vanish.
func (ns *namespace) cut(t testing.TB, out bool) {
	t.Helper()
	how := "up"
	if out {
		how = "down"
	}
	if err := ns.ip("link", "set", ns.cable, how); err != nil {
		t.Fatal(err)
	}
}

// lend has an address on the loopback interface within lead to the same on ours, over the cable, on which everything is under way for so long.
func (ns *namespace) lend(t testing.TB, loopback string, delay time.Duration) {
	t.Helper()
	outer := NewProxy(t, "tcp", loopback, ns.outer)
	outer.Delay(delay)
	out := outer.Addr()
	var l net.Listener
	err := ns.within(func() (err error) {
		l, err = net.Listen("tcp", loopback)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, func() (conn net.Conn, err error) {
		err = ns.within(func() (err error) {
			conn, err = (&net.Dialer{FallbackDelay: -1}).Dial("tcp4", out)
			return err
		})
		return conn, err
	})
}

// within does something that makes sockets, on a thread that is in the namespace and is not used again.
func (ns *namespace) within(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the namespace: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}
