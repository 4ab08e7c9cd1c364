package gateway

import (
	"bytes"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/protocol"
)

// Wire wraps frames, separated by newlines, into complete WebSocket text messages: as few as possible of at most protocol.MaxServerMessage bytes each,
// unless a single frame is larger. The result shares no memory with frames; it is empty if frames is.
func Wire(frames []byte) []byte { return pack(frames, appendMessage) }

// pack cuts frames into messages, and has each appended.
func pack(frames []byte, add func(wire *bytes.Buffer, op ws.OpCode, payload []byte)) []byte {
	var wire bytes.Buffer
	wire.Grow(len(frames) + (len(frames)/protocol.MaxServerMessage+1)*ws.MaxHeaderSize)
	for len(frames) > 0 {
		end, next := len(frames), len(frames)
		if end > protocol.MaxServerMessage {
			// The last newline that keeps the message within its bound, or else the first one after it.
			if at := bytes.LastIndexByte(frames[:protocol.MaxServerMessage+1], '\n'); at >= 0 {
				end, next = at, at+1
			} else if at := bytes.IndexByte(frames, '\n'); at >= 0 {
				end, next = at, at+1
			}
		}
		if end > 0 {
			add(&wire, ws.OpText, frames[:end])
		}
		frames = frames[next:]
	}
	return wire.Bytes()
}

// appendMessage appends one unfragmented message or control frame of the server.
func appendMessage(wire *bytes.Buffer, op ws.OpCode, payload []byte) {
	// Neither fails: a buffer takes everything, and no length in memory is too large for a header.
	_ = ws.WriteHeader(wire, ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))})
	wire.Write(payload)
}

// controlWire is a control frame as it goes out.
func controlWire(op ws.OpCode, payload []byte) []byte {
	var wire bytes.Buffer
	appendMessage(&wire, op, payload)
	return wire.Bytes()
}

// closingWire is the last that a session hears when the server closes it: the signal, because proxies lose close codes, and over a WebSocket the close frame.
func closingWire(code protocol.CloseCode, retryAfter time.Duration, bare bool) []byte {
	row, _ := code.Lookup()
	signal := protocol.AppendSignal(nil, protocol.SignalClosing, "", "", protocol.ClosingData{
		Code: code, Reason: row.Reason, RetryAfterMS: milliseconds(retryAfter),
	})
	if bare {
		return signal
	}
	return append(Wire(signal), controlWire(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), row.Reason))...)
}

// milliseconds rounds up, so that who waits so long does not come too early.
func milliseconds(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
