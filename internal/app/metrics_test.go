package app

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/internal/api"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

var update = flag.Bool("update", false, "write the list of metrics in docs/monitoring.md anew")

// newApp is a server that is not run.
func newApp(t *testing.T) *App {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.AdminListen = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	a, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, l := range []*listener{a.public, a.admin} {
			l.Close()
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

const (
	page  = "../../docs/monitoring.md"
	begin = "<!-- The list is written by: go test ./internal/app -run TestMetricsAreDocumented -update -->\n"
	end   = "<!-- The end of the list. -->\n"
)

// The page lists the metrics that there are, with their labels, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	var list strings.Builder
	list.WriteString("\n| metric | kind | labels | what it tells |\n| --- | --- | --- | --- |\n")
	for _, m := range newApp(t).metrics.listed {
		fmt.Fprintf(&list, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), m.help)
	}
	list.WriteString("\n")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	written, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatalf("%s has no place for the list", page)
	case *update:
		if err := os.WriteFile(page, []byte(before+begin+list.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case written != list.String():
		t.Errorf("the list in %s is not that of the metrics: run `go test ./internal/app -run TestMetricsAreDocumented -update` (-page +metrics):\n%s", page, cmp.Diff(written, list.String()))
	}
}

// No page speaks of a metric that there is not.
func TestPagesNameMetricsThatThereAre(t *testing.T) {
	several := newMetrics("test")
	(&keeper{store: new(shards.Store)}).registerShards(several) // which a server with one store does not have
	known := map[string]bool{}
	for _, m := range slices.Concat(newApp(t).metrics.listed, several.listed) {
		known[m.name], known[m.name+"_bucket"] = true, true
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("there are %d pages, %v", len(pages), err)
	}
	for _, page := range append(pages, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bparley_[a-z_]+[a-z]\b`).FindAllString(string(text), -1) {
			if !known[name] {
				t.Errorf("%s speaks of %s", page, name)
			}
		}
	}
}

// What is observed for each transaction, fan-out and call leaves nothing to be collected.
func TestObservingAllocatesNothing(t *testing.T) {
	m := newMetrics("test")
	n := testing.AllocsPerRun(1000, func() {
		m.committed(store.Transaction{Items: 3, Waited: time.Millisecond, Took: time.Millisecond})
		m.offered(delivery.FanOut{Origin: delivery.OfCommit, Took: time.Millisecond})
		m.calls.answered(api.Answer{Method: protocol.MessageSend, Took: time.Millisecond})
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
