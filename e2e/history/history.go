// Package history is what test clients saw of a deployment, and the judge of it: a [Recorder] that every client of a test writes to, on one clock, and
// [Check], which holds what was written against what the logs of the rooms say in the end.
//
// The judge knows the promises of docs/protocol.md §1 and nothing of how they are kept. A send that was neither answered nor refused for good may or may
// not be stored; everything else has one right outcome.
package history

import (
	"bufio"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Op is what an entry is about.
type Op string

// The ops, with the phases they have and the members they need besides the time.
const (
	Send    Op = "send"    // Invoke: Conn, Room, CID, Hash. OK: Seq. Fail: refused for good
	Recv    Op = "recv"    // OK: an event was pushed: Conn, Room, Seq, Name, By, and of a message CID and Hash
	List    Op = "list"    // OK: an event or message was in a list that somebody asked for; as Recv
	Sync    Op = "sync"    // OK: a list was asked for at Since and answered: Conn, Room, Seq is its head
	Session Op = "conn"    // OK: a session has begun, on Node. Info: it has ended
	Resume  Op = "resume"  // Invoke: the session names Seq as its position in Room
	Reset   Op = "reset"   // OK: the stream of Room goes on behind Seq
	Skipped Op = "skipped" // OK: the events From to Seq of Room were left out
	Removed Op = "removed" // OK: Room is gone for Conn
	Cursor  Op = "cursor"  // Invoke: Conn moves its own cursor to Seq. OK: Conn sees About's cursors Read and Delivered, in a list if Since is set
	Unread  Op = "unread"  // OK: at the very end, Conn's inbox shows Read and Value unread messages in Room
	Log     Op = "log"     // OK: at the very end, Node's log of Room has an event; as Recv, with Users for whom it concerns and N for a message
	Fault   Op = "fault"   // Invoke: Name begins. OK: it is over
	Heal    Op = "heal"    // OK: from here on everything works
	Bound   Op = "bound"   // OK: on Node, Name is Value, and may be Most
)

// Phase is how far an op has got.
type Phase string

// The phases.
const (
	Invoke Phase = "invoke"
	OK     Phase = "ok"
	Fail   Phase = "fail" // for good
	Info   Phase = "info" // nobody asked for it
)

// Conn is one session of one device.
type Conn struct {
	User, Device string // Device is empty for a user with only one
	Session      uint64 // counts the sessions of the device
}

var _ encoding.TextAppender = Conn{}

// AppendText writes USER#SESSION, or USER/DEVICE#SESSION.
func (c Conn) AppendText(b []byte) ([]byte, error) {
	b = append(b, c.User...)
	if c.Device != "" {
		b = append(append(b, '/'), c.Device...)
	}
	return strconv.AppendUint(append(b, '#'), c.Session, 10), nil
}

// MarshalText is AppendText, for encoders.
func (c Conn) MarshalText() ([]byte, error) { return c.AppendText(nil) }

// UnmarshalText reads what AppendText writes.
func (c *Conn) UnmarshalText(text []byte) error {
	who, session, ok := strings.Cut(string(text), "#")
	n, err := strconv.ParseUint(session, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("history: %q is not USER#SESSION", text)
	}
	c.User, c.Device, _ = strings.Cut(who, "/")
	c.Session = n
	return nil
}

// device is the connection without the number of its session.
func (c Conn) device() Conn { return Conn{User: c.User, Device: c.Device} }

// Entry is one thing that happened. What its op does not need is left out.
type Entry struct {
	T     time.Duration `json:"t"` // nanoseconds since the recorder was made
	Op    Op            `json:"op"`
	Phase Phase         `json:"phase"`
	Conn  Conn          `json:"conn,omitzero"`
	Node  string        `json:"node,omitempty"`
	Room  string        `json:"room,omitempty"`
	Seq   uint64        `json:"seq,omitempty"`
	CID   string        `json:"cid,omitempty"`
	Name  string        `json:"name,omitempty"`
	By    string        `json:"by,omitempty"`   // who made the event
	Hash  uint64        `json:"hash,omitempty"` // of a message's content; 0: not known
	N     uint64        `json:"n,omitempty"`    // the number of a message
	Users []string      `json:"users,omitempty"`

	Since     time.Duration `json:"since,omitempty"`
	From      uint64        `json:"from,omitempty"`
	About     string        `json:"about,omitempty"`
	Read      uint64        `json:"read,omitempty"`
	Delivered uint64        `json:"delivered,omitempty"`
	Value     float64       `json:"value,omitempty"`
	Most      float64       `json:"most,omitempty"`
}

// Most is how many entries a recorder keeps. A test that writes more has to be made smaller.
const Most = 5_000_000

// Recorder keeps what happened, in order, on one monotonic clock. Its methods may be called from any goroutine.
type Recorder struct {
	begin time.Time

	mu      sync.Mutex
	entries []Entry
	dropped int
}

// NewRecorder begins a history.
func NewRecorder() *Recorder { return &Recorder{begin: time.Now()} }

// Now is the time of an entry that would be added now: for Entry.Since.
func (r *Recorder) Now() time.Duration { return time.Since(r.begin) }

// Add keeps an entry and sets its time. What invokes something is added before it, what answers it behind it: only then the order of times says
// anything.
func (r *Recorder) Add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) == Most {
		r.dropped++
		return
	}
	e.T = time.Since(r.begin)
	r.entries = append(r.entries, e)
}

// Entries is everything so far. An error says that there was more than Most.
func (r *Recorder) Entries() ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dropped > 0 {
		return nil, fmt.Errorf("history: %d entries are missing: it keeps %d", r.dropped, Most)
	}
	return r.entries[:len(r.entries):len(r.entries)], nil
}

// Write writes entries, one JSON object a line.
func Write(w io.Writer, entries []Entry) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	out := json.NewEncoder(buffered)
	for i := range entries {
		if err := out.Encode(&entries[i]); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// Read reads what Write has written.
func Read(r io.Reader) ([]Entry, error) {
	in := json.NewDecoder(bufio.NewReaderSize(r, 1<<16))
	var entries []Entry
	for {
		var e Entry
		switch err := in.Decode(&e); err {
		case nil:
			entries = append(entries, e)
		case io.EOF:
			return entries, nil
		default:
			return nil, fmt.Errorf("history: entry %d: %w", len(entries)+1, err)
		}
	}
}
