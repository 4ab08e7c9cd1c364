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

// The sizes of a reader's buffer: what it begins with, and the largest that is kept for the next session.
const (
	readBytes = 4 << 10
	keepBytes = 16 << 10
)

// reader cuts the bytes of a client into messages and control frames, and finds breaches of RFC 6455. It holds at most one message and, behind it, what one
// system call brought. It belongs to a session only while there is something in it.
type reader struct {
	limit int // of a message

	buf     []byte // what was read
	taken   int    // how much of it; what follows begins with the header of a frame
	message []byte // the payloads of the fragments so far
	parts   int    // how many they are; 0: no message has begun

	header  bytes.Reader           // what ws reads headers from
	scratch [ws.MaxHeaderSize]byte // what ws reads headers with

	attempt func(fd uintptr) bool // r.try, made once
	n       int                   // what try has read,
	err     error                 // or what kept it from reading
}

// frame is a whole message (OpText), or a control frame.
type frame struct {
	op      ws.OpCode
	payload []byte // good until the reader is used again
}

func newReader(limit int) *reader {
	r := &reader{limit: limit}
	r.attempt = r.try
	r.reset()
	return r
}

// idle reports whether there is nothing in the reader.
func (r *reader) idle() bool { return r.taken == len(r.buf) && r.parts == 0 }

// full reports whether the last read used all the space there was, so that there may be more to read.
func (r *reader) full() bool { return len(r.buf) == cap(r.buf) }

// reset empties the reader, and lets go of a buffer that is too large to keep.
func (r *reader) reset() {
	if cap(r.buf) < readBytes || cap(r.buf) > keepBytes {
		r.buf = make([]byte, 0, readBytes)
	}
	r.buf, r.taken, r.message, r.parts = r.buf[:0], 0, nil, 0
}

// feed adds bytes.
func (r *reader) feed(p []byte) { r.buf = append(r.buf, p...) }

// readFrom adds what one read brings, without waiting. It makes the buffer larger only when it is full of one frame's bytes, so that memory is spent on what
// has come, not on what a header announces.
func (r *reader) readFrom(raw syscall.RawConn) (n int, err error) {
	r.buf, r.taken = slices.Delete(r.buf, 0, r.taken), 0
	if r.full() {
		r.buf = slices.Grow(r.buf, len(r.buf))
	}
	if err := raw.Read(r.attempt); err != nil {
		return 0, err
	}
	return r.n, r.err
}

func (r *reader) try(fd uintptr) bool {
	free := r.buf[len(r.buf):cap(r.buf)]
	r.n, r.err = unix.Read(int(fd), free)
	for errors.Is(r.err, unix.EINTR) {
		r.n, r.err = unix.Read(int(fd), free)
	}
	if r.err == nil {
		r.buf = r.buf[:len(r.buf)+r.n]
	}
	return true
}

// next takes the next message or control frame out. ok is false when more bytes are needed, or with breach, the code of what is wrong.
func (r *reader) next() (f frame, ok bool, breach protocol.CloseCode) {
	for {
		h, size, complete, breach := r.peekHeader()
		if breach == 0 && complete {
			breach = r.check(h)
		}
		if breach != 0 || !complete || int64(len(r.buf)-r.taken-size) < h.Length {
			return frame{}, false, breach
		}
		end := r.taken + size + int(h.Length)
		payload := r.buf[r.taken+size : end : end]
		r.taken = end
		ws.Cipher(payload, h.Mask, 0)
		if h.OpCode.IsControl() {
			return frame{h.OpCode, payload}, true, 0
		}
		if h.Fin && r.parts == 0 {
			return frame{ws.OpText, payload}, true, 0
		}
		r.message = append(r.message, payload...)
		if r.parts++; h.Fin {
			whole := r.message
			r.message, r.parts = nil, 0
			return frame{ws.OpText, whole}, true, 0
		}
	}
}

// peekHeader reads the header that the buffer begins with, and its size; complete is false when a part is missing.
func (r *reader) peekHeader() (h ws.Header, size int, complete bool, breach protocol.CloseCode) {
	r.header.Reset(r.buf[r.taken:])
	h, err := ws.ReadHeaderBuffer(&r.header, r.scratch[:])
	size = len(r.buf) - r.taken - r.header.Len()
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
func (r *reader) check(h ws.Header) protocol.CloseCode {
	state := ws.StateServerSide
	if r.parts > 0 {
		state |= ws.StateFragmented
	}
	switch {
	case ws.CheckHeader(h, state) != nil, h.OpCode == ws.OpClose && h.Length == 1:
		return protocol.CloseProtocolError
	case h.OpCode == ws.OpBinary:
		return protocol.CloseUnsupported
	case h.OpCode.IsControl():
		return 0
	case h.Length > int64(r.limit-len(r.message)), r.parts == maxFragments:
		return protocol.CloseTooBig
	}
	return 0
}
