package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/testkit"
)

var binaries string // the folder of the binaries that TestMain built

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "parley-e2e-")
	if err != nil {
		panic(err)
	}
	binaries = dir
	if err := build("parley"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds the binary under a name, with build tags.
func build(name string, tags ...string) error {
	cmd := exec.Command("go", "build", "-tags", strings.Join(tags, ","), "-o", filepath.Join(binaries, name), "../cmd/parley")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

// long says whether the long forms were asked for.
func long() bool { return os.Getenv("PARLEY_E2E_LONG") != "" }

// server is one server process and what it was started with.
type server struct {
	t      testing.TB
	binary string
	dir    string
	flags  []string
	env    []string // beside the test's own
	addr   string   // stays the same over restarts, and so does admin
	admin  string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	log    *tail
}

// tail keeps the end of what a process has logged.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if len(l.buf) > 64<<10 {
		l.buf = bytes.Clone(l.buf[len(l.buf)-32<<10:])
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}

// engine is a store, for a test that is the same on each.
type engine struct {
	name  string
	flags func(t *testing.T) []string // of serve, and of the commands that open the store
}

func engines() []engine {
	return []engine{
		{"SQLite", func(*testing.T) []string { return nil }},
		{"PostgreSQL", func(t *testing.T) []string { return []string{"--store", testkit.StartPostgres(t).Database(t)} }},
	}
}

// unlimited lifts the rate limits.
var unlimited = []string{
	"--limits-messages-per-second=0", "--limits-burst=0", "--limits-room-messages-per-second=0", "--limits-room-burst=0", "--limits-calls-per-second=0",
}

// start starts a server with a data folder of its own and waits until it listens. It is killed at the end of the test.
func start(t testing.TB, flags ...string) *server {
	t.Helper()
	return startIn(t, "parley", t.TempDir(), flags...)
}

func startIn(t testing.TB, binary, dir string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, binary: binary, dir: dir, flags: flags, addr: "127.0.0.1:0", log: &tail{}}
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", s.log)
		}
	})
	return s
}

// run starts the process on the address that it had before, if any.
func (s *server) run() error {
	cmd := exec.Command(filepath.Join(binaries, s.binary),
		append([]string{"serve", "--listen", s.addr, "--data", s.dir, "--log-format", "json", "--admin-listen", cmp.Or(s.admin, "127.0.0.1:0")}, s.flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(environment(), s.env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	listening := make(chan map[string]any, 1)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		r := bufio.NewReader(io.TeeReader(stderr, s.log))
		for {
			line, err := r.ReadBytes('\n')
			var entry map[string]any
			if json.Unmarshal(line, &entry) == nil && entry["msg"] == "listening" {
				select {
				case listening <- entry:
				default: // it was opened anew
				}
			}
			if err != nil {
				break
			}
		}
		_ = cmd.Wait() // how it ended is for the test to say
	}()
	select {
	case entry := <-listening:
		s.mu.Lock()
		s.cmd, s.exited = cmd, exited
		s.addr, s.admin = entry["addr"].(string), entry["admin"].(string)
		s.mu.Unlock()
		return nil
	case <-exited:
		return fmt.Errorf("the server ended before it listened:\n%s", s.log)
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		return fmt.Errorf("the server did not listen within 30 s:\n%s", s.log)
	}
}

// environment is ours without settings of Parley: what a server is told, it is told by flags.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PARLEY_") })
}

// kill pulls the plug, and returns when the process is gone.
func (s *server) kill() { s.signal(syscall.SIGKILL) }

// stop asks the process to end, and returns when it has.
func (s *server) stop() { s.signal(syscall.SIGTERM) }

func (s *server) signal(sig syscall.Signal) {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig) // it may have ended already
	<-exited
}

// signalOnly sends a signal and waits for nothing.
func (s *server) signalOnly(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid(), sig); err != nil {
		s.t.Fatal(err)
	}
}

// restart starts the server again, after it has ended.
func (s *server) restart() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatal(err)
	}
}

// pid is the process.
func (s *server) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// command runs one of the binary's other commands and returns what it printed.
func command(t testing.TB, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(filepath.Join(binaries, "parley"), args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, environment()
	if err := cmd.Run(); err != nil {
		t.Fatalf("parley %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String())
}

// token is a token of the user, made by the command line.
func (s *server) token(user string, more ...string) string {
	s.t.Helper()
	return command(s.t, append([]string{"token", "--data", s.dir, "--user", user}, more...)...)
}

// key is a new API key.
func (s *server) key(name string) string {
	s.t.Helper()
	args := []string{"key", "create", "--data", s.dir, "--name", name}
	for i, f := range s.flags {
		if f == "--store" {
			args = append(args, "--store", s.flags[i+1])
		}
	}
	return command(s.t, args...)
}

// backend is a back end with an API key.
type backend struct {
	t   testing.TB
	url string
	key string
	as  string // Parley-User
}

func (s *server) backend() *backend { return &backend{s.t, "http://" + s.addr, s.key("test"), ""} }

// user is the same back end calling for a user.
func (b *backend) user(id string) *backend { return &backend{b.t, b.url, b.key, id} }

// wireError is an error as the wire has it.
type wireError struct {
	Code         string `json:"code"`
	Message      string `json:"message"`
	Field        string `json:"field"`
	RetryAfterMS int64  `json:"retry_after_ms"`
	Scope        string `json:"scope"`
}

func (e *wireError) Error() string { return fmt.Sprintf("%s %s: %s", e.Code, e.Field, e.Message) }

// object is a JSON object.
type object = map[string]any

// try calls a method over HTTP.
func (b *backend) try(method string, params any) (object, error) {
	headers := map[string]string{"Authorization": "Bearer " + b.key}
	if b.as != "" {
		headers["Parley-User"] = b.as
	}
	_, result, err := post(b.url, method, headers, params)
	return result, err
}

// call calls a method that must succeed.
func (b *backend) call(method string, params any) object {
	b.t.Helper()
	result, err := b.try(method, params)
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	return result
}

// post makes one HTTP call. An error of the server is a *wireError.
func post(url, method string, headers map[string]string, params any) (status int, result object, err error) {
	body, err := json.Marshal(params)
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/"+method, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&result); err != nil {
		return resp.StatusCode, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var failed struct{ Error *wireError }
		again, _ := json.Marshal(result)
		if json.Unmarshal(again, &failed) != nil || failed.Error == nil {
			return resp.StatusCode, nil, errors.New("an answer that is no error: " + string(again))
		}
		return resp.StatusCode, nil, failed.Error
	}
	return resp.StatusCode, result, nil
}

// newRoom makes a room of the users, the first of them its owner, and returns its id.
func (b *backend) newRoom(kind string, users ...string) string {
	b.t.Helper()
	for _, u := range users {
		b.call("user.update", object{"user": u})
	}
	return b.user(users[0]).call("room.create", object{"kind": kind, "name": "test", "members": users[1:]})["room"].(object)["id"].(string)
}
