package doctor_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/doctor"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newConfig(t *testing.T) *config.Config {
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.Listen = "127.0.0.1:0"
	return cfg
}

// want fails the test unless something of this name was found with the verdict and the words.
func want(t *testing.T, cfg *config.Config, what string, verdict doctor.Verdict, words string) {
	t.Helper()
	findings := doctor.Examine(t.Context(), cfg)
	if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.What == what && f.Verdict == verdict && strings.Contains(f.Found, words)
	}) {
		t.Errorf("not found: %s %s with %q, in\n%+v", verdict, what, words, findings)
	}
	for _, f := range findings {
		if f.Verdict == doctor.Fail && f.Advice == "" && f.What != "secret" {
			t.Errorf("%s failed, and nothing says what to do: %s", f.What, f.Found)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFirstStart(t *testing.T) {
	cfg := newConfig(t)
	for what, words := range map[string]string{
		"data folder": "is made at the first start", "secret": "is made at the first start", "schema": "is made at the first start",
		"listen": "is free", "store": "SQLite", "broker": "none",
	} {
		want(t, cfg, what, doctor.Good, words)
	}
	if _, err := os.Stat(cfg.Data); err == nil {
		t.Error("looking has made the data folder")
	}
}

func TestDataFolder(t *testing.T) {
	cfg := newConfig(t)
	_, _, err := auth.EnsureSecret(cfg.Data)
	must(t, err)
	s, err := store.Open(t.Context(), store.Options{Data: cfg.Data})
	must(t, err)
	defer s.Close() // a server runs on it, and it is looked at all the same
	want(t, cfg, "secret", doctor.Good, cfg.Data)
	want(t, cfg, "schema", doctor.Good, "no event yet")
	must(t, os.Chmod(cfg.Data, 0o755))
	must(t, os.Chmod(filepath.Join(cfg.Data, "secret"), 0o644))
	want(t, cfg, "data folder", doctor.Warn, "0755")
	want(t, cfg, "secret", doctor.Fail, "open to others")
	entries, err := os.ReadDir(cfg.Data)
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), "doctor") {
			t.Errorf("looking has left %s", e.Name())
		}
	}
}

func TestDamagedStore(t *testing.T) {
	cfg := newConfig(t)
	must(t, os.Mkdir(cfg.Data, 0o700))
	must(t, os.WriteFile(filepath.Join(cfg.Data, "parley.db"), []byte(strings.Repeat("not a store ", 500)), 0o600))
	want(t, cfg, "store", doctor.Fail, "parley.db")
}

func TestLimits(t *testing.T) {
	cfg := newConfig(t)
	cfg.Limits.Connections = 1 << 40
	want(t, cfg, "open files", doctor.Fail, "files")
}

func TestPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	cfg := newConfig(t)
	cfg.Listen, cfg.AdminListen = l.Addr().String(), "192.0.2.1:80"
	want(t, cfg, "listen", doctor.Warn, "in use")
	want(t, cfg, "admin_listen", doctor.Fail, "192.0.2.1")
}

func TestBroker(t *testing.T) {
	for _, tt := range []struct {
		scheme, greeting string
		verdict          doctor.Verdict
	}{
		{"nats", "INFO {}\r\n", doctor.Good},
		{"nats", "220 mail", doctor.Warn},
		{"nats", "", doctor.Warn},
		{"redis", "+PONG\r\n", doctor.Good},
		{"redis", "-NOAUTH Authentication required.\r\n", doctor.Good},
		{"redis", "INFO {}\r\n", doctor.Warn},
		{"kafka", "\x00\x00\x01\x0aPley", doctor.Good},
		{"kafka", "INFO {}\r\n", doctor.Warn},
		{"amqp", "\x01\x00\x00\x00\x00\x01", doctor.Good},
		{"amqp", "AMQP\x00\x01\x00\x00", doctor.Warn}, // another version
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		greeted := make(chan struct{})
		go func() {
			defer close(greeted)
			if conn, err := l.Accept(); err == nil {
				_, _ = io.WriteString(conn, tt.greeting) // who does not read it is what is tested
				conn.Close()
			}
		}()
		cfg := newConfig(t)
		cfg.Broker = tt.scheme + "://" + l.Addr().String()
		if want(t, cfg, "broker", tt.verdict, l.Addr().String()); tt.scheme == "redis" {
			cfg.Broker, cfg.State = "", "redis://127.0.0.1:1"
			want(t, cfg, "state", doctor.Warn, "127.0.0.1:1")
		}
		l.Close()
		<-greeted
	}
}

func TestPostgres(t *testing.T) {
	server := testkit.StartPostgres(t, "fsync=off")
	cfg := newConfig(t)
	cfg.Store = server.Database(t)
	want(t, cfg, "schema", doctor.Good, "first start")
	want(t, cfg, "store", doctor.Fail, "fsync=off")
	s, err := store.Open(t.Context(), store.Options{URL: cfg.Store})
	must(t, err)
	must(t, s.Close())
	want(t, cfg, "schema", doctor.Good, "no event yet")
	cfg.Store = "postgres://nobody@127.0.0.1:1/none"
	want(t, cfg, "store", doctor.Fail, "cannot be reached")
}
