package bench_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/bench"
)

func TestSearch(t *testing.T) {
	c := serve(t, nil)
	c.Scenario, c.Messages, c.Rooms, c.Comments, c.Duration = bench.Search, 600, 10, 50, 2*time.Second
	r := run(t, c)
	s := r.Search
	if r.Broken() || r.Acked != r.Sent || s.Messages < 600 || s.Queries == 0 || s.Empty > 0 || s.QueryMS.P50 == 0 || s.LagMS.P50 == 0 || s.CaughtUpS == 0 {
		t.Errorf("report %+v, search %+v", r, s)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "found after") {
		t.Errorf("%v: the text:\n%s", err, text.String())
	}
}
