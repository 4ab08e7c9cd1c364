// Package testkit starts real servers for tests. Whatever it starts belongs to the test that asked for it and ends with that test, even when the test
// binary is killed.
package testkit

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server of one test's own, on a Unix socket. Its methods are for one goroutine.
type Postgres struct {
	URL string // of the database "postgres", as its superuser

	t         testing.TB
	bin       string
	dir       string // of the socket
	data      string
	wal       string // the write-ahead log; "": in data
	settings  []string
	as        *syscall.Credential // whom the server runs as; nil: ourselves
	databases int

	server *os.Process     // nil: it does not run
	ended  <-chan struct{} // closed when the process is gone
	log    *tail
}

// Shutdown is how a server is stopped.
type Shutdown syscall.Signal

// The ways to stop a server.
const (
	Fast      = Shutdown(syscall.SIGINT)  // ends transactions and connections, in order
	Immediate = Shutdown(syscall.SIGQUIT) // like a crash: the next start recovers
)

// StartPostgres starts a server and stops it at the end of the test. It commits to the disk, unless the settings, such as "fsync=off", say otherwise.
// Without PostgreSQL on the machine the test is skipped, or fails where CI is set in the environment.
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	return startPostgres(t, nil, settings)
}

// startPostgres starts a server; place may put its parts elsewhere than in its own folder.
func startPostgres(t testing.TB, place func(*Postgres), settings []string) *Postgres {
	t.Helper()
	bin, err := postgresBin()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED WITHOUT A DATABASE: ", err)
	}
	p := &Postgres{t: t, bin: bin, settings: settings}
	if p.dir, err = os.MkdirTemp("", "parley-pg-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(Immediate) // nothing of it is needed any more
		if err := os.RemoveAll(p.dir); err != nil {
			t.Error(err)
		}
	})
	if err := p.unprivileged(); err != nil {
		t.Fatal(err)
	}
	p.data = filepath.Join(p.dir, "data")
	args := []string{"--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"}
	if place != nil {
		place(p)
	}
	if p.wal != "" {
		args = append(args, "--waldir", p.wal, "--wal-segsize", "1")
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), append(args, "--pgdata", p.data)...)
	initdb.Dir = p.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.URL = p.url("postgres")
	p.Start()
	return p
}

// Replica makes a copy of the running server, which follows it asynchronously until it is promoted. It is stopped at the end of the test.
func (p *Postgres) Replica() *Postgres {
	p.t.Helper()
	r := &Postgres{t: p.t, bin: p.bin, settings: p.settings}
	var err error
	if r.dir, err = os.MkdirTemp("", "parley-pg-"); err != nil {
		p.t.Fatal(err)
	}
	r.data = filepath.Join(r.dir, "data")
	p.t.Cleanup(func() {
		r.Stop(Immediate)
		if err := os.RemoveAll(r.dir); err != nil {
			p.t.Error(err)
		}
	})
	if err := r.unprivileged(); err != nil {
		p.t.Fatal(err)
	}
	backup := exec.Command(filepath.Join(p.bin, "pg_basebackup"), "--host", p.dir, "--username", "postgres", "--pgdata", r.data, "--checkpoint", "fast",
		"--write-recovery-conf", "--no-sync")
	backup.Dir = r.dir
	backup.SysProcAttr = &syscall.SysProcAttr{Credential: r.as}
	if out, err := backup.CombinedOutput(); err != nil {
		p.t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	r.URL = r.url("postgres")
	r.Start()
	return r
}

// Do carries out a statement as the superuser.
func (p *Postgres) Do(statement string) {
	p.t.Helper()
	p.admin(p.t, statement)
}

// Socket is where the server listens.
func (p *Postgres) Socket() string { return filepath.Join(p.dir, ".s.PGSQL.5432") }

// postgresBin is the folder with the newest server that is installed.
func postgresBin() (string, error) {
	var found []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			found = append(found, path)
		}
	}
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is well formed
	slices.SortFunc(versions, func(a, b string) int { return versionIn(b) - versionIn(a) })
	for _, path := range append(versions, found...) {
		dir := filepath.Dir(path)
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server was found in PATH or /usr/lib/postgresql: install it (Debian: apt-get install postgresql)")
}

// versionIn is the number in /usr/lib/postgresql/NUMBER/bin/postgres.
func versionIn(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for what is no number
	return n
}

// unprivileged finds whom the server runs as: PostgreSQL refuses to run as root.
func (p *Postgres) unprivileged() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(p.dir, int(uid), int(gid))
}

func (p *Postgres) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: url.Values{"host": {p.dir}}.Encode()}
	return u.String()
}

// Database makes an empty database and returns its URL. It is dropped at the end of the test given.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	p.databases++
	name := "test" + strconv.Itoa(p.databases)
	p.admin(t, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if p.server != nil {
			p.admin(t, "DROP DATABASE "+name+" WITH (FORCE)")
		}
	})
	return p.url(name)
}

func (p *Postgres) admin(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Start starts a server that was stopped, on the data that it left, and returns when it takes connections.
func (p *Postgres) Start() {
	p.t.Helper()
	args := []string{"-D", p.data, "-k", p.dir, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "log_checkpoints=off"}
	for _, s := range p.settings {
		args = append(args, "-c", s)
	}
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Pdeathsig: syscall.SIGQUIT}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.log = &tail{}
	if p.ended, err = launch(cmd, stderr, p.log, "system is ready to accept"); err != nil {
		p.t.Fatalf("%v\n%s", err, p.log)
	}
	p.server = cmd.Process
}

// Gone reports that the server has ended by itself, as one does that cannot write its log. It can be started again.
func (p *Postgres) Gone() bool {
	select {
	case <-p.ended:
		p.server = nil
		return true
	default:
		return false
	}
}

// Stop stops the server and returns when it is gone. One that does not run is left alone.
func (p *Postgres) Stop(how Shutdown) {
	p.t.Helper()
	if p.server == nil {
		return
	}
	if err := p.server.Signal(syscall.Signal(how)); err != nil {
		p.t.Errorf("stop the server: %v", err)
	}
	select {
	case <-p.ended:
	case <-time.After(startTimeout):
		p.t.Errorf("the server does not end: it is killed\n%s", p.log)
		_ = p.server.Kill() // if it is gone by now, so much the better
		<-p.ended
	}
	p.server = nil
}
