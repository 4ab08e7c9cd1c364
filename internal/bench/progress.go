package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
)

// bar is a line on a terminal that is written over and over. On anything else it does nothing.
type bar struct {
	out io.Writer

	mu    sync.Mutex
	drawn time.Time
}

// barPause is the least time between two drawings.
const barPause = 200 * time.Millisecond

func newBar(w io.Writer) *bar {
	if f, ok := w.(*os.File); !ok || !isatty.IsTerminal(f.Fd()) {
		w = nil
	}
	return &bar{out: w}
}

// say replaces the line, unless that was done just now.
func (b *bar) say(format string, args ...any) {
	if b.out == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.drawn) < barPause {
		return
	}
	b.drawn = time.Now()
	fmt.Fprintf(b.out, "\r\x1b[K"+format, args...)
}

// clear takes the line away.
func (b *bar) clear() {
	if b.out == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprint(b.out, "\r\x1b[K")
}

// show draws how far the load has got, while it lasts.
func (r *run) show(ctx context.Context, begin time.Time) {
	const width = 30
	tick := time.NewTicker(barPause)
	defer tick.Stop()
	for r.bar.out != nil && r.sending.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		gone := time.Since(begin)
		filled := int(min(gone.Seconds()/r.c.Duration.Seconds(), 1) * width)
		r.bar.say("%s [%s%s] %s/s acknowledged, %s/s delivered", r.c.Scenario, strings.Repeat("#", filled), strings.Repeat(".", width-filled),
			number(uint64(float64(r.count.acked.Load())/gone.Seconds())), number(uint64(float64(r.arrived())/gone.Seconds())))
	}
}
