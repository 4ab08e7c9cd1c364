package logging_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/logging"
)

// output is what was logged; lines are written by other goroutines too.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		log := slog.New(logging.Limit(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}), 3))
		count := func(what string) int { return strings.Count(out.String(), what) }

		for range 100 {
			log.With("part", "store").Warn("the store is away")
			log.Error("the store is away")
			log.Debug("a detail")
		}
		log.Warn("something else")
		for what, want := range map[string]int{`level=WARN msg="the store is away" part=store`: 3, `level=ERROR msg="the store is away"`: 3, "a detail": 100, "something else": 1, "left_out": 0} {
			if got := count(what); got != want {
				t.Errorf("%q stands %d times, want %d", what, got, want)
			}
		}

		time.Sleep(time.Second)
		synctest.Wait()
		for _, what := range []string{`level=WARN msg="lines were left out" of="the store is away" left_out=97`, `level=ERROR msg="lines were left out" of="the store is away" left_out=97`} {
			if count(what) != 1 {
				t.Errorf("%q is not there:\n%s", what, out.String())
			}
		}
		log.Error("the store is away")
		if got := count(`level=ERROR msg="the store is away"`); got != 4 {
			t.Errorf("in the next second the line stands %d times, want once more", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := count("left_out"); got != 2 {
			t.Errorf("there are %d words of what was left out, want no more than 2", got)
		}
	})
}
