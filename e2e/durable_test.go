package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/testkit"
)

// report is what `parley bench --json` prints, as far as these tests look at it.
type report struct {
	Sent, Acked, Delivered, Expected, Lost, Duplicated, Reordered int64
}

// load is a running `parley bench`.
type load struct {
	t   *testing.T
	cmd *exec.Cmd
	out bytes.Buffer
	err bytes.Buffer
}

func (s *server) bench(t *testing.T, scenario string, flags ...string) *load {
	t.Helper()
	l := &load{t: t}
	l.cmd = exec.Command(filepath.Join(binaries, "parley"), append([]string{"bench", scenario, "--url", "http://" + s.addr, "--data", s.dir, "--json"}, flags...)...)
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.err
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

// wait returns what the load generator found. It checks every acknowledged message against the logs and every delivery against the order, and exits with 1 when
// something is wrong.
func (l *load) wait() report {
	l.t.Helper()
	failed := l.cmd.Wait()
	var r report
	if err := json.Unmarshal(l.out.Bytes(), &r); err != nil {
		l.t.Fatalf("bench: %v, %v\n%s%s", failed, err, l.out.Bytes(), l.err.Bytes())
	}
	if failed != nil && r.Lost+r.Duplicated+r.Reordered == 0 {
		l.t.Fatalf("bench: %v\n%s", failed, l.err.Bytes())
	}
	return r
}

// cycles is how often a fault is injected.
func cycles(short, full int) int {
	if long() {
		return full
	}
	return short
}

// Under full load the server is killed again and again, on one data folder: nothing that was acknowledged may be missing, doubled or out of order (promises 1–5).
func TestKillUnderLoad(t *testing.T) {
	n := cycles(12, 100)
	for _, c := range engines() {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, append(c.flags(t), unlimited...)...)
			r := killUnderLoad(t, s, n)
			if r.Lost+r.Duplicated+r.Reordered != 0 || r.Acked == 0 {
				t.Errorf("after %d kills: %+v", n, r)
			}
			t.Logf("%d kills: %+v", n, r)
		})
	}
}

// The negative control: a server that acknowledges before it commits must be found out by the same test.
func TestKillUnderLoadFindsEarlyAcknowledgement(t *testing.T) {
	if err := build("parley-bugs", "bugs"); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, "parley-bugs", t.TempDir(), unlimited...)
	for range 3 {
		if r := killUnderLoad(t, s, 8); r.Lost > 0 {
			t.Logf("found out: %+v", r)
			return
		}
	}
	t.Error("a server that acknowledges before it commits was not found out in 24 kills")
}

func killUnderLoad(t *testing.T, s *server, kills int) report {
	t.Helper()
	// About half a second for each cycle, and time at the end for the clients to come back.
	before := s.metrics()["parley_fanout_events_total"]
	l := s.bench(t, "rooms", "--users", "100", "--room-size", "5", "--duration", fmt.Sprintf("%dms", kills*700+3000))
	for s.metrics()["parley_fanout_events_total"] < before+1000 { // the rooms are made, and people talk in them
		time.Sleep(50 * time.Millisecond)
	}
	random := rand.New(rand.NewPCG(uint64(kills), 1))
	for range kills {
		time.Sleep(200*time.Millisecond + time.Duration(random.IntN(400))*time.Millisecond) // the load goes on for a random time: that is the fault's moment
		s.kill()
		s.restart()
	}
	return l.wait()
}

// PostgreSQL is restarted at once, without a shutdown, under full load: commits whose answer is lost must be found out, not guessed.
func TestPostgresRestartsUnderLoad(t *testing.T) {
	n := cycles(5, 60)
	pg := testkit.StartPostgres(t)
	s := start(t, append([]string{"--store", pg.Database(t)}, unlimited...)...)
	l := s.bench(t, "rooms", "--users", "100", "--room-size", "5", "--duration", fmt.Sprintf("%dms", n*2000+4000))
	for range n {
		time.Sleep(500*time.Millisecond + rand.N(500*time.Millisecond)) // as above
		pg.Stop(testkit.Immediate)
		pg.Start()
	}
	r := l.wait()
	if r.Lost+r.Duplicated+r.Reordered != 0 || r.Acked == 0 {
		t.Errorf("after %d restarts of PostgreSQL: %+v", n, r)
	}
	t.Logf("%d restarts: %+v", n, r)
}
