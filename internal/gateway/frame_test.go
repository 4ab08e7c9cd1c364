package gateway

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

// A framer finds the same in the same bytes, however they are cut, and holds no more than a message.
func FuzzReadFrames(f *testing.F) {
	client := func(op ws.OpCode, fin bool, payload string) []byte {
		return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(payload)), [4]byte{1, 2, 3, 4}))
	}
	f.Add(client(ws.OpText, true, `{"id":1,"method":"hello"}`), uint8(1))
	f.Add(append(client(ws.OpText, false, "{"), client(ws.OpContinuation, true, "}")...), uint8(3))
	f.Add(append(client(ws.OpText, false, "{"), client(ws.OpPing, true, "?")...), uint8(7))
	f.Add(client(ws.OpText, true, string(make([]byte, 300))), uint8(100))
	f.Add(client(ws.OpClose, true, "\x03\xe8bye"), uint8(2))
	f.Add(bytes.Repeat(client(ws.OpContinuation, false, ""), 70), uint8(5))
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, uint8(4))
	deflated := client(ws.OpText, true, string(packed(`{"id":1,"method":"hello"}`)))
	deflated[0] |= rsvDeflate << 4
	f.Add(deflated, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint8) {
		const limit = 1000
		whole, parts := newFramer(limit, newInflaters()), newFramer(limit, newInflaters())
		whole.deflates, parts.deflates = chunk%2 == 0, chunk%2 == 0
		want := readAll(t, whole, stream, len(stream), limit)
		got := readAll(t, parts, stream, int(chunk), limit)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in chunks of %d (-at once +in chunks):\n%s", chunk, diff)
		}
	})
}

// readAll is everything that a framer finds, in words; it ends at the first breach.
func readAll(t *testing.T, f *framer, stream []byte, chunk, limit int) (found []string) {
	for len(stream) > 0 {
		n := min(max(chunk, 1), len(stream))
		f.feed(bytes.Clone(stream[:n]))
		stream = stream[n:]
		for {
			next, ok, breach := f.next()
			if breach != 0 {
				return append(found, fmt.Sprint(breach))
			}
			if !ok {
				break
			}
			if next.op != ws.OpText && !next.op.IsControl() || len(next.payload) > limit {
				t.Fatalf("found %x with %d bytes", next.op, len(next.payload))
			}
			found = append(found, fmt.Sprintf("%x %q", next.op, next.payload))
		}
		if held := len(f.buf) - f.taken; held > f.most()+ws.MaxHeaderSize || len(f.message) > f.most() || f.parts > maxFragments {
			t.Fatalf("holds %d bytes, %d of a message in %d parts", held, len(f.message), f.parts)
		}
	}
	return found
}

// A header that announces much costs nothing until the bytes come.
func TestAnnouncedBytesCostNothing(t *testing.T) {
	f := newFramer(1<<20, newInflaters())
	f.feed(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<20))
	f.feed(make([]byte, 4))
	if _, ok, breach := f.next(); ok || breach != 0 {
		t.Fatal(ok, breach)
	}
	f.makeSpace()
	if cap(f.buf) > readBytes {
		t.Errorf("a buffer of %d bytes for nothing", cap(f.buf))
	}
	for range 1 << 10 {
		f.feed(make([]byte, 1<<10))
	}
	if _, ok, breach := f.next(); !ok || breach != 0 {
		t.Error(ok, breach)
	}
	if f.reset(); cap(f.buf) > keepBytes {
		t.Errorf("a buffer of %d bytes is kept", cap(f.buf))
	}
}

// What an idle session costs of our own making; the rest is the kernel's and the runtime's. See BenchmarkIdle.
func TestSessionIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Session{}); size > 288 { // a size class of the allocator
		t.Errorf("a Session is %d bytes", size)
	}
}

// Wire packs frames into as few messages as their bound allows, and loses none.
func TestWire(t *testing.T) {
	frames := func(sizes ...int) []byte {
		var lines [][]byte
		for i, size := range sizes {
			lines = append(lines, bytes.Repeat([]byte{'a' + byte(i%26)}, size))
		}
		return bytes.Join(lines, []byte("\n"))
	}
	const most = protocol.MaxServerMessage
	for _, c := range []struct {
		name   string
		frames []byte
		sizes  []int // of the messages
	}{
		{"nothing", nil, nil},
		{"one", frames(2), []int{2}},
		{"two", frames(2, 3), []int{6}},
		{"as large as a message", frames(most), []int{most}},
		{"larger than a message", frames(most + 1), []int{most + 1}},
		{"large between small", frames(10, 3*most, 10), []int{10, 3 * most, 10}},
		{"small behind large", frames(most+1, 5, 5), []int{most + 1, 11}},
		{"two that just fit", frames(most/2, most/2-1), []int{most}},
		{"two that just do not", frames(most/2, most/2), []int{most / 2, most / 2}},
		{"three of 40,000", frames(40000, 40000, 40000), []int{40000, 40000, 40000}},
		{"many", frames(slices.Repeat([]int{99}, 1000)...), []int{65499, 34499}},
		{"a newline at the end", append(frames(most), '\n'), []int{most}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sizes []int
			var payloads [][]byte
			for wire := bytes.NewReader(Wire(c.frames)); wire.Len() > 0; {
				h, err := ws.ReadHeader(wire)
				if err != nil || h.OpCode != ws.OpText || !h.Fin || h.Masked || h.Rsv != 0 {
					t.Fatalf("%+v, %v", h, err)
				}
				payload := make([]byte, h.Length)
				if _, err := wire.Read(payload); err != nil {
					t.Fatal(err)
				}
				sizes, payloads = append(sizes, len(payload)), append(payloads, payload)
			}
			if diff := cmp.Diff(c.sizes, sizes); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if got := bytes.Join(payloads, []byte("\n")); !bytes.Equal(got, bytes.TrimSuffix(c.frames, []byte("\n"))) {
				t.Error("the frames are not the same")
			}
		})
	}
}
