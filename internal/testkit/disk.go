package testkit

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small file system of one test's own, in memory. Its methods are for one goroutine.
type Disk struct {
	t       testing.TB
	dir     string
	ballast string // the file that takes the room
}

// NewDisk mounts one of a size such as "16m", until the end of the test. Without root the test is skipped; where root may not mount either, it is skipped, or fails where
// CI is set in the environment.
func NewDisk(t testing.TB, size string) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED WITHOUT ROOT: mounting a small disk takes it")
	}
	dir, err := os.MkdirTemp("", "parley-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mount("parley", dir, "tmpfs", 0, "mode=755,size="+size); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("mount a tmpfs: ", err)
		}
		t.Skip("SKIPPED WITHOUT A SMALL DISK: run where a tmpfs may be mounted: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error("unmount the small disk: ", err)
		}
	})
	return &Disk{t: t, dir: dir, ballast: filepath.Join(dir, "ballast")}
}

// Path is where it is mounted.
func (d *Disk) Path() string { return d.dir }

// Fill takes all the room that is left.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2] // to the last byte
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
}

// Free gives the room back.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(d.ballast); err != nil {
		d.t.Fatal(err)
	}
}

// StartPostgresData starts a server as StartPostgres does, whose data is on the disk and whose write-ahead log is not.
func (d *Disk) StartPostgresData(settings ...string) *Postgres {
	d.t.Helper()
	return startPostgres(d.t, func(p *Postgres) { p.wal, p.data = filepath.Join(p.dir, "wal"), d.folder(p, "data") }, settings)
}

// StartPostgresLog starts a server as StartPostgres does, whose write-ahead log is on the disk and whose data is not.
func (d *Disk) StartPostgresLog(settings ...string) *Postgres {
	d.t.Helper()
	return startPostgres(d.t, func(p *Postgres) { p.wal = d.folder(p, "wal") }, settings)
}

// folder makes a folder on the disk that is the server's.
func (d *Disk) folder(p *Postgres, name string) string {
	d.t.Helper()
	dir := filepath.Join(d.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	if p.as != nil {
		if err := os.Chown(dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			d.t.Fatal(err)
		}
	}
	return dir
}
