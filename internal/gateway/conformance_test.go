package gateway_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// conformance is one case: what a client sends, and everything that it gets back.
type conformance struct {
	name  string
	send  []byte
	want  []inFrame          // before the end
	code  protocol.CloseCode // how the server closes by itself; 0: it does not
	echo  []byte             // not nil: the payload of the close frame with which it answers ours
	bytes int                // how many bytes are sent at a time; 0: all

	header []string // of the handshake: compression is offered
}

// Every case of RFC 6455 that a server can get wrong, chapter by chapter. The session must go on working after those that do not close it.
func TestConformance(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) { conform(t, start(t, gateway.Options{})) })
	}
}

func conform(t *testing.T, n *node) {
	for _, chapter := range []struct {
		name  string
		cases []conformance
	}{
		{"1-framing", framingCases()},
		{"2-ping-pong", pingCases()},
		{"3-reserved-bits", reservedBitCases()},
		{"4-opcodes", opcodeCases()},
		{"5-fragmentation", fragmentationCases()},
		{"6-utf8", utf8Cases()},
		{"7-close", closeCases()},
		{"9-limits", limitCases()},
		{"10-lines", lineCases()},
	} {
		t.Run(chapter.name, func(t *testing.T) {
			for _, c := range chapter.cases {
				t.Run(c.name, func(t *testing.T) { c.run(t, n) })
			}
		})
	}
}

func (c conformance) run(t *testing.T, n *node) {
	client := n.dial(t, c.header...)
	client.deflates = c.header != nil
	go func() { // a server that closes may not read to the end
		for rest := c.send; len(rest) > 0; {
			size := len(rest)
			if c.bytes > 0 {
				size = min(c.bytes, size)
			}
			client.send(rest[:size])
			rest = rest[size:]
		}
	}()
	for i, want := range c.want {
		if got := client.next(); got.op != want.op || string(got.payload) != string(want.payload) {
			t.Fatalf("frame %d: got %#x %.200q\nwant %#x %.200q", i, got.op, got.payload, want.op, want.payload)
		}
	}
	switch {
	case c.code != 0:
		client.wantClosing(c.code)
	case c.echo != nil:
		if got := client.next(); got.op != opClose || string(got.payload) != string(c.echo) {
			t.Fatalf("got %#x %x, want a close frame with %x", got.op, got.payload, c.echo)
		}
		client.wantEnd()
	default:
		if extra := client.ping("still here"); len(extra) > 0 {
			t.Fatalf("got more: %q", extra)
		}
	}
}

// call is a frame of the protocol that is answered with text.
func call(text string) string {
	return fmt.Sprintf(`{"id":5,"method":"echo","params":{"text":"%s"}}`, text)
}

// answer is the answer to call.
func answer(text string) inFrame {
	return inFrame{opText, fmt.Appendf(nil, `{"id":5,"result":{"text":"%s"}}`, text)}
}

// callOf is a call of exactly so many bytes, and what it is answered with.
func callOf(size int) (frame string, reply inFrame) {
	text := strings.Repeat("*", size-len(call("")))
	return call(text), answer(text)
}

