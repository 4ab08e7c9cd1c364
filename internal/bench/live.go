package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/protocol"
)

// LiveReport is what came of a live room. Its quiet room has two members; what they say to each other shows what a vast audience costs everybody else.
type LiveReport struct {
	Watchers   int    `json:"watchers"`
	SamplePerS int64  `json:"sample_per_s"` // 0: every event is pushed
	Skipped    uint64 `json:"skipped"`      // events named as left out, over all watchers
	MostPerS   uint64 `json:"most_per_s"`   // events that a watcher got in one second of the clock
	Audience   uint64 `json:"audience"`     // the largest number that watchers were told

	QuietBeforeMS Quantiles `json:"quiet_before_ms"` // deliveries in the quiet room while the watchers only watched
	QuietDuringMS Quantiles `json:"quiet_during_ms"` // and while there were comments
	QuietRatio    float64   `json:"quiet_ratio"`     // of the two p99
}

// liveRun is a run of the scenario live: watchers of one room, few of whom comment at a steady rate whatever comes back.
type liveRun struct {
	*run
	watchers []*watcher // of the live room; the first ones comment
	quiet    []*watcher // of the quiet room: one talks, one listens
	audience atomic.Uint64
	before   *latency
	during   *latency
	report   Report
}

const (
	commenters = 10
	quietEvery = 50 * time.Millisecond // between two messages in the quiet room
)

// runLive carries out the scenario.
func runLive(ctx context.Context, c Config) (Report, error) {
	r := &liveRun{run: newRun(c), before: newLatency(), during: newLatency()}
	defer r.close()
	if err := r.setUp(ctx); err != nil {
		return Report{}, err
	}
	if err := r.measure(ctx); err != nil {
		return Report{}, err
	}
	r.judge()
	return r.report, nil
}

// close ends every session.
func (r *liveRun) close() {
	all := slices.Concat(r.watchers, r.quiet)
	each(len(all), 64, func(i int) error {
		all[i].link.Close()
		return nil
	})
	r.run.close()
}

// setUp makes both rooms, and has everybody follow theirs.
func (r *liveRun) setUp(ctx context.Context) (err error) {
	if r.measured.first, err = r.usages(); err != nil {
		return err
	}
	for i := range r.c.Users {
		w, err := newWatcher(r, i, r.delivery)
		if err != nil {
			return err
		}
		r.watchers = append(r.watchers, w)
	}
	for i := range 2 {
		w, err := newWatcher(r, r.c.Users+i, r.before)
		if err != nil {
			return err
		}
		r.quiet = append(r.quiet, w)
	}
	h, err := r.http(&user{id: r.quiet[0].id})
	if err != nil {
		return err
	}
	create := func(p protocol.RoomCreateParams, of []*watcher) error {
		return r.insist(ctx, func() error {
			result, err := h.Rooms.Create(ctx, p)
			for _, w := range of {
				w.room = result.Room.ID
			}
			return err
		})
	}
	settings := &protocol.SettingsPatch{SamplePerS: protocol.Some(r.c.SamplePerS)}
	if err := create(protocol.RoomCreateParams{Kind: protocol.Live, Name: r.name, Settings: settings, ClientID: "live"}, r.watchers); err != nil {
		return fmt.Errorf("bench: making the live room: %w", err)
	}
	if err := r.introduce(ctx, r.quiet[1].id); err != nil {
		return err
	}
	group := protocol.RoomCreateParams{Kind: protocol.Group, Name: r.name, Members: []string{r.quiet[1].id}, ClientID: "quiet"}
	if err := create(group, r.quiet); err != nil {
		return fmt.Errorf("bench: making the quiet room: %w", err)
	}
	const atOnce = 128
	all, opened := slices.Concat(r.quiet, r.watchers), 0
	return r.await(ctx, time.Minute, "the watchers", func() int {
		live := int(r.count.lives.Load())
		for ; opened < len(all) && opened < live+atOnce; opened++ {
			all[opened].link.Open()
		}
		return len(all) - live
	})
}

// introduce has a user make a call, so that others may name it.
func (r *liveRun) introduce(ctx context.Context, id string) error {
	h, err := r.http(&user{id: id})
	if err != nil {
		return err
	}
	return r.insist(ctx, func() error {
		_, err := h.Users.Get(ctx, id)
		return err
	})
}

// measure has the quiet room talk, first alone and then beside the comments, and waits for what is on its way then.
func (r *liveRun) measure(ctx context.Context) error {
	if err := r.talk(ctx, r.c.Duration/2, 0); err != nil {
		return err
	}
	if err := r.await(ctx, r.c.Settle, "the deliveries in the quiet room", func() int { return r.behind(r.quiet) }); err != nil {
		return err
	}
	r.quiet[1].delays.Store(r.during)
	used, err := r.usages()
	if err != nil {
		return err
	}
	begin, cpu := time.Now(), processorTime()
	if err := r.talk(ctx, r.c.Duration, r.c.Comments); err != nil {
		return err
	}
	r.measured.seconds, r.measured.cpu = time.Since(begin).Seconds(), processorTime()-cpu
	r.measured.acked, r.measured.delivered = r.count.acked.Load(), r.pushed()
	after, err := r.usages()
	if err != nil {
		return err
	}
	r.measured.uses = r.useOf(r.measured.first, used, after)
	for _, what := range []struct {
		name string
		of   []*watcher
	}{{"the comments", r.watchers}, {"the deliveries in the quiet room", r.quiet}} {
		if err := r.await(ctx, r.c.Settle, what.name, func() int { return r.behind(what.of) }); err != nil {
			r.measured.problems = append(r.measured.problems, err.Error())
		}
	}
	return nil
}

