package fleet

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley/e2e/history"
)

// What a node may come to under these loads, besides the bounds that it declares itself.
const (
	mostRSS          = 400 << 20
	goroutinesAtRest = 400
	goroutinesEach   = 6 // for each connection
)

// sampler looks at every node once a second, and keeps the most that it has seen.
type sampler struct {
	f    *Fleet
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	written bool
	peaks   map[string]map[string]history.Entry // by node and name
}

func (f *Fleet) sample() *sampler {
	ctx, stop := context.WithCancel(context.Background())
	s := &sampler{f: f, stop: stop, peaks: map[string]map[string]history.Entry{}}
	for _, n := range f.Nodes {
		s.peaks[n.Name] = map[string]history.Entry{}
		s.done.Go(func() {
			for pace := time.NewTicker(time.Second); ; {
				if values, err := n.Metrics(); err == nil { // a node that is away tells nothing
					s.look(n, values)
				}
				select {
				case <-pace.C:
				case <-ctx.Done():
					pace.Stop()
					return
				}
			}
		})
	}
	f.T.Cleanup(s.end)
	return s
}

// look compares a node's metrics with their bounds: a bound stands beside what it bounds under the same name with _limit.
func (s *sampler) look(n *Node, values map[string]float64) {
	s.keep(n, "process_resident_memory_bytes", values["process_resident_memory_bytes"], mostRSS)
	s.keep(n, "go_goroutines", values["go_goroutines"], goroutinesAtRest+goroutinesEach*values["parley_connections"])
	s.keep(n, "process_open_fds", values["process_open_fds"], values["process_max_fds"])
	for name, value := range values {
		bare, labels, _ := strings.Cut(name, "{")
		most := values[bare+"_limit"]
		if labels != "" {
			most = max(most, values[bare+"_limit{"+labels])
		}
		if most > 0 {
			s.keep(n, name, value, most)
		}
	}
}

func (s *sampler) keep(n *Node, name string, value, most float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.peaks[n.Name]
	if peak, ok := at[name]; !ok || value/most > peak.Value/peak.Most {
		at[name] = history.Entry{Op: history.Bound, Phase: history.OK, Node: n.Name, Name: name, Value: value, Most: most}
	}
}

// end writes down what was seen.
func (s *sampler) end() {
	s.stop()
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written {
		return
	}
	s.written = true
	for _, at := range s.peaks {
		for _, e := range at {
			s.f.History.Add(e)
		}
	}
}

// Peaks tells the most memory and goroutines of each node so far.
func (f *Fleet) Peaks() string {
	f.sampler.mu.Lock()
	defer f.sampler.mu.Unlock()
	var told []string
	for _, n := range f.Nodes {
		at := f.sampler.peaks[n.Name]
		told = append(told, fmt.Sprintf("%s %.0f MiB, %.0f goroutines", n.Name, at["process_resident_memory_bytes"].Value/(1<<20), at["go_goroutines"].Value))
	}
	return strings.Join(told, "; ")
}
