package gateway

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"

	"github.com/parley-im/parley/protocol"
)

// permessage-deflate (RFC 7692), without context takeover: each message is compressed by itself. So nothing is kept between messages, neither for a session
// that reads nor for one that is written to, and what is written is compressed once for all sessions that get it.

// deflateOver is the size over which messages are compressed: below it little is won.
const deflateOver = 256

// flushed is how compressed data ends that was flushed; a message leaves it out.
const flushed = "\x00\x00\xff\xff"

// acceptDeflate answers the offers of Sec-WebSocket-Extensions with the first one that we can take. ok is false when there is none.
func acceptDeflate(offers []string) (accepted string, ok bool) {
	for offer := range splitQuoted(strings.Join(offers, ","), ',') {
		if window, ok := takeOffer(offer); ok {
			return "permessage-deflate; server_no_context_takeover; client_no_context_takeover" + window, true
		}
	}
	return "", false
}

// takeOffer reports whether we can do as a client offers, and what is to be said about our window. It is always the largest: a client that cannot take that gets
// no compression. What a client says of its own window is good to know for those who keep one for it.
func takeOffer(offer string) (window string, ok bool) {
	seen := map[string]bool{}
	for part := range splitQuoted(offer, ';') {
		name, value, hasValue := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.Trim(value, `"`)
		first := len(seen) == 0
		switch {
		case seen[name], first != (name == "permessage-deflate"):
			return "", false
		case first, name == "server_no_context_takeover", name == "client_no_context_takeover":
			ok = !hasValue
		case name == "client_max_window_bits":
			ok = !hasValue || isWindow(value)
		case name == "server_max_window_bits":
			ok, window = value == "15", "; server_max_window_bits=15"
		default:
			ok = false
		}
		if !ok {
			return "", false
		}
		seen[name] = true
	}
	return window, ok
}

// isWindow reports whether s is the size of a window: 8 to 15 bits.
func isWindow(s string) bool {
	bits, err := strconv.Atoi(s)
	return err == nil && 8 <= bits && bits <= 15 && strconv.Itoa(bits) == s
}

// A deflater compresses messages.
type deflater struct {
	flate *flate.Writer
	out   bytes.Buffer
}

// newDeflater makes a deflater; it holds about 800 KB, so that there must be few. The library is klauspost's rather than Go's because it takes three quarters of the
// time for messages, and two thirds of the memory.
func newDeflater() *deflater {
	d := &deflater{}
	d.flate, _ = flate.NewWriter(&d.out, flate.BestSpeed) // fails for a level that there is not
	return d
}

// appendMessage appends an unfragmented message, compressed if that makes it smaller.
func (d *deflater) appendMessage(wire *bytes.Buffer, op ws.OpCode, payload []byte) {
	if len(payload) > deflateOver {
		d.out.Reset()
		d.flate.Reset(&d.out)
		_, _ = d.flate.Write(payload) // neither fails: a buffer takes everything
		_ = d.flate.Flush()
		if small := bytes.TrimSuffix(d.out.Bytes(), []byte(flushed)); len(small) < len(payload) {
			_ = ws.WriteHeader(wire, ws.Header{Fin: true, Rsv: rsvDeflate, OpCode: op, Length: int64(len(small))})
			wire.Write(small)
			return
		}
	}
	appendMessage(wire, op, payload)
}

// rsvDeflate is what the reserved bits of a header are where a compressed message begins.
const rsvDeflate = 4

// inflaters are all there are in a gateway: so many messages are inflated at a time, the others wait.
type inflaters struct {
	free chan *inflater // nil: one that is not made yet
}

func newInflaters() inflaters {
	f := inflaters{make(chan *inflater, 2*runtime.GOMAXPROCS(0))}
	for range cap(f.free) {
		f.free <- nil
	}
	return f
}

// inflate is the message that was compressed, of at most limit bytes, in memory of its own.
func (f inflaters) inflate(payload []byte, limit int) ([]byte, protocol.CloseCode) {
	i := <-f.free
	if i == nil {
		i = &inflater{flate: flate.NewReader(nil)}
	}
	message, breach := i.inflate(payload, limit)
	message = bytes.Clone(message)
	i.tidy()
	f.free <- i
	return message, breach
}

// An inflater undoes compression.
type inflater struct {
	flate io.ReadCloser // a flate.Resetter too
	from  bytes.Reader
	in    []byte
	out   []byte
}

// inflate is good until the inflater is used again. It holds at most limit + 1 bytes of what comes out: a message that is longer is given up there.
func (i *inflater) inflate(payload []byte, limit int) ([]byte, protocol.CloseCode) {
	const end = flushed + "\x01\x00\x00\xff\xff" // an empty block, the last one
	i.in = append(append(i.in[:0], payload...), end...)
	i.out = i.out[:0]
	// There may be last blocks in a message as well, with more behind them.
	for i.from.Reset(i.in); i.from.Len() > 0; {
		if err := i.flate.(flate.Resetter).Reset(&i.from, nil); err != nil {
			return nil, protocol.CloseProtocolError
		}
		for ended := false; !ended; {
			if len(i.out) == cap(i.out) {
				i.grow(limit)
			}
			n, err := i.flate.Read(i.out[len(i.out):cap(i.out)])
			i.out = i.out[:len(i.out)+n]
			ended = errors.Is(err, io.EOF)
			switch {
			case len(i.out) > limit:
				return nil, protocol.CloseTooBig
			case err != nil && !ended:
				return nil, protocol.CloseProtocolError
			}
		}
	}
	return i.out, 0
}

// grow makes the space for what comes out twice as large, or as large as it may get where that is not much more: all that is ever made for one message is less
// than twice the limit.
func (i *inflater) grow(limit int) {
	size := max(readBytes, 2*cap(i.out))
	if 2*size > limit {
		size = limit + 1
	}
	i.out = append(make([]byte, 0, size), i.out...)
}

// tidy lets go of buffers that are too large to keep.
func (i *inflater) tidy() {
	if cap(i.in) > keepBytes {
		i.in = nil
	}
	if cap(i.out) > keepBytes {
		i.out = nil
	}
}

// deflaters lends deflaters.
type deflaters struct{ pool sync.Pool }

// wire is Wire for sessions that have agreed on compression.
func (d *deflaters) wire(frames []byte) []byte {
	lent, ok := d.pool.Get().(*deflater)
	if !ok {
		lent = newDeflater()
	}
	defer d.pool.Put(lent)
	return pack(frames, lent.appendMessage)
}