func framingCases() []conformance {
	var cases []conformance
	for _, size := range []int{60, 125, 126, 127, 128, 4095, 4096, 4097, 65535, 65536} {
		text, reply := callOf(size)
		for _, chunk := range []int{0, 997} {
			cases = append(cases, conformance{
				name: fmt.Sprintf("text of %d bytes by %d", size, chunk), send: masked(0x80|opText, []byte(text)), bytes: chunk, want: []inFrame{reply},
			})
		}
	}
	text, reply := callOf(130)
	unmaskedCall := unmasked(0x80|opText, []byte(text))
	return append(
		cases,
		conformance{name: "byte by byte", send: masked(0x80|opText, []byte(text)), bytes: 1, want: []inFrame{reply}},
		conformance{name: "empty", send: masked(0x80|opText, nil)},
		conformance{name: "many in one write", send: repeat(masked(0x80|opText, []byte(text)), 300), want: repeatFrame(reply, 300)},
		conformance{name: "not masked", send: unmaskedCall, code: protocol.CloseProtocolError},
		conformance{name: "not masked ping", send: unmasked(0x80|opPing, nil), code: protocol.CloseProtocolError},
		conformance{name: "not masked close", send: unmasked(0x80|opClose, nil), code: protocol.CloseProtocolError},
		conformance{name: "not masked after a call", send: join(masked(0x80|opText, []byte(text)), unmaskedCall), want: []inFrame{reply}, code: protocol.CloseProtocolError},
		conformance{name: "binary", send: masked(0x80|opBinary, []byte(text)), code: protocol.CloseUnsupported},
		conformance{name: "binary, empty", send: masked(0x80|opBinary, nil), code: protocol.CloseUnsupported},
		conformance{name: "binary, its first fragment", send: masked(opBinary, []byte(text)), code: protocol.CloseUnsupported},
		conformance{name: "length of 5 in 16 bits", send: maskedAs(0x80|opText, []byte("{}   "), 2), code: protocol.CloseProtocolError},
		conformance{name: "length of 5 in 64 bits", send: maskedAs(0x80|opText, []byte("{}   "), 8), code: protocol.CloseProtocolError},
		conformance{name: "length of 130 in 64 bits", send: maskedAs(0x80|opText, []byte(text), 8), code: protocol.CloseProtocolError},
		conformance{name: "highest bit of a length", send: append([]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 4)...), code: protocol.CloseProtocolError},
	)
}

func repeat(p []byte, times int) []byte { return []byte(strings.Repeat(string(p), times)) }

func repeatFrame(f inFrame, times int) []inFrame {
	frames := make([]inFrame, times)
	for i := range frames {
		frames[i] = f
	}
	return frames
}

func pingCases() []conformance {
	var cases []conformance
	for _, size := range []int{0, 1, 4, 124, 125} {
		payload := repeat([]byte{0xfe}, size)
		cases = append(cases, conformance{
			name: fmt.Sprintf("ping of %d bytes", size), send: masked(0x80|opPing, payload), want: []inFrame{{opPong, payload}},
		})
	}
	payload := repeat([]byte("p"), 125)
	return append(
		cases,
		conformance{name: "ping of 126 bytes", send: masked(0x80|opPing, repeat([]byte("p"), 126)), code: protocol.CloseProtocolError},
		conformance{name: "ping of 70000 bytes", send: masked(0x80|opPing, make([]byte, 70000)), code: protocol.CloseProtocolError},
		conformance{name: "ping byte by byte", send: masked(0x80|opPing, payload), bytes: 1, want: []inFrame{{opPong, payload}}},
		conformance{name: "ping in fragments", send: join(masked(opPing, nil), masked(0x80|opContinuation, nil)), code: protocol.CloseProtocolError},
		conformance{name: "pong without a ping", send: masked(0x80|opPong, nil)},
		conformance{name: "pong with a payload", send: masked(0x80|opPong, []byte("unasked"))},
		conformance{name: "pong of 126 bytes", send: masked(0x80|opPong, repeat([]byte("p"), 126)), code: protocol.CloseProtocolError},
		conformance{name: "pong then ping", send: join(masked(0x80|opPong, []byte("a")), masked(0x80|opPing, []byte("b"))), want: []inFrame{{opPong, []byte("b")}}},
		conformance{name: "ten pings", send: repeat(masked(0x80|opPing, []byte("x")), 10), want: repeatFrame(inFrame{opPong, []byte("x")}, 10)},
		conformance{name: "ten pings byte by byte", send: repeat(masked(0x80|opPing, []byte("x")), 10), bytes: 1, want: repeatFrame(inFrame{opPong, []byte("x")}, 10)},
	)
}

func reservedBitCases() []conformance {
	var cases []conformance
	for bits := byte(1); bits <= 7; bits++ {
		for _, op := range []byte{opText, opBinary, opContinuation, opPing, opPong, opClose} {
			cases = append(cases, conformance{
				name: fmt.Sprintf("bits %d of opcode %x", bits, op), send: masked(0x80|bits<<4|op, nil), code: protocol.CloseProtocolError,
			})
		}
	}
	text, reply := callOf(80)
	return append(cases, conformance{
		name: "after a call", send: join(masked(0x80|opText, []byte(text)), masked(0xC0|opText, []byte(text))),
		want: []inFrame{reply}, code: protocol.CloseProtocolError,
	})
}

