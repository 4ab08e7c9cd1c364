package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Process is a process on this machine, a node or an engine behind it, of which is told what the load costs it. What it has started counts with it:
// PostgreSQL serves every connection by a process of its own.
type Process struct {
	Name string
	PID  int
}

// ProcessUse is what a process and what it has started have used.
type ProcessUse struct {
	Name              string  `json:"name"`
	CPUS              float64 `json:"cpu_s"` // seconds of CPU while the load lasted
	MicrosPerMessage  float64 `json:"cpu_us_per_message,omitzero"`
	MicrosPerDelivery float64 `json:"cpu_us_per_delivery,omitzero"`
	PrivateMB         float64 `json:"private_mb"` // resident at the end of the load, without what processes share: files and shared buffers
	GrownMB           float64 `json:"grown_mb"`   // of this since before the first session
}

// usage is what one process has used until now.
type usage struct {
	cpu     float64 // seconds
	private float64 // bytes
}

// clockTicks is how Linux counts CPU time for programs: hundredths of a second, whatever the kernel's own clock.
const clockTicks = 100

// usages reads what the processes of the run have used, in their order.
func (r *run) usages() ([]usage, error) {
	if len(r.c.Processes) == 0 {
		return nil, nil
	}
	all, children, err := readProcesses()
	if err != nil {
		return nil, err
	}
	used := make([]usage, len(r.c.Processes))
	for i, p := range r.c.Processes {
		if _, lives := all[p.PID]; !lives {
			return nil, fmt.Errorf("bench: there is no process %d on this machine for %s", p.PID, p.Name)
		}
		family := []int{p.PID}
		for n := 0; n < len(family); n++ {
			used[i].cpu += all[family[n]].cpu
			used[i].private += all[family[n]].private
			family = append(family, children[family[n]]...)
		}
	}
	return used, nil
}

// readProcesses reads what all processes of the machine have used, and who has started whom. One that ends meanwhile is left out.
func readProcesses() (all map[int]usage, children map[int][]int, err error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(names) == 0 {
		return nil, nil, fmt.Errorf("bench: what processes use is known on Linux alone, from /proc")
	}
	all, children = make(map[int]usage, len(names)), map[int][]int{}
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		stat, gone := os.ReadFile(name)
		statm, alsoGone := os.ReadFile(filepath.Join(filepath.Dir(name), "statm"))
		if gone != nil || alsoGone != nil {
			continue
		}
		// The name in brackets may hold anything; the fields behind it are numbered from 3 in proc(5): ppid is 4, utime 14, stime 15, and 16 and 17 the
		// same of children that have ended.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		pages := bytes.Fields(statm) // the second is resident, the third of this shared
		if len(fields) < 15 || len(pages) < 3 {
			return nil, nil, fmt.Errorf("bench: %s is not as proc(5) says", name)
		}
		var u usage
		for _, field := range fields[14-3 : 17-3+1] {
			u.cpu += float(field) / clockTicks
		}
		u.private = (float(pages[1]) - float(pages[2])) * float64(os.Getpagesize())
		all[pid] = u
		parent := int(float(fields[4-3]))
		children[parent] = append(children[parent], pid)
	}
	return all, children, nil
}

// float reads a number that the kernel wrote.
func float(text []byte) float64 {
	n, _ := strconv.ParseFloat(string(text), 64)
	return n
}

// useOf tells what the processes have used for a load: before the first session, when the load began, and when it ended.
func (r *run) useOf(first, begin, end []usage) []ProcessUse {
	var used []ProcessUse
	for i, p := range r.c.Processes {
		u := ProcessUse{Name: p.Name, CPUS: end[i].cpu - begin[i].cpu, PrivateMB: end[i].private / 1e6, GrownMB: (end[i].private - first[i].private) / 1e6}
		if n := r.measured.acked; n > 0 {
			u.MicrosPerMessage = u.CPUS / float64(n) * 1e6
		}
		if n := r.measured.delivered; n > 0 {
			u.MicrosPerDelivery = u.CPUS / float64(n) * 1e6
		}
		used = append(used, u)
	}
	return used
}

// lines are the report for people, name and text in turn.
func (u ProcessUse) lines(line func(name, format string, args ...any)) {
	line(u.Name, "%.2f s of CPU, %.2f µs for each message, %.2f µs for each delivery; %.1f MB of its own, %.1f MB more than before", u.CPUS, u.MicrosPerMessage,
		u.MicrosPerDelivery, u.PrivateMB, u.GrownMB)
}
