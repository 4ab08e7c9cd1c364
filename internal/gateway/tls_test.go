package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// tapped is a connection of a client that sends by one byte and keeps what it received.
type tapped struct {
	net.Conn
	got bytes.Buffer
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.got.Write(p[:n])
	return n, err
}

func (c *tapped) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// Records that come byte by byte are put together, and the last one that goes out is close_notify: nobody can cut a session and pass it off as its end.
func TestRecordsByteByByte(t *testing.T) {
	n := startSecure(t, gateway.Options{})
	c := dial(t, n.addr)
	tap := &tapped{Conn: c.conn}
	c.link = tap
	config := n.roots.Clone()
	config.MaxVersion = tls.VersionTLS12 // whose records show what they are
	c.secure(config)
	c.send(join([]byte(handshake(n.addr)), masked(0x80|opText, []byte(call("a")))))
	c.upgraded()
	c.wantText(string(answer("a").payload))
	c.send(closeFrame(1000, ""))
	c.wantClose(1000)
	var kinds []byte
	for rest := tap.got.Bytes(); len(rest) > 5; rest = rest[5+int(binary.BigEndian.Uint16(rest[3:])):] {
		kinds = append(kinds, rest[0])
	}
	const alert = 21
	if bytes.Count(kinds, []byte{alert}) != 1 || kinds[len(kinds)-1] != alert {
		t.Errorf("the server sent records of the kinds %d", kinds)
	}
}

// What is no record ends the session, and the client is told why.
func TestGarbageInPlaceOfRecords(t *testing.T) {
	n := startSecure(t, gateway.Options{})
	c, p := n.connect()
	if _, err := c.conn.Write([]byte("\x17\x03\x03\x00\x20nobody has encrypted these bytes, not at all")); err != nil {
		t.Fatal(err)
	}
	_, err := c.link.Read(make([]byte, 1))
	if want := "remote error: tls: bad record MAC"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	wait(t, "Closed", p.closed)
	if got := n.Stats().Closes; len(got) != 1 || got[protocol.CloseCode(1006)] != 1 {
		t.Errorf("closes: %v", got)
	}
}

// What a client may offer in its handshake.
func TestTLSVersions(t *testing.T) {
	n := startSecure(t, gateway.Options{})
	for _, c := range []struct {
		name   string
		most   uint16
		offers []string
		spoken uint16 // 0: refused
	}{
		{"all versions", 0, nil, tls.VersionTLS13},
		{"1.2", tls.VersionTLS12, nil, tls.VersionTLS12},
		{"1.1", tls.VersionTLS11, nil, 0},
		{"HTTP/2 too", 0, []string{"h2", "http/1.1"}, tls.VersionTLS13},
		{"only HTTP/2", 0, []string{"h2"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := n.roots.Clone()
			config.MinVersion, config.MaxVersion, config.NextProtos = tls.VersionTLS10, c.most, c.offers
			link := tls.Client(dial(t, n.addr).conn, config)
			err := link.Handshake()
			state := link.ConnectionState()
			if refused := err != nil; refused != (c.spoken == 0) || !refused && state.Version != c.spoken {
				t.Errorf("got %v and version %x, want %x", err, state.Version, c.spoken)
			}
			if err == nil && c.offers != nil && state.NegotiatedProtocol != "http/1.1" {
				t.Errorf("protocol %q", state.NegotiatedProtocol)
			}
		})
	}
}

// A client that does not speak TLS is answered in plain text, and gets no session.
func TestPlainTextToTLS(t *testing.T) {
	n := startSecure(t, gateway.Options{})
	c := dial(t, n.addr)
	c.send([]byte(handshake(n.addr)))
	if answer, err := io.ReadAll(c.in); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.0 400 Bad Request")) {
		t.Errorf("%q, %v", answer, err)
	}
	if got := n.Stats().Opened; got != 0 {
		t.Errorf("%d sessions were opened", got)
	}
}
