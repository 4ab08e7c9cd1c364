package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/bench"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server, and returns a short run against it.
func serve(t *testing.T, change func(*config.Config)) bench.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Drain = t.TempDir(), "127.0.0.1:0", 10*time.Millisecond
	cfg.Limits.MessagesPerSecond, cfg.Limits.Burst, cfg.Limits.RoomMessagesPerSecond, cfg.Limits.RoomBurst = 0, 0, 0, 0
	if change != nil {
		change(cfg)
	}
	server, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	secret, _, err := auth.EnsureSecret(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := auth.NewSigner(secret, auth.Terms{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return bench.Config{
		URLs: []string{"http://" + server.Addr()}, Duration: 500 * time.Millisecond,
		Sign: func(user string) (string, error) { return signer.Sign(auth.Claims{User: user, TTL: time.Hour}) },
	}
}

func run(t *testing.T, c bench.Config) bench.Report {
	t.Helper()
	report, err := bench.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestScenarios(t *testing.T) {
	base := serve(t, nil)
	for _, c := range []bench.Config{
		{Scenario: bench.Rooms, Users: 20, Inflight: 16},
		{Scenario: bench.Fanout, Users: 250, Inflight: 8},
		{Scenario: bench.Idle, Users: 60, RoomSize: 20, RoomsEach: 3},
		{Scenario: bench.Storm, Users: 40, Inflight: 4, Duration: time.Second},
		{Scenario: bench.Durable, Users: 8, Inflight: 16},
	} {
		t.Run(string(c.Scenario), func(t *testing.T) {
			c.URLs, c.Sign = base.URLs, base.Sign
			if c.Duration == 0 {
				c.Duration = base.Duration
			}
			r := run(t, c)
			if r.Broken() || r.Sent == 0 || r.Acked != r.Sent || r.Resets > 0 {
				t.Errorf("report %+v", r)
			}
			if c.Scenario == bench.Durable {
				if r.Expected != 0 {
					t.Errorf("%d deliveries were expected where nobody listens", r.Expected)
				}
				return
			}
			if r.Delivered != r.Expected || r.Delivered < r.Acked || r.DeliveryMS.P50 == 0 || r.AckMS.P999 < r.AckMS.P50 {
				t.Errorf("report %+v", r)
			}
			if c.Scenario == bench.Storm && (r.Reconnects < 40 || r.Storm.CaughtUpS == 0 || r.Storm.ResumeMS.Max == 0) {
				t.Errorf("report of the storm %+v", r)
			}
		})
	}
}

// Two addresses stand for two nodes: every room of two has one user at each.
func TestSeveralNodes(t *testing.T) {
	c := serve(t, nil)
	c.Scenario, c.Users, c.RoomSize, c.Inflight, c.URLs = bench.Rooms, 20, 2, 16, append(c.URLs, c.URLs...)
	c.Processes = []bench.Process{{Name: "both", PID: os.Getpid()}}
	r := run(t, c)
	if r.Broken() || r.Nodes == nil || r.Nodes.WithinMS.P50 == 0 || r.Nodes.AcrossMS.P50 == 0 {
		t.Errorf("report %+v, nodes %+v", r, r.Nodes)
	}
	if len(r.Processes) != 1 || r.Processes[0].CPUS <= 0 || r.Processes[0].MicrosPerMessage <= r.Processes[0].MicrosPerDelivery {
		t.Errorf("processes %+v", r.Processes)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "across nodes") || !strings.Contains(text.String(), "  both ") {
		t.Errorf("%v: the text:\n%s", err, text.String())
	}
}

// What a process has started counts with it, and one that is not there is said to be missing.
func TestProcesses(t *testing.T) {
	c := serve(t, nil)
	c.Scenario, c.Users = bench.Durable, 4
	shell := exec.Command("sh", "-c", "while :; do :; done & echo; wait")
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL)
		_ = shell.Wait()
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.Processes = []bench.Process{{Name: "shell", PID: shell.Process.Pid}}
	if r := run(t, c); r.Processes[0].CPUS <= 0 {
		t.Errorf("what the shell's child has used is missing: %+v", r.Processes)
	}
	c.Processes[0].PID = 1 << 30
	if _, err := bench.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no process") {
		t.Errorf("a process that is not there: %v", err)
	}
}

func TestLimitsAreToldOf(t *testing.T) {
	c := serve(t, func(cfg *config.Config) {
		cfg.Limits.MessagesPerSecond, cfg.Limits.Burst = 20, 2
	})
	c.Scenario, c.Users, c.Inflight, c.Duration = bench.Durable, 2, 20, 100*time.Millisecond
	r := run(t, c)
	if r.RateLimited == 0 || r.Acked != r.Sent || r.Broken() {
		t.Errorf("report %+v", r)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "--limits-messages-per-second 0 --limits-burst 0") {
		t.Errorf("%v: the text does not say how to lift the limits:\n%s", err, text.String())
	}
}

func TestHistory(t *testing.T) {
	c := serve(t, nil)
	var out bytes.Buffer
	c.Scenario, c.Users, c.Inflight, c.History = bench.Rooms, 5, 4, &out
	r := run(t, c)
	count := make(map[string]uint64)
	acked := make(map[string]bool)
	lines := bufio.NewScanner(&out)
	last := int64(0)
	for lines.Scan() {
		var e struct {
			T               int64
			Op, Phase, Conn string
			Room, Cid       string
			Seq             uint64
		}
		if err := json.Unmarshal(lines.Bytes(), &e, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if e.T < last || e.Conn == "" {
			t.Errorf("out of order or of nobody: %s", lines.Bytes())
		}
		last = e.T
		count[e.Op+" "+e.Phase]++
		if e.Op == "send" && e.Phase == "ok" {
			user, _, _ := strings.Cut(e.Conn, "#")
			acked[user+" "+e.Cid] = e.Seq > 0 && e.Room != ""
		}
	}
	if count["send invoke"] != r.Sent || uint64(len(acked)) != r.Acked || count["recv ok"] < r.Delivered || count["conn ok"] != 5 {
		t.Errorf("%v of %+v", count, r)
	}
}

func TestConfigsThatCannotWork(t *testing.T) {
	sign := func(string) (string, error) { return "", nil }
	for _, c := range []bench.Config{
		{Scenario: "nonsense", URLs: []string{"http://h"}, Sign: sign},
		{Scenario: bench.Rooms, Sign: sign},
		{Scenario: bench.Rooms, URLs: []string{"http://h"}},
		{Scenario: bench.Rooms, URLs: []string{"http://h"}, Sign: sign, Users: -1},
		{Scenario: bench.Rooms, URLs: []string{"http://h"}, Sign: sign, TextBytes: 1 << 20},
		{Scenario: bench.Rooms, URLs: []string{"http://h"}, Sign: sign, RoomSize: 500},
		{Scenario: bench.Idle, URLs: []string{"http://h"}, Sign: sign, Users: 1 << 30},
	} {
		if _, err := bench.Run(t.Context(), c); err == nil {
			t.Errorf("Run(%+v) begins", c)
		}
	}
}

// A server that breaks its promises is found out: frames are tampered with on their way to one session.
func TestBrokenPromisesAreFound(t *testing.T) {
	base := serve(t, nil)
	for name, test := range map[string]struct {
		tamper func(n int, line []byte) [][]byte // what becomes of the n-th event
		found  func(bench.Report) uint64
	}{
		"lost": {func(n int, line []byte) [][]byte {
			if n == 20 {
				return nil
			}
			return [][]byte{line}
		}, func(r bench.Report) uint64 { return r.Lost }},
		"lost at the end": {func(n int, line []byte) [][]byte {
			if n >= 20 {
				return nil
			}
			return [][]byte{line}
		}, func(r bench.Report) uint64 { return r.Lost }},
		"duplicated": {func(n int, line []byte) [][]byte {
			if n == 20 {
				return [][]byte{line, line}
			}
			return [][]byte{line}
		}, func(r bench.Report) uint64 { return r.Duplicated }},
		"reordered": {swapped(), func(r bench.Report) uint64 { return r.Reordered }},
		"another's words": {func(n int, line []byte) [][]byte {
			return [][]byte{bytes.Replace(line, []byte(`"client_id":"`), []byte(`"client_id":"9`), 1)}
		}, func(r bench.Report) uint64 { return r.Strange }},
	} {
		t.Run(name, func(t *testing.T) {
			c := base
			c.Scenario, c.Users, c.Inflight, c.Settle = bench.Fanout, 5, 8, 300*time.Millisecond
			var once sync.Once
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				once.Do(func() { conn = tampered(conn, test.tamper) })
				return conn, err
			}
			r := run(t, c)
			if test.found(r) == 0 || !r.Broken() {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// swapped lets the 20th event come after the 21st.
func swapped() func(n int, line []byte) [][]byte {
	var held []byte
	return func(n int, line []byte) [][]byte {
		switch n {
		case 20:
			held = bytes.Clone(line)
			return nil
		case 21:
			return [][]byte{line, held}
		}
		return [][]byte{line}
	}
}

// tampered changes the messages that come over a WebSocket.
func tampered(conn net.Conn, tamper func(n int, line []byte) [][]byte) net.Conn {
	read, write := io.Pipe()
	go func() {
		in := bufio.NewReader(conn)
		err := func() error {
			for line := ""; line != "\r\n"; { // the handshake
				var err error
				if line, err = in.ReadString('\n'); err != nil {
					return err
				}
				if _, err := io.WriteString(write, line); err != nil {
					return err
				}
			}
			for n := 0; ; {
				h, err := ws.ReadHeader(in)
				if err != nil {
					return err
				}
				f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
				if _, err := io.ReadFull(in, f.Payload); err != nil {
					return err
				}
				if f.Header.OpCode == ws.OpText {
					var lines [][]byte
					for line := range protocol.Lines(f.Payload) {
						if bytes.HasPrefix(line, []byte(`{"event":"message.created"`)) {
							n++
							lines = append(lines, tamper(n, line)...)
						} else {
							lines = append(lines, line)
						}
					}
					f = ws.NewTextFrame(bytes.Join(lines, []byte("\n")))
				}
				if err := ws.WriteFrame(write, f); err != nil {
					return err
				}
			}
		}()
		write.CloseWithError(err)
	}()
	return &piped{Conn: conn, read: read}
}

// piped reads from a pipe instead of the connection. Deadlines of reading do not reach it.
type piped struct {
	net.Conn
	read *io.PipeReader
}

func (p *piped) Read(b []byte) (int, error) { return p.read.Read(b) }

func (p *piped) Close() error {
	p.read.Close()
	return p.Conn.Close()
}
