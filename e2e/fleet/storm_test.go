package fleet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/e2e/history"
)

// Everybody is cut off at once, while people talk: all are back soon, with nothing missing, and the store is asked at most twice for each. Whether they come
// back to the node that has what they have missed in memory, or to another.
func TestStorm(t *testing.T) {
	for _, elsewhere := range []bool{true, false} {
		if !elsewhere && !long() {
			continue // that is less work
		}
		t.Run(fmt.Sprint("elsewhere ", elsewhere), func(t *testing.T) {
			if asked := storm(t, scaled().storm, elsewhere, nil); asked > 2 {
				t.Errorf("a resume costs %.2f questions to the store", asked)
			}
		})
	}
}

// The negative control: sessions that read the log of every room when they are back, in place of resuming alone, cost more.
func TestStormFindsWhatIsAsked(t *testing.T) {
	if asked := storm(t, 100, false, func(w *wanderer) {
		for i, r := range w.of.f.rooms {
			if _, mine := w.places[r.id]; mine {
				w.Write(fmt.Appendf(nil, `{"id":%d,"method":"event.list","params":{"room":"%s","after":0}}`, i+2, r.id))
				w.Write(fmt.Appendf(nil, `{"id":%d,"method":"room.get","params":{"room":"%s"}}`, i+1000, r.id))
			}
		}
	}); asked <= 2 {
		t.Errorf("with four calls of each that came back there were %.2f questions to the store", asked)
	}
}

// storm cuts sessions off, and tells how many statements each that came back has cost, besides those that the load costs.
func storm(t *testing.T, sessions int, elsewhere bool, back func(w *wanderer)) (statements float64) {
	t.Helper()
	c := config("nats")
	c.Rooms, c.RoomSize = max(sessions/20, 10), 2
	c.Users = min(c.Rooms, 100)
	c.Heartbeat = 10 * time.Second // who is cut off is noticed by what is read
	c.Settings = []string{"shared_preload_libraries=pg_stat_statements", "pg_stat_statements.max=1000"}
	f := Start(t, c)
	t.Logf("seed %d, %d sessions in two of %d rooms each, %d messages a second", c.Seed, sessions, c.Rooms, c.PerSecond)
	f.Gather()
	all := f.crowd(sessions, back)
	f.Talk()
	counts := newStatements(t, f)
	while := 2 * scaled().steady
	wait(while)
	quiet, before := counts.read(), f.metrics()
	wait(while)
	rate := counts.read().minus(quiet).per(while)
	calm := f.Peaks()
	if elsewhere {
		all.move()
	}
	from, began := counts.read(), time.Now()
	came, caughtUp := all.storm(time.Minute)
	during := counts.read().minus(from).minus(rate.times(time.Since(began)))
	after := f.metrics()
	t.Logf("all %d were back after %v and had everything after %v", sessions, came.Round(time.Millisecond), caughtUp.Round(time.Millisecond))
	t.Logf("before: %s", calm)
	t.Logf("to the end: %s", f.Peaks())
	t.Logf("statements of a resume, besides what the load takes: %s", during.each(sessions))
	t.Logf("%.0f reads of logs, beside %.0f events replayed, %.0f holes filled, %.0f resets", during.of("FROM events e"), after["parley_replayed_events_total"]-before["parley_replayed_events_total"],
		after["parley_fills_total"]-before["parley_fills_total"], after["parley_resets_total"]-before["parley_resets_total"])
	v := f.Finish()
	t.Log(v.Report)
	deliveries := history.Deliveries(v.Entries)
	t.Logf("deliveries: %v", history.Of(deliveries, func(history.Delivery) bool { return true }))
	if err := f.Err(v); err != nil {
		t.Error(err)
	}
	return during.sum() / float64(sessions)
}

// metrics are the sums over the nodes.
func (f *Fleet) metrics() map[string]float64 {
	sums := map[string]float64{}
	for _, n := range f.Nodes {
		values, err := n.Metrics()
		if err != nil {
			f.T.Fatal(err)
		}
		for name, v := range values {
			sums[name] += v
		}
	}
	return sums
}

// statements reads how often each statement was carried out.
type statements struct {
	t    *testing.T
	conn *pgx.Conn
}

func newStatements(t *testing.T, f *Fleet) *statements {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.Postgres.URL)
	if err == nil {
		_, err = conn.Exec(t.Context(), "CREATE EXTENSION pg_stat_statements")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return &statements{t, conn}
}

// counts are numbers of statements, by their text.
type counts map[string]float64

// read are the statements so far, without those that only frame others.
func (s *statements) read() counts {
	s.t.Helper()
	rows, err := s.conn.Query(s.t.Context(), `SELECT query, sum(calls)::float8 FROM pg_stat_statements
		WHERE dbid <> (SELECT oid FROM pg_database WHERE datname = 'postgres') AND query !~* '^(begin|commit|rollback|savepoint|release|set|-- ping)' GROUP BY query`)
	if err != nil {
		s.t.Fatal(err)
	}
	c := counts{}
	var query string
	var calls float64
	if _, err := pgx.ForEachRow(rows, []any{&query, &calls}, func() error {
		c[strings.Join(strings.Fields(query), " ")] += calls
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (c counts) mapped(do func(query string, calls float64) float64) counts {
	made := counts{}
	for query, calls := range c {
		made[query] = do(query, calls)
	}
	return made
}

// minus is never below 0: what the load takes less of than before makes nothing else cheaper.
func (c counts) minus(o counts) counts {
	return c.mapped(func(query string, calls float64) float64 { return max(calls-o[query], 0) })
}

func (c counts) per(d time.Duration) counts {
	return c.mapped(func(_ string, calls float64) float64 { return calls / d.Seconds() })
}

func (c counts) times(d time.Duration) counts {
	return c.mapped(func(_ string, calls float64) float64 { return calls * d.Seconds() })
}

func (c counts) sum() float64 { return c.of("") }

// of is how often statements with some words were carried out.
func (c counts) of(words string) (n float64) {
	for query, calls := range c {
		if strings.Contains(query, words) {
			n += calls
		}
	}
	return n
}

// each tells the statements of which there is one for every fifty sessions at least.
func (c counts) each(sessions int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.2f in all", c.sum()/float64(sessions))
	for query, calls := range c {
		if n := calls / float64(sessions); n >= 0.02 {
			fmt.Fprintf(&b, "\n%6.2f × %.100s", n, query)
		}
	}
	return b.String()
}