func opcodeCases() []conformance {
	var cases []conformance
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		cases = append(
			cases,
			conformance{name: fmt.Sprintf("%x empty", op), send: masked(0x80|op, nil), code: protocol.CloseProtocolError},
			conformance{name: fmt.Sprintf("%x with a payload", op), send: masked(0x80|op, []byte("reserved")), code: protocol.CloseProtocolError},
			conformance{name: fmt.Sprintf("%x between fragments", op), send: join(masked(opText, []byte("{")), masked(0x80|op, nil)), code: protocol.CloseProtocolError},
		)
	}
	return cases
}

func fragmentationCases() []conformance {
	text, reply := callOf(100)
	first, second := masked(opText, []byte(text[:40])), masked(0x80|opContinuation, []byte(text[40:]))
	middle := masked(opContinuation, nil)
	ping, pong := masked(0x80|opPing, []byte("?")), inFrame{opPong, []byte("?")}
	whole := masked(0x80|opText, []byte(text))
	return []conformance{
		{name: "two", send: join(first, second), want: []inFrame{reply}},
		{name: "two byte by byte", send: join(first, second), bytes: 1, want: []inFrame{reply}},
		{name: "empty ones around", send: join(masked(opText, nil), masked(opContinuation, []byte(text)), masked(0x80|opContinuation, nil)), want: []inFrame{reply}},
		{name: "all empty", send: join(masked(opText, nil), middle, masked(0x80|opContinuation, nil))},
		{name: "of two bytes", send: fragments(text, 50), want: []inFrame{reply}},
		{name: "ping between", send: join(first, ping, second), want: []inFrame{pong, reply}},
		{name: "pings between, byte by byte", send: join(first, ping, middle, ping, second), bytes: 1, want: []inFrame{pong, pong, reply}},
		{name: "pong between", send: join(first, masked(0x80|opPong, nil), second), want: []inFrame{reply}},
		{name: "close between", send: join(first, closeFrame(1000, "")), echo: []byte{0x03, 0xe8}},
		{name: "two messages", send: join(first, second, first, second), want: []inFrame{reply, reply}},
		{name: "then whole", send: join(first, second, whole), want: []inFrame{reply, reply}},
		{name: "64", send: fragments(text, 64), want: []inFrame{reply}},
		{name: "65", send: fragments(text, 65), code: protocol.CloseTooBig},
		{name: "empty without end", send: join(first, repeat(middle, 1000)), code: protocol.CloseTooBig},
		{name: "whole between", send: join(first, whole), code: protocol.CloseProtocolError},
		{name: "begins twice", send: join(first, first), code: protocol.CloseProtocolError},
		{name: "binary between", send: join(first, masked(0x80|opBinary, nil)), code: protocol.CloseProtocolError},
		{name: "continuation of nothing", send: middle, code: protocol.CloseProtocolError},
		{name: "final continuation of nothing", send: second, code: protocol.CloseProtocolError},
		{name: "continuation after a whole message", send: join(whole, second), want: []inFrame{reply}, code: protocol.CloseProtocolError},
		{name: "continuation after the last", send: join(first, second, second), want: []inFrame{reply}, code: protocol.CloseProtocolError},
		{name: "close in fragments", send: masked(opClose, nil), code: protocol.CloseProtocolError},
	}
}

// fragments cuts a text into so many fragments, the last ones empty if need be.
func fragments(text string, n int) []byte {
	var b []byte
	size := max(1, (len(text)+n-1)/n)
	for i := range n {
		part := text[min(i*size, len(text)):min((i+1)*size, len(text))]
		first := byte(opContinuation)
		if i == 0 {
			first = opText
		}
		if i == n-1 {
			first |= 0x80
		}
		b = append(b, masked(first, []byte(part))...)
	}
	return b
}

