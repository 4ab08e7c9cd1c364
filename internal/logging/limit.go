// Package logging keeps a storm of one fault from becoming a storm of lines.
package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxMessages bounds how many different messages are told apart in one second: ours are constants, of which there are far fewer.
const maxMessages = 1000

// Limit lets so many lines of one message and level through in a second, and leaves out the others. How many were left out of which message is told in a line
// of its own, a second after the first of them. Debug lines are not limited: who turns them on wants them all.
func Limit(h slog.Handler, perSecond int) slog.Handler {
	return &limiter{h, &tally{out: h, perSecond: perSecond, lines: map[line]*count{}}}
}

type limiter struct {
	slog.Handler
	tally *tally // shared with the handlers that were made of this one
}

// tally counts the lines of the current second.
type tally struct {
	out       slog.Handler
	perSecond int

	mu     sync.Mutex
	second int64 // Unix
	lines  map[line]*count
	due    bool // flush will be called
}

type line struct {
	level   slog.Level
	message string
}

type count struct{ lines, leftOut int }

// Handle implements slog.Handler.
func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && !l.tally.admit(r) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limiter{l.Handler.WithAttrs(attrs), l.tally}
}

// WithGroup implements slog.Handler.
func (l *limiter) WithGroup(name string) slog.Handler {
	return &limiter{l.Handler.WithGroup(name), l.tally}
}

// admit counts a line and reports whether it is let through.
func (t *tally) admit(r slog.Record) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if second := r.Time.Unix(); second != t.second {
		t.second = second
		for key, c := range t.lines {
			if c.lines = 0; c.leftOut == 0 {
				delete(t.lines, key)
			}
		}
	}
	key := line{r.Level, r.Message}
	c := t.lines[key]
	if c == nil {
		if len(t.lines) >= maxMessages {
			return false
		}
		c = &count{}
		t.lines[key] = c
	}
	if c.lines++; c.lines <= t.perSecond {
		return true
	}
	c.leftOut++
	if !t.due {
		t.due = true
		time.AfterFunc(time.Second, t.flush)
	}
	return false
}

// flush tells what was left out.
func (t *tally) flush() {
	t.mu.Lock()
	left := map[line]int{}
	for key, c := range t.lines {
		if c.leftOut > 0 {
			left[key] = c.leftOut
			c.leftOut = 0
		}
	}
	t.due = false
	t.mu.Unlock()
	for key, n := range left {
		r := slog.NewRecord(time.Now(), key.level, "lines were left out", 0)
		r.AddAttrs(slog.String("of", key.message), slog.Int("left_out", n))
		_ = t.out.Handle(context.Background(), r) // a log that cannot be written has nobody to be told
	}
}
