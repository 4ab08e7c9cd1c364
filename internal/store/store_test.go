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
	server := testkit.StartPostgres(t, "fsync=off") // what is tested here is what it answers, not what a power cut leaves
	storetest.Run(t, server.Database)
}
