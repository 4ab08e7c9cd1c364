package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/backup"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var moment = protocol.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

// newData makes a data folder whose store knows alice, and returns the store's epoch.
func newData(t *testing.T) (data, epoch string) {
	t.Helper()
	data = t.TempDir()
	if _, _, err := auth.EnsureSecret(data); err != nil {
		t.Fatal(err)
	}
	return data, use(t, data, func(s *store.Store) {
		if err := s.Ensure(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
	})
}

// use opens the store of a data folder as a server does.
func use(t *testing.T, data string, f func(*store.Store)) (epoch string) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f(s)
	return s.Epoch()
}

func makeBackup(t *testing.T, data string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Make(t.Context(), backup.Source{Data: data, Version: "test", Now: moment}, dir, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRestore(t *testing.T) {
	data, epoch := newData(t)
	dir := makeBackup(t, data)
	m, err := backup.Check(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != "test" || m.MadeAt != moment || len(m.Files) != 2 {
		t.Errorf("the manifest is %+v", m)
	}
	restored := filepath.Join(t.TempDir(), "new", "data")
	if _, err := backup.Restore(t.Context(), dir, restored); err != nil {
		t.Fatal(err)
	}
	after := use(t, restored, func(s *store.Store) {
		users, err := s.Get(t.Context(), []string{"alice"})
		if err != nil || len(users) != 1 {
			t.Errorf("the restored store knows %v, %v; want alice", users, err)
		}
	})
	if uuid, _, _ := strings.Cut(after, "."); strings.HasPrefix(epoch, uuid) {
		t.Errorf("the restored store has the epoch %s, which begins as the old one, %s", after, epoch)
	}
	secrets := map[string]string{}
	for name, dir := range map[string]string{"old": data, "new": restored} {
		text, err := os.ReadFile(filepath.Join(dir, auth.SecretFile))
		if err != nil {
			t.Fatal(err)
		}
		secrets[name] = string(text)
	}
	if secrets["old"] != secrets["new"] {
		t.Error("the secret is another one")
	}
	names := []string{}
	entries, err := os.ReadDir(restored)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"parley.db", "parley.db.lock", "secret"}, names); diff != "" {
		t.Errorf("the data folder after a restore and a start (-want +got):\n%s", diff)
	}
}

// Whatever is wrong, a restore says so and leaves the data folder without a store.
func TestRestoreRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir, data string)
		want  string
	}{
		{"no backup", func(t *testing.T, dir, _ string) { must(t, os.Remove(filepath.Join(dir, "backup.json"))) }, "is no backup"},
		{"a manifest that does not read", func(t *testing.T, dir, _ string) { write(t, dir, "backup.json", "{") }, "damaged"},
		{"another form", func(t *testing.T, dir, _ string) { write(t, dir, "backup.json", `{"format":2,"version":"9.0"}`) }, "another version"},
		{"no store in it", func(t *testing.T, dir, _ string) { write(t, dir, "backup.json", `{"format":1}`) }, "names no parley.db"},
		{"a path in it", func(t *testing.T, dir, _ string) {
			write(t, dir, "backup.json", `{"format":1,"files":{"parley.db":"00","../../etc/passwd":"00"}}`)
		}, "names a file that no backup has"},
		{"a file is missing", func(t *testing.T, dir, _ string) { must(t, os.Remove(filepath.Join(dir, "parley.db"))) }, "not whole"},
		{"a byte has changed", func(t *testing.T, dir, _ string) {
			path := filepath.Join(dir, "parley.db")
			text, err := os.ReadFile(path)
			must(t, err)
			text[len(text)/2] ^= 1
			must(t, os.WriteFile(path, text, 0o600))
		}, "is not what was written"},
		{"a store is there", func(t *testing.T, _, data string) { write(t, data, "parley.db", "") }, "exists"},
		{"the log of a store is there", func(t *testing.T, _, data string) { write(t, data, "parley.db-wal", "") }, "exists"},
		{"another secret is there", func(t *testing.T, _, data string) { write(t, data, "secret", "another") }, "not the secret of the backup"},
	}
	data, _ := newData(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, target := makeBackup(t, data), t.TempDir()
			tt.spoil(t, dir, target)
			_, err := backup.Restore(t.Context(), dir, target)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the restore says %v, want %q in it", err, tt.want)
			}
			if info, err := os.Stat(filepath.Join(target, "parley.db")); err == nil && info.Size() > 0 {
				t.Error("the refused restore left a store")
			}
		})
	}
}

// A restore that was cut short is done again.
func TestRestoreAgain(t *testing.T) {
	data, _ := newData(t)
	dir, target := makeBackup(t, data), t.TempDir()
	write(t, target, "parley.db.restoring", "half a store")
	write(t, target, "parley.db.restoring-wal", "and its log")
	if _, err := backup.Restore(t.Context(), dir, target); err != nil {
		t.Fatal(err)
	}
	use(t, target, func(*store.Store) {})
}

// A backup is a new folder, and an attempt that failed leaves none.
func TestMakeRefuses(t *testing.T) {
	data, _ := newData(t)
	dir := makeBackup(t, data)
	if _, err := backup.Make(t.Context(), backup.Source{Data: data}, dir, nil); err == nil {
		t.Error("a backup was made over another")
	}
	if _, err := backup.Check(dir); err != nil {
		t.Errorf("and that one is lost: %v", err)
	}
	damaged := t.TempDir()
	write(t, damaged, "parley.db", strings.Repeat("not a store ", 1000))
	dir = filepath.Join(t.TempDir(), "backup")
	if _, err := backup.Make(t.Context(), backup.Source{Data: damaged}, dir, nil); err == nil {
		t.Error("a damaged store was backed up")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a backup that failed left its folder")
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