func utf8Cases() []conformance {
	var cases []conformance
	for _, text := range []string{
		"κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U00010000", "\U0010ffff", "\ufeff", "👩‍👩‍👧",
	} {
		message := call(text)
		for at := strings.Index(message, text); at <= strings.Index(message, text)+len(text); at++ {
			split := join(masked(opText, []byte(message[:at])), masked(0x80|opContinuation, []byte(message[at:])))
			cases = append(cases, conformance{name: fmt.Sprintf("%+q split at %d", text, at), send: split, want: []inFrame{answer(text)}})
		}
		cases = append(cases, conformance{name: fmt.Sprintf("%+q byte by byte", text), send: masked(0x80|opText, []byte(message)), bytes: 1, want: []inFrame{answer(text)}})
	}
	for _, text := range []string{
		"\x80", "\xbf", "\x80\xbf", "\xc0", "\xc3", "\xe0\xa0", "\xf0\x90\x80", "\xfe", "\xff", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf",
		"\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xed\xa0\x80", "\xed\xbf\xbf",
		"\xed\xa0\x80\xed\xb0\x80", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
	} {
		message := []byte(call(text))
		half := strings.Index(call(text), text) + len(text)/2
		cases = append(
			cases,
			conformance{name: fmt.Sprintf("not %x", text), send: masked(0x80|opText, message), code: protocol.CloseInvalidUTF8},
			conformance{
				name: fmt.Sprintf("not %x in fragments", text), code: protocol.CloseInvalidUTF8,
				send: join(masked(opText, message[:half]), masked(0x80|opContinuation, message[half:])),
			},
		)
	}
	return append(
		cases,
		conformance{name: "not at the end of a message", send: masked(0x80|opText, []byte("{}\n\xe2\x82")), code: protocol.CloseInvalidUTF8},
		conformance{name: "anything in a ping", send: masked(0x80|opPing, []byte("\xff\xfe")), want: []inFrame{{opPong, []byte("\xff\xfe")}}},
	)
}

func closeCases() []conformance {
	code := func(c uint16) []byte { return binary.BigEndian.AppendUint16(nil, c) }
	cases := []conformance{
		{name: "without a code", send: masked(0x80|opClose, nil), echo: []byte{}},
		{name: "one byte", send: masked(0x80|opClose, []byte{3}), code: protocol.CloseProtocolError},
		{name: "with a reason", send: closeFrame(1000, "done"), echo: code(1000)},
		{name: "with the longest reason", send: closeFrame(1000, strings.Repeat("r", 123)), echo: code(1000)},
		{name: "with a longer reason", send: closeFrame(1000, strings.Repeat("r", 124)), code: protocol.CloseProtocolError},
		{name: "with a reason that is not UTF-8", send: closeFrame(1000, "\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), code: protocol.CloseInvalidUTF8},
		{name: "with a reason cut in a character", send: closeFrame(1000, "\xe2\x82"), code: protocol.CloseInvalidUTF8},
		{name: "byte by byte", send: closeFrame(1000, "bye"), bytes: 1, echo: code(1000)},
		{name: "twice", send: repeat(closeFrame(1000, ""), 2), echo: code(1000)},
		{name: "then a ping", send: join(closeFrame(1000, ""), masked(0x80|opPing, nil)), echo: code(1000)},
		{name: "then a call", send: join(closeFrame(1000, ""), masked(0x80|opText, []byte(call("late")))), echo: code(1000)},
		{name: "then what is no frame", send: join(closeFrame(1000, ""), []byte("garbage that no server would take")), echo: code(1000)},
		{name: "then a lot", send: join(closeFrame(1000, ""), make([]byte, 300<<10)), echo: code(1000)},
		{name: "after a call", send: join(masked(0x80|opText, []byte(call("a"))), closeFrame(1001, "")), want: []inFrame{answer("a")}, echo: code(1001)},
	}
	for _, good := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4400, 4999} {
		cases = append(cases, conformance{name: fmt.Sprint(good), send: closeFrame(good, ""), echo: code(good)})
	}
	for _, bad := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, conformance{name: fmt.Sprintf("not %d", bad), send: closeFrame(bad, ""), code: protocol.CloseProtocolError})
	}
	return cases
}

