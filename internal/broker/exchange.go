package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// Exchange feeds events to the application's own systems: acknowledged, at least once, over queues that are declared in the configuration. It is fed from the
// store alone (internal/feed), which keeps what the engine has not acknowledged. Implementations are used by many goroutines at once.
type Exchange interface {
	// Put hands entries to the queues that they belong to and returns nil only when the engine has acknowledged every one of them: then they outlive the
	// engine's restart, as far as the engine's own settings promise that. With an error any of them may have been put, but none after one of its room that was
	// not: a room's entries get into a queue in the order given, and a repeat begins further back and goes on in order. A *RefusedError means that an entry
	// can never be put as it is, and nothing else than its like was wrong; any other error means that the engine is away or in trouble, and the same call
	// shall be made again. Put blocks until the engine has answered, at most until ctx ends. The entries are not kept after it returns, and not changed.
	Put(ctx context.Context, b Batch) error

	// Consume hands a queue's entries to handle, one at a time and those of a room in order, until ctx ends; then it returns ctx's error. An entry for which
	// handle returns nil is acknowledged; otherwise the same entry is handed over again after a pause, before any other. What was not acknowledged when Consume
	// returned, or when the process died, is handed over by another Consume of the queue. Several may consume one queue and share its entries. The engine's
	// going away does not end it. A queue that is not declared is an error at once.
	Consume(ctx context.Context, queue string, handle func(context.Context, Entry) error) error

	// Features says what the engine can do.
	Features() ExchangeFeatures

	// Stats are counters since the start.
	Stats() ExchangeStats

	// Close ends the connection and every Consume, and returns when no handler will be called again. Calling it twice is allowed.
	Close() error
}

// Entry is an event as the feed carries it.
type Entry struct {
	Room  string
	Seq   uint64
	Kind  string // of the room
	Event string // message.created
	User  string // who did it; "" is a back end
	Epoch string // the life of the log: with another one, Seq means something else
	Data  []byte // the event's frame, as clients get it
}

// ID names the entry among all of its epoch: a consumer that has handled it knows a repeat by it.
func (e *Entry) ID() string { return e.Room + "/" + strconv.FormatUint(e.Seq, 10) }

// RoutingKey is what direct and topic exchanges route by, KIND.EVENT: group.message.created. It always has three words.
func (e *Entry) RoutingKey() string { return e.Kind + "." + e.Event }

// The names of an entry's headers.
const (
	HeaderID    = "id"
	HeaderRoom  = "room"
	HeaderSeq   = "seq"
	HeaderKind  = "kind"
	HeaderEvent = "event"
	HeaderUser  = "user"
	HeaderEpoch = "epoch"
)

// HeaderNames are the names of an entry's headers, in the order of [Entry.Header].
func HeaderNames() []string {
	return []string{HeaderID, HeaderRoom, HeaderSeq, HeaderKind, HeaderEvent, HeaderUser, HeaderEpoch}
}

// Header is the value of a header, always a text; ok says whether there is such a header.
func (e *Entry) Header(name string) (value string, ok bool) {
	switch name {
	case HeaderID:
		return e.ID(), true
	case HeaderRoom:
		return e.Room, true
	case HeaderSeq:
		return strconv.FormatUint(e.Seq, 10), true
	case HeaderKind:
		return e.Kind, true
	case HeaderEvent:
		return e.Event, true
	case HeaderUser:
		return e.User, true
	case HeaderEpoch:
		return e.Epoch, true
	}
	return "", false
}

// readEntry makes an entry of its data and of what header says under the names of [HeaderNames]. The entry keeps the data. An error means that this was never
// put by Parley.
func readEntry(header func(name string) string, data []byte) (Entry, error) {
	seq, err := strconv.ParseUint(header(HeaderSeq), 10, 64)
	e := Entry{
		Room: header(HeaderRoom), Seq: seq, Kind: header(HeaderKind), Event: header(HeaderEvent), User: header(HeaderUser), Epoch: header(HeaderEpoch), Data: data,
	}
	if err != nil || e.Room == "" || e.Event == "" {
		return e, fmt.Errorf("this is no entry of a feed: its headers name room %q, seq %q, event %q", e.Room, header(HeaderSeq), e.Event)
	}
	return e, nil
}

// Batch is what is put together.
type Batch struct {
	Entries []Entry
	Queue   string // into this queue alone, if they belong there; "" for all
	Again   bool   // they may have been put before: the engine shall not leave them out as repeats
}

// RefusedError says that an entry of a batch can never be put as it is.
type RefusedError struct {
	Room   string
	Seq    uint64
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("event %d of room %s cannot be put: %s", e.Seq, e.Room, e.Reason)
}

// Refuse is the error for an entry.
func Refuse(e *Entry, format string, args ...any) error {
	return &RefusedError{Room: e.Room, Seq: e.Seq, Reason: fmt.Sprintf(format, args...)}
}

// The errors of all adapters.
var (
	ErrExchangeClosed = errors.New("the feed is closed")
	ErrExchangeAway   = errors.New("the feed's engine is away")
	ErrNoQueue        = errors.New("the configuration declares no queue of this name")
)

// Order is how far an engine keeps the order of a room's entries.
type Order int

// The orders.
const (
	OrderPerRoom     Order = iota // whoever shares a queue: all entries of a room go to one of them at a time
	OrderOneConsumer              // as long as a queue has one consumer
)

// ExchangeFeatures is what an engine can do.
type ExchangeFeatures struct {
	Engine   string         // "memory", "nats", …
	Native   []ExchangeKind // which kinds of exchange the engine is; for the others Parley decides, by [Queue.Matches]
	Replay   bool           // consumers can go back by themselves to what they have acknowledged
	Order    Order
	MaxEntry int // bytes of an entry's data; larger ones are refused
}

// ExchangeStats are counters since the start.
type ExchangeStats struct {
	Put       uint64 // entries that the engine has acknowledged
	Failed    uint64 // calls of Put that failed
	Consumed  uint64 // entries whose handlers returned nil
	Connected bool
}

// Waves parts entries so that no wave has two of one room and each room's stand in their order. A wave that is acknowledged before the next one is put keeps what
// Put promises, though an engine may take the second of two entries that are under way and not the first.
func Waves(entries []Entry) [][]Entry {
	var waves [][]Entry
	next := map[string]int{} // by room
	for _, e := range entries {
		n := next[e.Room]
		if next[e.Room]++; n == len(waves) {
			waves = append(waves, nil)
		}
		waves[n] = append(waves[n], e)
	}
	return waves
}

// ExchangeOptions say where the engine of a feed is, and what is in the feed.
type ExchangeOptions struct {
	URL    string        // as the adapter's Open takes it
	Name   string        // what the engine shows the connections as, and its consumers
	Queues []Queue       // checked by [CheckQueues]
	Keep   time.Duration // how long the engine keeps an entry, whether it was consumed or not, as far as it can be told
	Length int           // entries that a queue holds at most, where the engine must be told a number; the oldest go
	Log    *slog.Logger  // slog.Default() when nil
}