// talk sends by the clock for a while: in the quiet room, and so many comments a second.
func (r *liveRun) talk(ctx context.Context, d time.Duration, comments int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begin, said, commented := time.Now(), 0, 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil // what was done until then is judged
		case <-r.over.Done():
			return r.failure()
		}
		passed := time.Since(begin)
		if passed >= d {
			return nil
		}
		for ; said < int(passed/quietEvery); said++ {
			r.quiet[0].send()
		}
		for ; commented < int(passed.Seconds()*float64(comments)); commented++ {
			r.count.sent.Add(1)
			r.watchers[commented%min(commenters, len(r.watchers))].send()
		}
	}
}

// behind is how many answers and events are still to come to watchers of one room.
func (r *liveRun) behind(watchers []*watcher) (n int) {
	head := newestOf(watchers)
	for _, w := range watchers {
		n += w.waiting()
		if next := w.next.Load(); next <= head {
			n += int(head + 1 - next)
		}
	}
	return n
}

// newestOf is the highest seq that a message of the watchers was acknowledged with.
func newestOf(watchers []*watcher) (head protocol.Seq) {
	for _, w := range watchers {
		head = max(head, w.newest.Load())
	}
	return head
}

// pushed is how many events the watchers were pushed.
func (r *liveRun) pushed() (n uint64) {
	for _, w := range r.watchers {
		n += w.tally.pushed.Load()
	}
	return n
}

// judge adds up what every watcher has seen.
func (r *liveRun) judge() {
	m, l := r.measured, &LiveReport{}
	r.report = Report{
		Scenario: Live, Sessions: len(r.watchers) + len(r.quiet), Rooms: 2, Seconds: m.seconds,
		Sent: r.count.sent.Load(), Acked: r.count.acked.Load(), AckMS: r.ack.quantiles(), DeliveryMS: r.delivery.quantiles(),
		AckedPerS: float64(m.acked) / m.seconds, DeliveriesPerS: float64(m.delivered) / m.seconds,
		Failed: r.count.failed.Load(), RateLimited: r.count.limited.Load(), BenchCPUS: m.cpu, Problems: m.problems, Special: Special{Live: l, Processes: m.uses},
	}
	l.Watchers, l.SamplePerS, l.Audience = len(r.watchers), r.c.SamplePerS, r.audience.Load()
	l.QuietBeforeMS, l.QuietDuringMS = r.before.quantiles(), r.during.quantiles()
	if p := l.QuietBeforeMS.P99; p > 0 {
		l.QuietRatio = l.QuietDuringMS.P99 / p
	}
	for _, of := range [][]*watcher{r.watchers, r.quiet} {
		head := newestOf(of)
		for _, w := range of {
			r.report.watched(w, head)
		}
	}
	if n := r.report.Failed; n > 0 {
		r.report.Problems = append(r.report.Problems, fmt.Sprintf("%d messages were refused, %d of them by a rate limit", n, r.report.RateLimited))
	}
	if r.over.Err() != nil {
		r.report.Problems = append(r.report.Problems, fmt.Sprint(r.failure()))
	}
}

// watched adds what one watcher has seen of its room.
func (r *Report) watched(w *watcher, head protocol.Seq) {
	next, from := w.next.Load(), w.from
	pushed, skipped, reset := w.tally.pushed.Load(), w.tally.skipped.Load(), w.tally.reset.Load()
	if from > 0 && head+1 > from {
		r.Expected += head + 1 - from - skipped
	}
	r.Delivered += pushed
	r.Reloaded += reset
	r.Lost += w.tally.missed.Load()
	if head+1 > next {
		r.Lost += head + 1 - next
	}
	r.Duplicated += w.tally.repeated.Load()
	r.Resets += w.tally.resets.Load()
	r.Reconnects += w.tally.returns.Load()
	if w.r.quiet[0].room == w.room {
		return
	}
	r.Live.Skipped += skipped
	r.Live.MostPerS = max(r.Live.MostPerS, w.tally.most.Load())
	// A second of the clock may see the end of one second of the server's and the beginning of another: over the whole run that evens out.
	if most := r.Live.SamplePerS; most > 0 && pushed > uint64(most)*uint64(math.Ceil(r.Seconds)+2) {
		r.Problems = append(r.Problems, fmt.Sprintf("watcher %d was pushed %d events in %.1f s, where %d a second are allowed", w.index, pushed, r.Seconds, most))
	}
}

// lines are the report for people, name and text in turn.
func (l *LiveReport) lines(line func(name, format string, args ...any)) {
	line("watchers", "%s, who were told of %s; at most %s events to one in a second", number(uint64(l.Watchers)), number(l.Audience), number(l.MostPerS))
	if l.SamplePerS > 0 {
		line("left out", "%s events, named in their place (sample_per_s %d)", number(l.Skipped), l.SamplePerS)
	}
	line("quiet room", "%s before", l.QuietBeforeMS)
	line("", "%s during the comments: p99 %.2f times as long", l.QuietDuringMS, l.QuietRatio)
}
