package bench_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/bench"
	"github.com/parley-im/parley/internal/config"
)

func TestLive(t *testing.T) {
	base := serve(t, nil)
	for _, sample := range []int64{0, 10} {
		t.Run(fmt.Sprint(sample), func(t *testing.T) {
			c := base
			c.Scenario, c.Users, c.Comments, c.SamplePerS, c.Duration = bench.Live, 200, 200, sample, 1500*time.Millisecond
			c.Processes = []bench.Process{{Name: "server", PID: os.Getpid()}}
			r := run(t, c)
			l := r.Live
			if r.Broken() || r.Sent < 100 || r.Acked != r.Sent || r.Delivered != r.Expected || r.Resets > 0 || l.Audience != 200 {
				t.Errorf("report %+v, live %+v", r, l)
			}
			comments := r.Sent * uint64(l.Watchers)
			if sample == 0 && (l.Skipped > 0 || r.Delivered < comments) || sample > 0 && (l.Skipped < comments/2 || r.Delivered > comments/2) {
				t.Errorf("%d comments to %d watchers: %d delivered, %d left out", r.Sent, l.Watchers, r.Delivered, l.Skipped)
			}
			if l.QuietBeforeMS.P99 == 0 || l.QuietDuringMS.P99 == 0 || l.QuietRatio == 0 || l.MostPerS == 0 {
				t.Errorf("what it cost the others: %+v", l)
			}
			if u := r.Processes[0]; u.PrivateMB < 1 || u.CPUS <= 0 || u.MicrosPerDelivery <= 0 {
				t.Errorf("what it cost the server: %+v", u)
			}
			var text bytes.Buffer
			if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "times as long") || strings.Contains(text.String(), "left out") != (sample > 0) {
				t.Errorf("%v: the text:\n%s", err, text.String())
			}
		})
	}
}

func TestLiveTellsOfRefusals(t *testing.T) {
	c := serve(t, func(cfg *config.Config) {
		cfg.Limits.RoomMessagesPerSecond, cfg.Limits.RoomBurst = 5, 5
	})
	c.Scenario, c.Users, c.Comments = bench.Live, 5, 100
	if r := run(t, c); r.Failed == 0 || r.RateLimited != r.Failed || r.Acked+r.Failed < r.Sent || len(r.Problems) != 1 {
		t.Errorf("report %+v", r)
	}
}
