package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Quantiles are of durations, in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Report is what came of a run.
type Report struct {
	Scenario Scenario `json:"scenario"`
	Sessions int      `json:"sessions"`
	Rooms    int      `json:"rooms"`
	Seconds  float64  `json:"seconds"` // that the load lasted

	Sent      uint64 `json:"sent"`      // messages, each counted once
	Acked     uint64 `json:"acked"`     // of these acknowledged
	Failed    uint64 `json:"failed"`    // of these refused for good
	Delivered uint64 `json:"delivered"` // events pushed to sessions
	Expected  uint64 `json:"expected"`  // events that should have been
	Reloaded  uint64 `json:"reloaded"`  // of these told as left out by a reset, and in the log

	Lost       uint64 `json:"lost"`       // acknowledged and not in the log, in the log and not delivered, or numbers missing in a log
	Duplicated uint64 `json:"duplicated"` // delivered twice to a session, or twice in a log
	Reordered  uint64 `json:"reordered"`  // delivered out of order, or in a log in another order than sent
	Strange    uint64 `json:"strange"`    // what nobody has sent, or something else than the log says

	AckedPerS      float64   `json:"acked_per_s"`
	DeliveriesPerS float64   `json:"deliveries_per_s"`
	AckMS          Quantiles `json:"ack_ms"`
	DeliveryMS     Quantiles `json:"delivery_ms"` // of a sample

	Reconnects  uint64  `json:"reconnects"`
	Resets      uint64  `json:"resets"`
	Delayed     uint64  `json:"delayed"`      // messages refused for now and sent again
	RateLimited uint64  `json:"rate_limited"` // of these by a rate limit
	BenchCPUS   float64 `json:"bench_cpu_s"`  // that the load generator itself used

	Problems []string `json:"problems,omitempty"` // what else was not as it should be

	Special
}

// Special is what only some runs tell.
type Special struct {
	Storm  *Recovery     `json:"storm,omitzero"`
	Live   *LiveReport   `json:"live,omitzero"`
	Search *SearchReport `json:"search,omitzero"`

	Nodes     *NodesReport `json:"nodes,omitzero"` // where there are several
	Processes []ProcessUse `json:"processes,omitempty"`
}

// NodesReport is what only several nodes show.
type NodesReport struct {
	WithinMS Quantiles `json:"within_ms"` // deliveries to who is at the sender's node, of a sample
	AcrossMS Quantiles `json:"across_ms"` // deliveries to who is at another
}

// Recovery is how sessions came back after a storm cut them.
type Recovery struct {
	ResumeMS  Quantiles `json:"resume_ms"`   // from the cut to the session being open again
	CaughtUpS float64   `json:"caught_up_s"` // from the cut until everybody had everything
}

// Broken reports whether the server broke a promise, or the run could not be carried through.
func (r Report) Broken() bool {
	return r.Lost+r.Duplicated+r.Reordered+r.Strange > 0 || len(r.Problems) > 0
}

// report gathers what was counted.
func (r *run) report() Report {
	m := r.measured
	report := Report{
		Scenario: r.c.Scenario, Sessions: len(r.users), Rooms: len(r.rooms), Seconds: m.seconds,
		Sent: r.count.sent.Load(), Acked: r.count.acked.Load(), Failed: r.count.failed.Load(),
		Lost: r.measured.logs.lost + r.measured.logs.gaps, Duplicated: r.measured.logs.duplicated, Reordered: r.measured.logs.reordered, Strange: r.measured.logs.strange,
		AckMS: r.ack.quantiles(), DeliveryMS: r.delivery.quantiles(),
		AckedPerS: float64(m.acked) / m.seconds, DeliveriesPerS: float64(m.delivered) / m.seconds,
		Reconnects: r.count.returns.Load(), Delayed: r.count.delayed.Load(), RateLimited: r.count.limited.Load(),
		BenchCPUS: m.cpu, Problems: m.problems, Special: Special{Processes: m.uses},
	}
	if len(r.c.URLs) > 1 {
		report.Nodes = &NodesReport{WithinMS: r.within.quantiles(), AcrossMS: r.across.quantiles()}
	}
	if r.c.Scenario == Storm {
		report.Storm = &Recovery{ResumeMS: r.cut.resumed.quantiles(), CaughtUpS: m.caughtUp.Seconds()}
	}
	for _, u := range r.users {
		report.Duplicated += u.tally.duplicated.Load()
		report.Reordered += u.tally.reordered.Load()
		report.Resets += u.tally.resets.Load()
		report.Strange += u.tally.removed.Load()
		for _, p := range u.places {
			report.count(p.next.Load(), p.from, r.measured.heads[p.room], p.reset, uint64(len(p.holes)))
		}
	}
	if r.over.Err() != nil {
		report.Problems = append(report.Problems, fmt.Sprint(r.failure()))
	}
	if report.Failed > 0 {
		report.Problems = append(report.Problems, fmt.Sprintf("%d messages were refused for good, the first with: %v", report.Failed, r.refusals.first))
	}
	return report
}

