package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// startTimeout is far more than a server on an empty data directory needs.
const startTimeout = 60 * time.Second

// launch starts a server that dies with us, by the Pdeathsig of the command, and returns when a line of its output says that it is ready. ended is closed when
// the process is gone. What it writes is kept in log.
func launch(cmd *exec.Cmd, output io.Reader, log *tail, readyLine string) (ended <-chan struct{}, err error) {
	ready, gone := make(chan error, 1), make(chan struct{})
	tell := func(err error) {
		select {
		case ready <- err:
		default: // launch has its answer
		}
	}
	go func() {
		defer close(gone)
		// The signal at our death comes with the death of the thread that started the process, so that this goroutine keeps it until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			tell(err)
			return
		}
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			log.add(lines.Text())
			if strings.Contains(lines.Text(), readyLine) {
				tell(nil)
			}
		}
		tell(fmt.Errorf("the server ended: %v", cmd.Wait()))
	}()
	select {
	case err = <-ready:
	case <-time.After(startTimeout):
		err = errors.New("the server does not come up")
	}
	return gone, err
}

// tail keeps the last lines that a server wrote.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (l *tail) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines = append(l.lines, line); len(l.lines) > 50 {
		l.lines = l.lines[1:]
	}
}

// String is what was kept.
func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// freePorts finds ports on the loopback interface that nobody listens on.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
