package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
)

// show draws a bar while the load lasts, if a person watches.
func (r *run) show(ctx context.Context, begin time.Time) {
	if f, ok := r.c.Progress.(*os.File); !ok || !isatty.IsTerminal(f.Fd()) {
		return
	}
	const every, width = 200 * time.Millisecond, 30
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer fmt.Fprint(r.c.Progress, "\r\x1b[K")
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		gone := time.Since(begin)
		part := min(gone.Seconds()/r.c.Duration.Seconds(), 1)
		filled := int(part * width)
		what := fmt.Sprintf("%s/s acknowledged, %s/s delivered", number(uint64(float64(r.acked.Load())/gone.Seconds())),
			number(uint64(float64(r.delivered())/gone.Seconds())))
		if !r.sending.Load() {
			what = "reading the logs"
		}
		fmt.Fprintf(r.c.Progress, "\r\x1b[K%s [%s%s] %s", r.c.Scenario, strings.Repeat("#", filled), strings.Repeat(".", width-filled), what)
	}
}
