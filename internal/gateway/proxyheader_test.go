package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// binaryHeader is a header of version 2.
func binaryHeader(command, family byte, body string) string {
	return proxySignature + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

const (
	four = "\xc0\x00\x02\x01\x0a\x00\x00\x01\x12\x34\x01\xbb"                                                 // 192.0.2.1:4660 to 10.0.0.1:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01________________\x12\x34\x01\xbb" // [2001:db8::1]:4660
)

func TestProxyHeader(t *testing.T) {
	cut := errors.New("cut")
	for _, c := range []struct {
		name   string
		header string
		from   string // "": the proxy itself
		err    error  // cut: it ends too early
	}{
		{"TCP4", "PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n", "192.0.2.1:4660", nil},
		{"TCP6", "PROXY TCP6 2001:db8::1 ::1 4660 443\r\n", "[2001:db8::1]:4660", nil},
		{"mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::1 4660 443\r\n", "192.0.2.1:4660", nil},
		{"unknown", "PROXY UNKNOWN\r\n", "", nil},
		{"unknown with more", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "", nil},
		{"the longest", "PROXY UNKNOWN " + strings.Repeat("x", 107-16) + "\r\n", "", nil},
		{"longer", "PROXY UNKNOWN " + strings.Repeat("x", 107-15) + "\r\n", "", errProxyHeader},
		{"without an end", "PROXY TCP4 " + strings.Repeat("1", 1000), "", errProxyHeader},
		{"cut", "PROXY TCP4 192.0.2.1", "", cut},
		{"cut before the end", "PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r", "", cut},
		{"a name", "PROXY TCP4 localhost 10.0.0.1 4660 443\r\n", "", errProxyHeader},
		{"the other family", "PROXY TCP4 2001:db8::1 ::1 4660 443\r\n", "", errProxyHeader},
		{"a zone", "PROXY TCP6 fe80::1%eth0 ::1 4660 443\r\n", "", errProxyHeader},
		{"a large port", "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n", "", errProxyHeader},
		{"a signed port", "PROXY TCP4 192.0.2.1 10.0.0.1 +1 443\r\n", "", errProxyHeader},
		{"too few", "PROXY TCP4 192.0.2.1 10.0.0.1 4660\r\n", "", errProxyHeader},
		{"two spaces", "PROXY TCP4  192.0.2.1 10.0.0.1 4660 443\r\n", "", errProxyHeader},
		{"small letters", "proxy TCP4 192.0.2.1 10.0.0.1 4660 443\r\n", "", errProxyHeader},
		{"UDP", "PROXY UDP4 192.0.2.1 10.0.0.1 4660 443\r\n", "", errProxyHeader},
		{"HTTP", "GET /v1/ws HTTP/1.1\r\n", "", errProxyHeader},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", "", errProxyHeader},
		{"nothing", "", "", cut},
		{"v2 TCP4", binaryHeader(0x21, 0x11, four), "192.0.2.1:4660", nil},
		{"v2 TCP6", binaryHeader(0x21, 0x21, six), "[2001:db8::1]:4660", nil},
		{"v2 with more", binaryHeader(0x21, 0x11, four+"\x04\x00\x01x"), "192.0.2.1:4660", nil},
		{"v2 the longest", binaryHeader(0x21, 0x11, four+strings.Repeat("x", 520-12)), "192.0.2.1:4660", nil},
		{"v2 longer", binaryHeader(0x21, 0x11, four+strings.Repeat("x", 521-12)), "", errProxyHeader},
		{"v2 local", binaryHeader(0x20, 0, ""), "", nil},
		{"v2 local with addresses", binaryHeader(0x20, 0x11, four), "", nil},
		{"v2 unspecified", binaryHeader(0x21, 0, "anything"), "", nil},
		{"v2 too short for TCP4", binaryHeader(0x21, 0x11, four[:11]), "", errProxyHeader},
		{"v2 too short for TCP6", binaryHeader(0x21, 0x21, six[:35]), "", errProxyHeader},
		{"v2 UDP", binaryHeader(0x21, 0x12, four), "", errProxyHeader},
		{"v2 unix", binaryHeader(0x21, 0x31, strings.Repeat("x", 216)), "", errProxyHeader},
		{"v3", binaryHeader(0x31, 0x11, four), "", errProxyHeader},
		{"v2 another command", binaryHeader(0x22, 0x11, four), "", errProxyHeader},
		{"v2 cut", binaryHeader(0x21, 0x11, four)[:20], "", cut},
		{"v2 cut in its head", binaryHeader(0x21, 0x11, four)[:14], "", cut},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := strings.NewReader(c.header)
			if c.err == nil {
				in = strings.NewReader(c.header + "GET")
			}
			from, err := readProxyHeader(in)
			switch {
			case c.err == cut:
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v, %v", from, err)
				}
			case !errors.Is(err, c.err):
				t.Errorf("got %v, %v; want %v", from, err, c.err)
			case err == nil:
				if got := from.IsValid(); got != (c.from != "") || got && from.String() != c.from {
					t.Errorf("got %v, want %s", from, c.from)
				}
				if rest, _ := io.ReadAll(in); string(rest) != "GET" {
					t.Errorf("%q is left", rest)
				}
			}
		})
	}
}

// Whatever comes, no more is read than a header has.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\nGET"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(binaryHeader(0x21, 0x11, four)))
	f.Add([]byte(binaryHeader(0x21, 0x21, six+"\x04\x00\x01x")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := bytes.NewReader(stream)
		from, err := readProxyHeader(in)
		if read := len(stream) - in.Len(); read > maxProxyHeader {
			t.Errorf("%d bytes were read", read)
		}
		if from != (netip.AddrPort{}) && (err != nil || !from.IsValid() || from.Addr().Is4In6() || from.Addr().Zone() != "") {
			t.Errorf("got %v, %v", from, err)
		}
	})
}
