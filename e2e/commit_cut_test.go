package e2e

import (
	"net/url"
	"testing"

	"github.com/parley-im/parley/e2e/fleet"
	"github.com/parley-im/parley/internal/testkit"
)

// Connections to PostgreSQL are cut between COMMIT and its answer, under full load: the server must find out what became of each commit, so that nothing is
// lost and nothing is stored twice.
func TestConnectionsCutAtCommit(t *testing.T) {
	want := cycles(30, 2000)
	database, err := url.Parse(testkit.StartPostgres(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	p := fleet.NewProxy(t, "unix", database.Query().Get("host")+"/.s.PGSQL.5432", "127.0.0.1")
	s := start(t, append([]string{"--store", "postgres://postgres@" + p.Addr() + database.Path + "?sslmode=disable"}, unlimited...)...)
	p.CutCommits(want)
	duration := "6s"
	if long() {
		duration = "120s"
	}
	r := s.bench(t, "rooms", "--users", "100", "--room-size", "5", "--duration", duration).wait()
	cuts := want - p.Left()
	if r.Lost+r.Duplicated+r.Reordered != 0 || r.Acked == 0 {
		t.Errorf("after %d cuts: %+v", cuts, r)
	}
	if cuts < want {
		t.Errorf("only %d of %d cuts were made", cuts, want)
	}
	t.Logf("%d cuts: %+v", cuts, r)
}
