package bench

import (
	"bufio"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

// history writes what happened, one JSON object a line: t in nanoseconds since the run began, on one clock for all; conn is the user and the number of
// its session; phase is invoke, ok, fail (the server refused for good) or info (something happened that nobody asked for). A message that was invoked
// and is neither ok nor fail may or may not be stored.
//
//	op send    invoke, ok (seq), fail   room, cid
//	op recv    ok                       room, seq, cid if it is a message of this run
//	op resume  invoke                   room, seq: the position that hello names
//	op reset   ok                       room, seq: the head that was told
//	op conn    ok, info                 a session has begun, or ended
type history struct {
	begin time.Time

	mu  sync.Mutex
	out *bufio.Writer
	buf []byte
	err error
}

func newHistory(w io.Writer, begin time.Time) *history {
	if w == nil {
		return nil
	}
	return &history{begin: begin, out: bufio.NewWriterSize(w, 1<<16)}
}

// entry is one line. Empty fields are left out.
type entry struct {
	op, phase string
	user      string
	session   uint64
	room      string
	cid       uint64
	seq       protocol.Seq
}

// add writes an entry; on a nil history it does nothing.
func (h *history) add(e entry) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := append(h.buf[:0], `{"t":`...)
	b = strconv.AppendInt(b, int64(time.Since(h.begin)), 10)
	b = appendMember(b, "op", e.op)
	b = appendMember(b, "phase", e.phase)
	b = appendMember(b, "conn", e.user+"#"+strconv.FormatUint(e.session, 10))
	if e.room != "" {
		b = appendMember(b, "room", e.room)
	}
	if e.cid != 0 {
		b = appendMember(b, "cid", strconv.FormatUint(e.cid, 10))
	}
	if e.seq != 0 {
		b = strconv.AppendUint(append(b, `,"seq":`...), e.seq, 10)
	}
	b = append(b, "}\n"...)
	if _, err := h.out.Write(b); err != nil && h.err == nil {
		h.err = err
	}
	h.buf = b
}

// appendMember appends a string that needs no escapes.
func appendMember(b []byte, name, value string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":"`...)
	b = append(b, value...)
	return append(b, '"')
}

// flush writes what is left, and tells the first error that there was.
func (h *history) flush() error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.out.Flush(); h.err == nil {
		h.err = err
	}
	return h.err
}
