package gateway

import (
	"bytes"
	"compress/flate"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/parley-im/parley/protocol"
)

// packed is what a client may send.
func packed(text string) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 9)
	_, _ = io.WriteString(w, text)
	_ = w.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte(flushed))
}

// A message is what another library makes of it, or is refused; it is never over the limit.
func FuzzInflate(f *testing.F) {
	f.Add(packed("Hello"))
	f.Add(packed(strings.Repeat("Hello", 500)))
	f.Add([]byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00})
	f.Add([]byte{0})
	f.Add([]byte{})
	inflaters := newInflaters()
	f.Fuzz(func(t *testing.T, payload []byte) {
		const limit = 2000
		before := bytes.Clone(payload)
		got, breach := inflaters.inflate(payload, limit)
		if len(got) > limit || !bytes.Equal(payload, before) {
			t.Fatalf("%d bytes; the payload is now %q", len(got), payload)
		}
		in := bytes.NewReader([]byte(string(payload) + flushed + "\x01\x00\x00\xff\xff"))
		var want []byte
		for in.Len() > 0 && len(want) <= limit {
			part, err := io.ReadAll(io.LimitReader(flate.NewReader(in), limit+1))
			if want = append(want, part...); err != nil && len(want) <= limit {
				if breach != protocol.CloseProtocolError {
					t.Fatalf("%d, and another library says %v", breach, err)
				}
				return
			}
		}
		if tooBig := len(want) > limit; tooBig != (breach == protocol.CloseTooBig) || !tooBig && !bytes.Equal(got, want) {
			t.Errorf("%d with %q, want %q", breach, got, want)
		}
	})
}

// A bomb costs no more than twice what the longest message does.
func TestBombIsCheap(t *testing.T) {
	const limit = 64 << 10
	bomb := packed(strings.Repeat("\n", 32<<20))
	inflaters := newInflaters()
	for range cap(inflaters.free) { // each is made once
		inflaters.inflate(packed("Hello"), limit)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const bombs = 20
	for range bombs {
		if _, breach := inflaters.inflate(bomb, limit); breach != protocol.CloseTooBig {
			t.Fatal(breach)
		}
	}
	runtime.ReadMemStats(&after)
	most := uint64(2*limit + len(bomb) + 4<<10) // what came in is held as well
	if each := (after.TotalAlloc - before.TotalAlloc) / bombs; each > most {
		t.Errorf("a bomb of %d bytes costs %d, want at most %d", len(bomb), each, most)
	}
}
