package bench

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// subscribeID is the id of the call that subscribes; those of sends are above it.
const subscribeID = 1

// watcher is a session that follows one room, and may talk in it. What its link tells it comes one call at a time.
type watcher struct {
	r      *liveRun
	index  int
	id     string
	room   string // set before the link is opened
	link   *client.Link
	delays atomic.Pointer[latency] // of deliveries

	// Only within calls of the link; from is read at the end.
	epoch   string
	live    bool
	from    protocol.Seq // the first event due; 0: not subscribed yet
	second  int64        // of the clock,
	brought uint64       // and how many events it has brought

	next   atomic.Uint64 // the seq that must come next
	newest atomic.Uint64 // the highest seq that a message of its own was acknowledged with
	tally  struct{ pushed, skipped, missed, repeated, reset, resets, returns, most atomic.Uint64 }

	mu     sync.Mutex // guards the rest
	made   uint64     // the id and client_id of the last message
	flying map[uint64]time.Time
	buf    []byte
}

func newWatcher(r *liveRun, index int, delays *latency) (*watcher, error) {
	w := &watcher{r: r, index: index, id: r.name + "-" + strconv.Itoa(index), made: subscribeID, flying: make(map[uint64]time.Time)}
	w.delays.Store(delays)
	var err error
	w.link, err = client.NewLink(&client.LinkOptions{
		URL: r.c.URLs[r.c.node(index)], Token: r.token(w.id), Device: "bench", Client: "parley bench", Rooms: protocol.RoomsNone,
		Backoff: client.Backoff{Base: 250 * time.Millisecond, Cap: 2 * time.Second}, Conn: r.c.connOptions(),
	}, w)
	return w, err
}

// Resume names the position in the room.
func (w *watcher) Resume() *protocol.Resume {
	if w.from == 0 {
		return nil
	}
	return &protocol.Resume{Epoch: w.epoch, Rooms: map[string]protocol.Seq{w.room: w.next.Load() - 1}}
}

// State subscribes with the first session. The session counts once that is answered.
func (w *watcher) State(s client.State) {
	if w.live {
		w.live = false
		w.r.count.lives.Add(-1)
	}
	switch {
	case s.Phase == client.Live && w.from == 0:
		w.epoch = s.Hello.Epoch
		w.link.Write(fmt.Appendf(nil, `{"id":%d,"method":"room.subscribe","params":{"room":%q}}`, subscribeID, w.room))
	case s.Phase == client.Live:
		w.tally.returns.Add(1)
		w.follows()
	case s.Phase == client.Stopped && s.Reason != client.ReasonShutdown:
		w.r.fail(fmt.Errorf("bench: the session of %s ended for good (%s): %w", w.id, s.Reason, s.Err))
	}
}

func (w *watcher) follows() {
	w.live = true
	w.r.count.lives.Add(1)
}

// Ended has nothing to do: a message that was not answered is told of in the end.
func (w *watcher) Ended(uint64) {}

// Frame takes events and the answers to sends by the shortest way.
func (w *watcher) Frame(line []byte) error {
	if room, seq, ok := scanEvent(line); ok && string(room) == w.room {
		w.event(seq, line)
		return nil
	}
	if id, seq, ok := scanReply(line); ok && id > subscribeID {
		w.answered(id, seq)
		return nil
	}
	return w.other(line)
}

// event checks that it is the one that must come, and times it.
func (w *watcher) event(seq protocol.Seq, line []byte) {
	w.reach(seq, seq)
	w.tally.pushed.Add(1)
	now := time.Since(w.r.begin)
	if second := int64(now / time.Second); second != w.second {
		w.second, w.brought = second, 0
	}
	if w.brought++; w.brought > w.tally.most.Load() {
		w.tally.most.Store(w.brought)
	}
	if (seq+uint64(w.index))%w.r.sampling != 0 && w.index < w.r.c.Users {
		return
	}
	if sent, ok := scanStamp(line); ok {
		w.delays.Load().add(w.index, now-time.Duration(sent)*time.Microsecond)
	}
}

// reach goes on behind events that came, or that were named as left out.
func (w *watcher) reach(from, to protocol.Seq) {
	next := w.next.Load()
	if from > next {
		w.tally.missed.Add(from - next)
	}
	if from < next {
		w.tally.repeated.Add(min(next, to+1) - from)
	}
	w.next.Store(max(next, to+1))
}

// other takes what is neither an event in the usual order nor the reply to a send.
func (w *watcher) other(line []byte) error {
	f, err := protocol.ParseFrame(line)
	if err != nil {
		return err
	}
	switch {
	case f.Error != nil:
		w.refused(f.ID, f.Error)
	case f.ID == subscribeID:
		var result protocol.HeadResult
		err = json.Unmarshal(f.Result, &result)
		w.from = result.Head + 1
		w.next.Store(w.from)
		w.follows()
	case f.Seq > 0:
		w.event(f.Seq, line)
	case f.Event == protocol.SignalSkipped:
		var d protocol.SkippedData
		err = json.Unmarshal(f.Data, &d)
		w.reach(d.From, d.To)
		w.tally.skipped.Add(d.To + 1 - d.From)
	case f.Event == protocol.SignalAudience:
		var d protocol.AudienceData
		err = json.Unmarshal(f.Data, &d)
		for most := w.r.audience.Load(); d.Watching > most && !w.r.audience.CompareAndSwap(most, d.Watching); {
			most = w.r.audience.Load()
		}
	case f.Event == protocol.SignalReset:
		var d protocol.ResetData
		err = json.Unmarshal(f.Data, &d)
		w.tally.resets.Add(1)
		w.tally.reset.Add(d.Head + 1 - min(d.Head+1, w.next.Load()))
		w.next.Store(d.Head + 1)
	}
	return err
}

// send sends the next message to the room.
func (w *watcher) send() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	now := time.Now()
	w.flying[w.made] = now
	w.buf = appendSend(w.buf[:0], w.made, w.room, uint64(now.Sub(w.r.begin).Microseconds()), w.r.filler)
	w.link.Write(w.buf)
}

// landed takes a message off the list of those that are not answered.
func (w *watcher) landed(n uint64) (took time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.flying[n]
	delete(w.flying, n)
	return time.Since(at), ok
}

func (w *watcher) answered(n uint64, seq protocol.Seq) {
	took, ok := w.landed(n)
	if !ok {
		return
	}
	w.newest.Store(max(w.newest.Load(), seq))
	if w.index < w.r.c.Users {
		w.r.ack.add(w.index, took)
		w.r.count.acked.Add(1)
	}
}

// refused counts a message that is not sent again: the load goes by the clock.
func (w *watcher) refused(n uint64, e *protocol.Error) {
	if n == subscribeID {
		w.r.fail(fmt.Errorf("bench: %s may not subscribe: %w", w.id, e))
		return
	}
	w.landed(n)
	w.r.count.failed.Add(1)
	if e.Code == protocol.RateLimited {
		w.r.count.limited.Add(1)
	}
}

// waiting is how many messages are not answered.
func (w *watcher) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.flying)
}
