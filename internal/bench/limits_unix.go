//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// spareFiles are the file descriptors that are needed for other things than sessions.
const spareFiles = 64

// allowConnections raises the limit of open files as far as it takes, and says so if that is not allowed.
func allowConnections(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("bench: asking for the limit of open files: %w", err)
	}
	need := uint64(n) + spareFiles
	if need <= limit.Cur {
		return nil
	}
	if need > limit.Max {
		return fmt.Errorf("bench: %d sessions need %d open files, and this process may have %d: use fewer (at most %d), or several processes, or raise `ulimit -Hn`",
			n, need, limit.Max, int64(limit.Max)-spareFiles)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("bench: raising the limit of open files: %w", err)
	}
	return nil
}

// processorTime is the CPU time that this process has used, in seconds.
func processorTime() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
