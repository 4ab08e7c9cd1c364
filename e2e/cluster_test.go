package e2e

import (
	"slices"
	"testing"

	"github.com/parley-im/parley/internal/testkit"
)

// cluster is a way to run Parley, with flags of the test's own.
type cluster struct {
	name  string
	start func(t *testing.T, flags ...string) []*server
}

// clusters are one node on SQLite, and two nodes on one PostgreSQL and one NATS.
func clusters() []cluster {
	return []cluster{
		{"one node, SQLite", func(t *testing.T, flags ...string) []*server {
			return []*server{start(t, slices.Concat(unlimited, flags)...)}
		}},
		{"two nodes, PostgreSQL and NATS", func(t *testing.T, flags ...string) []*server {
			return startTwo(t, testkit.StartNATS(t).URL, flags...)
		}},
	}
}

// startTwo starts two nodes of one cluster, joined by the broker at a URL.
func startTwo(t *testing.T, broker string, flags ...string) []*server {
	t.Helper()
	flags = slices.Concat([]string{"--store", testkit.StartPostgres(t).Database(t), "--broker", broker}, unlimited, flags)
	one := start(t, flags...)
	two := startIn(t, "parley", one.dir, flags...)
	return []*server{one, two}
}
