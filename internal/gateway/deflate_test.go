package gateway_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// What a client offers, and what the server agrees to.
func TestDeflateOffers(t *testing.T) {
	const agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	n := start(t, gateway.Options{Compression: true})
	for offer, want := range map[string]string{
		"permessage-deflate":                                                         agreed,
		"permessage-deflate; client_max_window_bits":                                 agreed,
		"permessage-deflate; client_max_window_bits=9":                               agreed,
		`permessage-deflate; client_max_window_bits="12"`:                            agreed,
		"permessage-deflate;server_no_context_takeover":                              agreed,
		"permessage-deflate; client_no_context_takeover":                             agreed,
		"permessage-deflate; server_max_window_bits=15":                              agreed + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=10":                              "",
		"permessage-deflate; server_max_window_bits":                                 "",
		"permessage-deflate; server_max_window_bits=16":                              "",
		"permessage-deflate; client_max_window_bits=7":                               "",
		"permessage-deflate; client_max_window_bits=16":                              "",
		"permessage-deflate; client_max_window_bits=08":                              "",
		"permessage-deflate; client_no_context_takeover=1":                           "",
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover": "",
		"permessage-deflate; unknown":                                                "",
		"permessage-deflate;":                                                        "",
		"permessage-deflate=1":                                                       "",
		"client_max_window_bits; permessage-deflate":                                 "",
		"x-webkit-deflate-frame":                                                     "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          agreed,
		"x-webkit-deflate-frame, permessage-deflate; client_max_window_bits":         agreed,
		"": "",
	} {
		t.Run(offer, func(t *testing.T) {
			c := dial(t, n.addr)
			c.send([]byte(handshake(n.addr, "Sec-WebSocket-Extensions: "+offer)))
			resp, err := http.ReadResponse(c.in, nil)
			if err != nil || resp.StatusCode != 101 {
				t.Fatalf("%v, %v", resp, err)
			}
			if got := resp.Header["Sec-Websocket-Extensions"]; strings.Join(got, "|") != want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// deflated is a text as the payload of a compressed message, at a level of Go's own library, which the server does not use.
func deflated(level int, texts ...string) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		panic(err)
	}
	for _, text := range texts { // a block each
		_, _ = w.Write([]byte(text)) // a buffer takes everything
		_ = w.Flush()
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))
}

// inflated undoes it.
func inflated(payload []byte) ([]byte, error) {
	const end = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader(end))))
}

// Every rule of RFC 7692, and the limits that hold for what comes out.
func TestDeflateConformance(t *testing.T) {
	n := start(t, gateway.Options{Compression: true})
	for _, c := range deflateCases() {
		c.header = []string{"Sec-WebSocket-Extensions: permessage-deflate"}
		t.Run(c.name, func(t *testing.T) { c.run(t, n) })
	}
}

