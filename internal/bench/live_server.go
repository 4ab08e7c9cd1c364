package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// usage is what the server's process has used.
type usage struct {
	cpu       float64 // seconds
	megabytes float64 // resident
}

// clockTicks is how Linux counts CPU time for programs: hundredths of a second, whatever the kernel's own clock.
const clockTicks = 100

// serverUsage reads what the server has used, where the run was told its process; otherwise it is nothing.
func (r *run) serverUsage() (u usage, err error) {
	if r.c.ServerPID == 0 {
		return u, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("bench: what the server's process has used cannot be read: %w", err)
		}
	}()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.c.ServerPID))
	if err != nil {
		return u, err
	}
	// The name in brackets may hold anything; the fields behind it are numbered from 3 in proc(5): utime is 14, stime 15, rss 24, in pages.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	number := func(field int) (n float64) {
		if err == nil && len(fields) > field-3 {
			n, err = strconv.ParseFloat(string(fields[field-3]), 64)
		}
		return n
	}
	u.cpu = (number(14) + number(15)) / clockTicks
	u.megabytes = number(24) * float64(os.Getpagesize()) / 1e6
	return u, err
}
