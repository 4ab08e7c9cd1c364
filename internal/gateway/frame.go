package gateway

import (
	"bytes"
	"errors"
	"slices"
	"syscall"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/protocol"
)

// The sizes of a framer's buffer: what it begins with, and the largest that is kept for the next session.
const (
	readBytes = 4 << 10
	keepBytes = 16 << 10
)

// framer cuts the bytes of a client into messages and control frames, and finds breaches of RFC 6455. It holds at most one message and, behind it, what one
// system call brought. It belongs to a session only while there is something in it.
type framer struct {
	limit int // of a message

	buf     []byte // what was read
	taken   int    // how much of it; what follows begins with the header of a frame
	message []byte // the payloads of the fragments so far
	parts   int    // how many they are; 0: no message has begun

	inflaters  inflaters
	deflates   bool // messages may be compressed
	compressed bool // this one is

	header  bytes.Reader           // what ws reads headers from
	scratch [ws.MaxHeaderSize]byte // what ws reads headers with

	attempt func(fd uintptr) bool // f.try, made once
	n       int                   // what try has read,
	err     error                 // or what kept it from reading
}

// frame is a whole message (OpText), or a control frame.
type frame struct {
	op      ws.OpCode
	payload []byte // good until the framer is used again
}

func newFramer(limit int, inflaters inflaters) *framer {
	f := &framer{limit: limit, inflaters: inflaters}
	f.attempt = f.try
	f.reset()
	return f
}

// idle reports whether there is nothing in it.
func (f *framer) idle() bool { return f.taken == len(f.buf) && f.parts == 0 }

// full reports whether the last read used all the space there was, so that there may be more to read.
func (f *framer) full() bool { return len(f.buf) == cap(f.buf) }

// reset empties it, and lets go of a buffer that is too large to keep.
func (f *framer) reset() {
	if cap(f.buf) < readBytes || cap(f.buf) > keepBytes {
		f.buf = make([]byte, 0, readBytes)
	}
	f.buf, f.taken, f.message, f.parts = f.buf[:0], 0, nil, 0
	f.deflates, f.compressed = false, false
}

// feed adds bytes.
func (f *framer) feed(p []byte) {
	f.makeSpace()
	f.buf = append(f.buf, p...)
}

// readFrom adds what one read brings, without waiting. At the end it returns 0 and no error.
func (f *framer) readFrom(sock socket, raw syscall.RawConn) (n int, err error) {
	f.makeSpace()
	if r, ok := sock.(*records); ok {
		n, err = r.open(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		return n, err
	}
	if err := raw.Read(f.attempt); err != nil {
		return 0, err
	}
	return f.n, f.err
}

// makeSpace makes space behind the bytes that are not taken yet. It makes the buffer larger only when it is full of one frame's bytes, so that memory is
// spent on what has come, not on what a header announces.
func (f *framer) makeSpace() {
	f.buf, f.taken = slices.Delete(f.buf, 0, f.taken), 0
	if f.full() {
		f.buf = slices.Grow(f.buf, len(f.buf))
	}
}

func (f *framer) try(fd uintptr) bool {
	f.n, f.err = readOnce(fd, f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+f.n]
	return true
}

// readOnce reads what there is; 0 without an error is the end.
func readOnce(fd uintptr, p []byte) (n int, err error) {
	n, err = unix.Read(int(fd), p)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(int(fd), p)
	}
	return max(0, n), err
}

// next takes the next message or control frame out. ok is false when more bytes are needed, or with breach, the code of what is wrong.
func (f *framer) next() (next frame, ok bool, breach protocol.CloseCode) {
	for {
		h, size, complete, breach := f.peekHeader()
		if breach == 0 && complete {
			f.noteDeflate(&h)
			breach = f.check(h)
		}
		if breach != 0 || !complete || int64(len(f.buf)-f.taken-size) < h.Length {
			return frame{}, false, breach
		}
		end := f.taken + size + int(h.Length)
		payload := f.buf[f.taken+size : end : end]
		f.taken = end
		ws.Cipher(payload, h.Mask, 0)
		if h.OpCode.IsControl() {
			return frame{h.OpCode, payload}, true, 0
		}
		if h.Fin && f.parts == 0 {
			return f.whole(payload)
		}
		f.message = append(f.message, payload...)
		if f.parts++; h.Fin {
			whole := f.message
			f.message, f.parts = nil, 0
			return f.whole(whole)
		}
	}
}

// whole is a message all of whose bytes are there.
func (f *framer) whole(payload []byte) (message frame, ok bool, breach protocol.CloseCode) {
	if f.compressed {
		if payload, breach = f.inflaters.inflate(payload, f.limit); breach != 0 {
			return frame{}, false, breach
		}
	}
	return frame{ws.OpText, payload}, true, 0
}

// noteDeflate takes the bit that says that a message is compressed off the header that begins it; anywhere else it is a breach.
func (f *framer) noteDeflate(h *ws.Header) {
	if !f.deflates || f.parts > 0 || h.OpCode.IsControl() || h.OpCode == ws.OpContinuation {
		return
	}
	if f.compressed = h.Rsv == rsvDeflate; f.compressed {
		h.Rsv = 0
	}
}

// most is how long a message may be as it comes. One that cannot be compressed grows a little by it.
func (f *framer) most() int {
	if f.compressed {
		return f.limit + f.limit/16 + 64
	}
	return f.limit
}

// peekHeader reads the header that the buffer begins with, and its size; complete is false when a part is missing.
func (f *framer) peekHeader() (h ws.Header, size int, complete bool, breach protocol.CloseCode) {
	f.header.Reset(f.buf[f.taken:])
	h, err := ws.ReadHeaderBuffer(&f.header, f.scratch[:])
	size = len(f.buf) - f.taken - f.header.Len()
	switch {
	case errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		return h, size, false, protocol.CloseProtocolError
	case err != nil:
		return h, size, false, 0
	case ws.HeaderSize(h) != size: // a length in more bytes than it needs
		return h, size, false, protocol.CloseProtocolError
	}
	return h, size, true, 0
}

// check finds what a header alone shows to be wrong, before any of its payload is waited for.
func (f *framer) check(h ws.Header) protocol.CloseCode {
	state := ws.StateServerSide
	if f.parts > 0 {
		state |= ws.StateFragmented
	}
	switch {
	case ws.CheckHeader(h, state) != nil, h.OpCode == ws.OpClose && h.Length == 1:
		return protocol.CloseProtocolError
	case h.OpCode == ws.OpBinary:
		return protocol.CloseUnsupported
	case h.OpCode.IsControl():
		return 0
	case h.Length > int64(f.most()-len(f.message)), f.parts == maxFragments:
		return protocol.CloseTooBig
	}
	return 0
}