func deflateCases() []conformance {
	const compressed, whole = 0x40 | opText, 0x80
	var cases []conformance
	for _, size := range []int{60, 126, 300, 4096, 65535, 65536} {
		text, reply := callOf(size)
		for _, level := range []int{flate.NoCompression, flate.BestSpeed, flate.BestCompression, flate.HuffmanOnly} {
			cases = append(cases, conformance{
				name: fmt.Sprintf("%d bytes at level %d", size, level), send: masked(whole|compressed, deflated(level, text)), want: []inFrame{reply},
			})
		}
	}
	text, reply := callOf(600)
	packed := deflated(6, text)
	first, last := masked(compressed, packed[:20]), masked(whole|opContinuation, packed[20:])
	ping, pong := masked(whole|opPing, []byte("?")), inFrame{opPong, []byte("?")}
	noise := noisyCall(65536)
	bomb := func(size int) []byte { return masked(whole|compressed, deflated(9, strings.Repeat(" ", size))) }
	var parts []byte
	for i := range packed {
		switch i {
		case 0:
			parts = append(parts, masked(compressed, packed[:1])...)
		case len(packed) - 1:
			parts = append(parts, masked(whole|opContinuation, packed[i:])...)
		default:
			parts = append(parts, masked(opContinuation, packed[i:i+1])...)
		}
	}
	return append(
		cases,
		conformance{name: "byte by byte", send: masked(whole|compressed, packed), bytes: 1, want: []inFrame{reply}},
		conformance{name: "one behind the other", send: repeat(masked(whole|compressed, packed), 20), want: repeatFrame(reply, 20)},
		conformance{name: "not compressed", send: masked(whole|opText, []byte(text)), want: []inFrame{reply}},
		conformance{name: "one is, one is not", send: join(masked(whole|compressed, packed), masked(whole|opText, []byte(text))), want: []inFrame{reply, reply}},
		conformance{name: "several blocks", send: masked(whole|compressed, deflated(6, text[:100], text[100:101], text[101:])), want: []inFrame{reply}},
		conformance{name: "a last block", send: masked(whole|compressed, closedBlocks(text)), want: []inFrame{reply}},
		conformance{name: "two last blocks", send: masked(whole|compressed, closedBlocks(text[:100], text[100:])), want: []inFrame{reply}},
		conformance{name: "an empty message", send: masked(whole|compressed, []byte{0})},
		conformance{name: "no data", send: masked(whole|compressed, nil), code: protocol.CloseProtocolError},
		conformance{name: "in fragments", send: join(first, last), want: []inFrame{reply}},
		conformance{name: "in fragments, byte by byte", send: join(first, last), bytes: 1, want: []inFrame{reply}},
		conformance{name: "in fragments with a ping", send: join(first, ping, last), want: []inFrame{pong, reply}},
		conformance{name: "in fragments of which one is empty", send: join(first, masked(opContinuation, nil), last), want: []inFrame{reply}},
		conformance{name: "in fragments of one byte", send: parts, want: fragmentReply(len(packed), reply), code: fragmentBreach(len(packed))},
		conformance{name: "in fragments, then not compressed", send: join(first, last, masked(whole|opText, []byte(text))), want: []inFrame{reply, reply}},
		conformance{name: "the bit on a continuation", send: join(first, masked(whole|0x40|opContinuation, packed[20:])), code: protocol.CloseProtocolError},
		conformance{name: "the bit on the continuation of what is not compressed", send: join(masked(opText, []byte(text[:9])), masked(whole|0x40|opContinuation, []byte(text[9:]))), code: protocol.CloseProtocolError},
		conformance{name: "the bit on a ping", send: masked(whole|0x40|opPing, nil), code: protocol.CloseProtocolError},
		conformance{name: "the bit on a pong between", send: join(first, masked(whole|0x40|opPong, nil)), code: protocol.CloseProtocolError},
		conformance{name: "the bit on a close", send: masked(whole|0x40|opClose, nil), code: protocol.CloseProtocolError},
		conformance{name: "another bit", send: masked(whole|0x20|opText, packed), code: protocol.CloseProtocolError},
		conformance{name: "two bits", send: masked(whole|0x50|opText, packed), code: protocol.CloseProtocolError},
		conformance{name: "binary", send: masked(whole|0x40|opBinary, packed), code: protocol.CloseUnsupported},
		conformance{name: "garbage", send: masked(whole|compressed, []byte("\xff\xff\xff\xff")), code: protocol.CloseProtocolError},
		conformance{name: "cut", send: masked(whole|compressed, packed[:len(packed)-9]), code: protocol.CloseProtocolError},
		conformance{name: "what came before is used", send: join(masked(whole|compressed, packed), masked(whole|compressed, secondOf(text))), want: []inFrame{reply}, code: protocol.CloseProtocolError},
		conformance{name: "not UTF-8", send: masked(whole|compressed, deflated(6, call("\xff"))), code: protocol.CloseInvalidUTF8},
		conformance{name: "not JSON", send: masked(whole|compressed, []byte("\xf2\x48\xcd\xc9\xc9\x07\x00")), code: protocol.CloseBadFrame}, // Hello
		conformance{name: "the longest, and it cannot be compressed", send: masked(whole|compressed, deflated(flate.NoCompression, noise)), want: []inFrame{answerTo(noise)}},
		conformance{name: "one byte more", send: bomb(65537), code: protocol.CloseTooBig},
		conformance{name: "32 MiB", send: bomb(32 << 20), code: protocol.CloseTooBig},
		conformance{name: "32 MiB in fragments", send: func() []byte {
			p := deflated(9, strings.Repeat(" ", 32<<20))
			return join(masked(compressed, p[:30000]), masked(whole|opContinuation, p[30000:]))
		}(), code: protocol.CloseTooBig},
		conformance{name: "announced: 1 MiB", send: append(binary.BigEndian.AppendUint64([]byte{whole | compressed, 0xff}, 1<<20), 1, 2, 3, 4), code: protocol.CloseTooBig},
	)
}

