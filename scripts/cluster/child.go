package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The times of a child.
const (
	startTime = 90 * time.Second // the slowest engine, on a slow machine
	stopTime  = 20 * time.Second // to end by itself, once it was asked
	awayTime  = 10 * time.Second // between its end and its next start, so that one can see the others go on
)

// child is a program that is kept running: when it ends it is started again, the same way, until it is told to stop.
type child struct {
	name  string
	where string       // what it is reached at, for people
	ready string       // what it writes once it can be used
	first func() error // what is done before its first start; nil: nothing
	stop  syscall.Signal
	as    *syscall.Credential // nil: ourselves
	dir   string
	env   []string // besides ours
	argv  []string

	pid   atomic.Int64  // 0: it does not run
	log   string        // the file with what it writes
	up    chan struct{} // closed when it is ready for the first time
	ended chan struct{} // closed when it runs no more and is not started again
	end   context.CancelFunc
}

// errEnd says that we were told to end before a child was ready.
var errEnd = errors.New("told to end")

// begin starts it and returns once it is ready, or errEnd when end comes first; it is to be finished also when there is an error. tell hears of what becomes
// of it later.
func (c *child) begin(logs string, tell func(format string, args ...any), end <-chan os.Signal) error {
	c.log, c.up, c.ended = filepath.Join(logs, c.name+".log"), make(chan struct{}), make(chan struct{})
	var ctx context.Context
	ctx, c.end = context.WithCancel(context.Background())
	failed := make(chan error, 1)
	if c.first != nil {
		if err := c.first(); err != nil {
			close(c.ended)
			return err
		}
	}
	go func() {
		defer close(c.ended)
		// Children die with us, even when we are killed: with the thread that started them, which therefore stays.
		runtime.LockOSThread()
		for {
			err := c.run(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case !c.wasUp():
				failed <- err
				return
			}
			tell("%s has ended (%v); it is started again in %v", c.name, err, awayTime)
			select {
			case <-ctx.Done():
				return
			case <-time.After(awayTime):
				tell("%s is started again", c.name)
			}
		}
	}()
	select {
	case <-c.up:
		return nil
	case err := <-failed:
		return fmt.Errorf("%s has not started: %w\n%s", c.name, err, c.lastLines())
	case <-end:
		return errEnd
	case <-time.After(startTime):
		return fmt.Errorf("%s is not ready after %v; %s says why", c.name, startTime, c.log)
	}
}

func (c *child) wasUp() bool {
	select {
	case <-c.up:
		return true
	default:
		return false
	}
}

// run is one life of the program. When ctx ends it is asked to stop, and then killed.
func (c *child) run(ctx context.Context) error {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	// In a group of its own, so that Ctrl-C comes to us alone: we know in which order things end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, Credential: c.as}
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(c.stop) }, stopTime
	w := &watch{log: log, text: []byte(c.ready), up: func() {
		if !c.wasUp() {
			close(c.up)
		}
	}}
	cmd.Stdout, cmd.Stderr = w, w // one writer: its calls come one after the other
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pid.Store(int64(cmd.Process.Pid))
	defer c.pid.Store(0)
	if err := cmd.Wait(); err != nil {
		return err
	}
	return errors.New("by itself")
}

// finish ends it and waits until it has.
func (c *child) finish() {
	c.end()
	<-c.ended
}

// lastLines is the end of what it has written.
func (c *child) lastLines() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// watch writes what a program says to its log, and looks for a text in it.
type watch struct {
	log  *os.File
	text []byte
	rest []byte // the line that is not whole yet
	up   func()
}

func (w *watch) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	if bytes.Contains(w.rest, w.text) {
		w.up()
	}
	if end := bytes.LastIndexByte(w.rest, '\n'); end >= 0 {
		w.rest = append(w.rest[:0], w.rest[end+1:]...)
	}
	return w.log.Write(p)
}