// count adds what one session has got of one room: it began at from, and next comes after the last event it got.
func (r *Report) count(next, from, head, reset, holes uint64) {
	if next == 0 || from == 0 {
		return
	}
	if head+1 > from {
		r.Expected += head + 1 - from
	}
	r.Reloaded += reset
	r.Delivered += next - from - reset - holes
	r.Lost += holes
	if head+1 > next {
		r.Lost += head + 1 - next
	}
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s", name)
		fmt.Fprintf(&b, format+"\n", args...)
	}
	fmt.Fprintf(&b, "%s: %s sessions, %s rooms, %s\n", r.Scenario, number(uint64(r.Sessions)), number(uint64(r.Rooms)),
		time.Duration(r.Seconds*float64(time.Second)).Round(10*time.Millisecond))
	line("acknowledged", "%s of %s messages, %s/s", number(r.Acked), number(r.Sent), number(uint64(r.AckedPerS)))
	if r.Acked > 0 {
		line("", "%s", r.AckMS)
	}
	if r.Expected > 0 {
		line("delivered", "%s of %s events, %s/s", number(r.Delivered), number(r.Expected), number(uint64(r.DeliveriesPerS)))
		line("", "%s", r.DeliveryMS)
	}
	if r.Nodes != nil {
		line("on one node", "%s", r.Nodes.WithinMS)
		line("across nodes", "%s", r.Nodes.AcrossMS)
	}
	line("lost", "%s", number(r.Lost))
	line("duplicated", "%s", number(r.Duplicated))
	line("reordered", "%s", number(r.Reordered))
	if r.Strange > 0 {
		line("strange", "%s", number(r.Strange))
	}
	if r.Reconnects+r.Resets > 0 {
		line("reconnected", "%s times; %s resets, which left out %s events that are in the log", number(r.Reconnects), number(r.Resets), number(r.Reloaded))
	}
	if r.Storm != nil {
		line("resumed", "%s; everybody had everything after %.2f s", r.Storm.ResumeMS, r.Storm.CaughtUpS)
	}
	if r.Live != nil {
		r.Live.lines(line)
	}
	if r.Search != nil {
		r.Search.lines(line)
	}
	if r.Delayed > 0 {
		line("sent again", "%s times after a refusal for now", number(r.Delayed))
	}
	for _, u := range r.Processes {
		u.lines(line)
	}
	line("bench itself", "%.2f s of CPU", r.BenchCPUS)
	for _, p := range r.Problems {
		line("PROBLEM", "%s", p)
	}
	if r.RateLimited > 0 {
		b.WriteString(limitsHint)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// limitsHint is for whoever measured the server's limits.
const limitsHint = `
The server's rate limits were met: what was measured is the limits. To lift them, start it with
  parley serve --limits-messages-per-second 0 --limits-burst 0 --limits-room-messages-per-second 0 --limits-room-burst 0
`

// String is the quantiles in a line.
func (q Quantiles) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, at most %.1f ms", q.P50, q.P99, q.P999, q.Max)
}

// number writes a number with a comma between thousands.
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
