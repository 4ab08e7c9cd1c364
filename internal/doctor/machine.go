package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/config"
)

// What is enough.
const (
	enoughFiles  = 10_000
	enoughSpace  = 1 << 30
	slowSync     = 10 * time.Millisecond // at the median: a commit waits for one sync
	falseSync    = 20 * time.Microsecond // no disk is as fast: something says that it has written, and has not
	syncs        = 40                    // measured
	enoughMemory = 256 << 20
)

// networkFileSystem is the name of a file system on which SQLite's locks and syncs do not work, by the number that statfs(2) gives; "" for others.
func networkFileSystem(number int64) string {
	switch uint32(number) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.CIFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph"
	}
	return ""
}

func files(_ context.Context, cfg *config.Config) []Finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return bad(Warn, "open files", err.Error(), "")
	}
	most := limit.Cur / 10 * 9
	found := fmt.Sprintf("%d files, for %d connections", limit.Cur, most)
	switch {
	case uint64(cfg.Limits.Connections) > most:
		return bad(Fail, "open files", found, fmt.Sprintf("limits.connections is %d: raise the limit of files (ulimit -n, LimitNOFILE=), or lower the setting", cfg.Limits.Connections))
	case limit.Cur < enoughFiles:
		return bad(Warn, "open files", found, "each connection is a file: raise the limit (ulimit -n, LimitNOFILE=)")
	}
	return good("open files", "%s", found)
}

func memory(context.Context, *config.Config) []Finding {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return bad(Warn, "memory", err.Error(), "")
	}
	total := uint64(info.Totalram) * uint64(info.Unit)
	if total < enoughMemory {
		return bad(Warn, "memory", fmt.Sprintf("%d MiB", total>>20), "the buffers alone may take 200 MiB")
	}
	return good("memory", "%d MiB", total>>20)
}

// folder looks at the data folder: a store that others may read is open to them.
func folder(_ context.Context, cfg *config.Config) []Finding {
	info, err := os.Stat(cfg.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return good("data folder", "%s is made at the first start", cfg.Data)
	case err != nil:
		return bad(Fail, "data folder", err.Error(), "")
	case !info.IsDir():
		return bad(Fail, "data folder", cfg.Data+" is no folder", "name another one with data")
	case info.Mode().Perm()&0o077 != 0:
		return bad(Warn, "data folder", fmt.Sprintf("%s is open to others (mode %04o)", cfg.Data, info.Mode().Perm()), "chmod 700 "+cfg.Data)
	}
	return good("data folder", "%s", cfg.Data)
}

func secret(_ context.Context, cfg *config.Config) []Finding {
	path := cfg.SecretFile
	if path == "" {
		path = filepath.Join(cfg.Data, auth.SecretFile)
	}
	switch _, err := auth.LoadSecret(path); {
	case err == nil:
		return good("secret", "%s", path)
	case errors.Is(err, fs.ErrNotExist) && cfg.SecretFile == "":
		return good("secret", "%s is made at the first start", path)
	default:
		return bad(Fail, "secret", err.Error(), "")
	}
}

// disk measures how long the disk of the data folder takes to keep what it is given: every commit of SQLite waits for that.
func disk(_ context.Context, cfg *config.Config) []Finding {
	dir := cfg.Data
	for dir != "/" && dir != "." { // the folder may have to be made yet, on the same disk
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var about unix.Statfs_t
	if err := unix.Statfs(dir, &about); err != nil {
		return bad(Fail, "disk", err.Error(), "")
	}
	var findings []Finding
	if name := networkFileSystem(about.Type); name != "" && onSQLite(cfg) {
		findings = bad(Fail, "disk", dir+" is on "+name, "SQLite needs a local disk: its locks and syncs do not hold over a network")
	}
	if free := about.Bavail * uint64(about.Bsize); free < enoughSpace {
		findings = append(findings, Finding{"disk", Warn, fmt.Sprintf("%d MiB are free in %s", free>>20, dir), "when it is full, sends are refused"})
	}
	median, worst, err := measureSync(dir)
	found := fmt.Sprintf("%d syncs in %s: median %s, worst %s", syncs, dir, median.Round(time.Microsecond), worst.Round(time.Microsecond))
	switch {
	case err != nil:
		findings = append(findings, Finding{"disk", Fail, err.Error(), "the server must be able to write there"})
	case median > slowSync:
		findings = append(findings, Finding{"disk", Warn, found, "every commit waits for one: use a faster disk"})
	case median < falseSync:
		findings = append(findings, Finding{"disk", Warn, found, "no disk is that fast: in memory, or behind a cache that a power cut empties, an acknowledged message may be lost"})
	default:
		findings = append(findings, good("disk", "%s", found)...)
	}
	return findings
}

// measureSync appends to a file and syncs it, again and again, as a log does.
func measureSync(dir string) (median, worst time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".parley-doctor-*")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	took := make([]time.Duration, syncs)
	page := make([]byte, 4096)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[syncs/2], took[syncs-1], nil
}

// clock asks the kernel whether anything keeps the clock right: times of messages and the ends of tokens are read from it.
func clock(context.Context, *config.Config) []Finding {
	var state unix.Timex
	switch status, err := unix.Adjtimex(&state); {
	case err != nil:
		return bad(Warn, "clock", err.Error(), "the kernel does not say whether the clock is synchronised: run NTP on this machine or its host")
	case status == unix.TIME_ERROR:
		return bad(Warn, "clock", "is not synchronised", "run NTP (chrony, systemd-timesyncd): tokens end, and messages are dated, by this clock")
	}
	return good("clock", "is synchronised")
}

func onSQLite(cfg *config.Config) bool {
	return cfg.Store == "" || strings.HasPrefix(cfg.Store, "sqlite:")
}
