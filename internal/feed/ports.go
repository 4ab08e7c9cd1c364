package feed

import (
	"context"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/broker"
)

// Source is one store as a feeder sees it. Errors are `unavailable` when the store cannot be used just now.
type Source interface {
	// Lease renews the node's share of the rooms for a time, and returns it. A time of 0 gives it back.
	Lease(ctx context.Context, node string, ttl time.Duration) (Share, error)
	// Take reads the first jobs of each of the lines of the share that follow a line, at most limit.Lines lines and limit.Each jobs of each; fewer when their
	// entries have more than limit.Bytes, but one at least. They come by sink, room and seq. Nothing is changed by it. No jobs: there are no more lines.
	Take(ctx context.Context, share Share, after Line, limit Limit) ([]Job, error)
	// Done removes jobs.
	Done(ctx context.Context, jobs []Job) error
	// Bury makes dead letters of jobs, with a reason.
	Bury(ctx context.Context, jobs []Job, reason string) error
	// Backlog counts what is in the whole store.
	Backlog(ctx context.Context) (Backlog, error)
}

// Share is the rooms that a feeder looks after: those with one of these groups of slots. What a group is the store knows.
type Share []string

// Line is the jobs of one sink and one room, which are put in order.
type Line struct{ Sink, Room string }

// Limit bounds what Take reads.
type Limit struct{ Lines, Each, Bytes int }

// Job is an event that is to be put.
type Job struct {
	Line
	Entry broker.Entry // without Room for an event that is not kept any more: nothing is to be put
	Seq   uint64
}

// Gone reports that the event is not kept any more.
func (j *Job) Gone() bool { return j.Entry.Room == "" }

// Backlog is what a store has to be put.
type Backlog struct {
	Jobs   int           // counted up to [MostCounted]
	Oldest time.Duration // how long ago the oldest of those counted was made; 0 without any
	Dead   int
}

// MostCounted is how far jobs are counted: looking is not to cost more than putting.
const MostCounted = 100_000

// The sinks. What is put for the first time has one of its own, so that it does not wait for what is put again. All begin with [First], and no others do.
const (
	First = "feed"
	Again = "feed/again" // into all queues; "feed/again/QUEUE" into one
)

// AgainFor is the sink of what is put again into one queue, or with "" into all.
func AgainFor(queue string) string {
	if queue == "" {
		return Again
	}
	return Again + "/" + queue
}

// queueOf is the one queue that a sink puts into, "" for all.
func queueOf(sink string) string {
	if queue, one := strings.CutPrefix(sink, Again+"/"); one {
		return queue
	}
	return ""
}

// batch is an empty batch for a sink.
func batch(sink string) broker.Batch {
	return broker.Batch{Queue: queueOf(sink), Again: sink != First}
}

// afterFirst follows all lines of the first sink, and comes before all others.
var afterFirst = Line{First, "~"}