// A message in more than 64 fragments is too big, compressed or not.
func fragmentReply(parts int, reply inFrame) []inFrame {
	if parts > 64 {
		return nil
	}
	return []inFrame{reply}
}

func fragmentBreach(parts int) protocol.CloseCode {
	if parts > 64 {
		return protocol.CloseTooBig
	}
	return 0
}

// closedBlocks compresses each text into blocks of which the last says so.
func closedBlocks(texts ...string) []byte {
	var out bytes.Buffer
	for _, text := range texts {
		w, err := flate.NewWriter(&out, 6)
		if err != nil {
			panic(err)
		}
		_, _ = w.Write([]byte(text))
		_ = w.Close()
	}
	return append(out.Bytes(), 0)
}

// secondOf is a text compressed for somebody who has had it once already.
func secondOf(text string) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 9)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write([]byte(text))
	_ = w.Flush()
	out.Reset()
	_, _ = w.Write([]byte(text))
	_ = w.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))
}

// noisyCall is a call of so many bytes that hardly gets smaller.
func noisyCall(size int) string {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, size-len(call("")))
	for i := range text {
		text[i] = byte('#' + random.IntN('['-'#'))
	}
	return call(string(text))
}

// answerTo is the answer to a call.
func answerTo(frame string) inFrame {
	prefix, suffix, _ := strings.Cut(call("\x00"), "\x00")
	return answer(strings.TrimSuffix(strings.TrimPrefix(frame, prefix), suffix))
}

// What goes out is compressed where that helps, and only to those who have agreed.
func TestDeflateOut(t *testing.T) {
	n := start(t, gateway.Options{Compression: true})
	plain, plainPeer := n.connect()
	packing, packingPeer := n.connect("Sec-WebSocket-Extensions: permessage-deflate")
	packing.deflates = true
	if plainPeer.s.Deflates() || !packingPeer.s.Deflates() {
		t.Fatal("who deflates?")
	}
	frames := []byte(strings.Repeat(numbered(7, 200)+"\n", 500) + "end") // 105 KB
	packed := packingPeer.s.Wire(frames)
	if len(packed) > len(frames)/10 {
		t.Errorf("%d bytes of %d", len(packed), len(frames))
	}
	packingPeer.s.Push(packed)
	var got []string
	for len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "end") {
		got = append(got, packing.nextText())
		if size := len(got[len(got)-1]); size > protocol.MaxServerMessage {
			t.Errorf("a message of %d bytes", size)
		}
	}
	if joined := strings.Join(got, "\n"); joined != string(frames) {
		t.Errorf("%d bytes came, of %d", len(joined), len(frames))
	}
	for _, frame := range []string{numbered(1, 200), noisyCall(500)[:256]} {
		if got, want := string(packingPeer.s.Wire([]byte(frame))), string(gateway.Wire([]byte(frame))); got != want {
			t.Errorf("a small message was compressed: %q", got)
		}
	}
	plain.text(`{"id":2,"method":"much"}`)
	packing.text(`{"id":2,"method":"much"}`)
	if plain.nextText() != packing.nextText() {
		t.Error("the replies differ")
	}
}