func limitCases() []conformance {
	_, reply := callOf(65536)
	text, _ := callOf(65536)
	huge := func(first byte, length uint64) []byte { // a header alone
		return append(binary.BigEndian.AppendUint64([]byte{first, 0xff}, length), 1, 2, 3, 4)
	}
	return []conformance{
		{name: "the longest", send: masked(0x80|opText, []byte(text)), want: []inFrame{reply}},
		{name: "the longest, in fragments", send: fragments(text, 64), want: []inFrame{reply}},
		{name: "one byte more", send: masked(0x80|opText, []byte(text+" ")), code: protocol.CloseTooBig},
		{name: "one byte more, in fragments", send: fragments(text+" ", 2), code: protocol.CloseTooBig},
		{name: "announced: 65537", send: huge(0x80|opText, 65537), code: protocol.CloseTooBig},
		{name: "announced: 4 GiB", send: huge(0x80|opText, 1<<32), code: protocol.CloseTooBig},
		{name: "announced: all there is", send: huge(0x80|opText, 1<<63-1), code: protocol.CloseTooBig},
		{name: "announced in a fragment", send: huge(opText, 1<<40), code: protocol.CloseTooBig},
		{name: "announced in a continuation", send: join(masked(opText, []byte("{")), huge(opContinuation, 65536)), code: protocol.CloseTooBig},
		{name: "announced in a ping", send: huge(0x80|opPing, 1<<20), code: protocol.CloseProtocolError},
		{name: "a megabyte", send: masked(0x80|opText, make([]byte, 1<<20)), code: protocol.CloseTooBig},
		{name: "calls before it", send: join(masked(0x80|opText, []byte(call("a"))), huge(0x80|opText, 65537)), want: []inFrame{answer("a")}, code: protocol.CloseTooBig},
	}
}

// What §2.1 says of the lines of a message.
func lineCases() []conformance {
	say := func(text string) []byte { return masked(0x80|opText, []byte(text)) }
	badRequest := func(id int, field string) inFrame {
		return inFrame{opText, fmt.Appendf(nil, `{"id":%d,"error":{"code":"bad_request","message":"There is no such method.","field":"%s"}}`, id, field)}
	}
	return []conformance{
		{name: "several", send: say(call("a") + "\n" + call("b") + "\n" + call("c")), want: []inFrame{answer("a"), answer("b"), answer("c")}},
		{name: "empty ones", send: say("\n\n" + call("a") + "\n\n" + call("b") + "\n"), want: []inFrame{answer("a"), answer("b")}},
		{name: "nothing but newlines", send: say("\n\n\n")},
		{name: "heartbeat", send: say("{}")},
		{name: "heartbeats around", send: say("{}\n" + call("a") + "\n{}"), want: []inFrame{answer("a")}},
		{name: "heartbeat with members", send: say(`{"sent":"now"}`)},
		{name: "unknown method", send: say(`{"id":3,"method":"no.such"}`), want: []inFrame{badRequest(3, "method")}},
		{name: "not JSON", send: say("hello"), code: protocol.CloseBadFrame},
		{name: "cut JSON", send: say(`{"id":1,"method":"echo"`), code: protocol.CloseBadFrame},
		{name: "an array", send: say(`[]`), code: protocol.CloseBadFrame},
		{name: "a string", send: say(`"hello"`), code: protocol.CloseBadFrame},
		{name: "id a string", send: say(`{"id":"7","method":"echo"}`), code: protocol.CloseBadFrame},
		{name: "id 0", send: say(`{"id":0,"method":"echo"}`), code: protocol.CloseBadFrame},
		{name: "id too large", send: say(`{"id":9007199254740992,"method":"echo"}`), code: protocol.CloseBadFrame},
		{name: "the lines before a bad one", send: say(call("a") + "\nnonsense\n" + call("b")), want: []inFrame{answer("a")}, code: protocol.CloseBadFrame},
	}
}
