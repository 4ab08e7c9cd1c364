package store_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/store/storetest"
	"github.com/parley-im/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "parley.db") })
}

func TestPostgreSQL(t *testing.T) {
	// What is tested here is what it answers, not what a power cut leaves. A transaction of the autovacuum would make "what changed" repeat older changes,
	// which it may, and the tests tell exactly what they expect.
	server := testkit.StartPostgres(t, "fsync=off", "autovacuum=off")
	storetest.Run(t, server.Database)
}
