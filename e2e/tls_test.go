package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-im/parley/internal/testkit"
)

// authority trusts certificates of a test. Its zero value trusts none.
type authority struct {
	certificate []byte // PEM
}

func (a authority) client() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.certificate)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

// writePair puts a new certificate and its key where a server reads them.
func writePair(t *testing.T, dir string) authority {
	t.Helper()
	certificate, key := testkit.Certificate(t)
	for name, content := range map[string][]byte{"cert.pem": certificate, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return authority{certificate}
}

// Over TLS everything works as it does without. A new certificate is taken over while the server runs: sessions stay, those that come get the new one.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	first := writePair(t, dir)
	s := start(t, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"))
	b := &backend{t, "https://" + s.addr, s.key("test"), ""}
	connect := func(user string, trusts authority) (*client, error) {
		c, err := s.openAt("wss://"+s.addr, &websocket.DialOptions{HTTPClient: trusts.client()})
		if err != nil {
			return nil, err
		}
		c.user = user
		c.call("hello", object{"token": s.token(user), "device": "d"})
		return c, nil
	}
	alice, err := connect("alice", first)
	if err != nil {
		t.Fatal(err)
	}
	room := alice.call("room.create", object{"kind": "group", "name": "r", "members": []string{}})["room"].(object)["id"].(string)
	text := strings.Repeat("many records ", 600) // 7,800 bytes
	say := func(id string) {
		t.Helper()
		seq := alice.send(room, id, text)
		alice.expect("the message "+id, func(f frame) bool { return f.Room == room && f.Seq == seq && f.data()["text"] == text })
	}
	say("before")

	second := writePair(t, dir)
	if err := syscall.Kill(s.pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var again *client
	for deadline := time.Now().Add(patience); again == nil; {
		if again, err = connect("alice2", second); err != nil && time.Now().After(deadline) {
			t.Fatalf("the new certificate does not come: %v", err)
		}
	}
	if _, err := connect("alice3", first); err == nil {
		t.Error("the old certificate is still shown")
	}
	say("after")
	if _, err := b.try("user.get", object{"users": []string{"alice"}}); err == nil {
		t.Error("an HTTP call to a server that the system does not trust went through")
	}
	response, err := second.client().Get("https://" + s.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 1 {
		t.Errorf("the page: %s over %s", response.Status, response.Proto)
	}
}

// A unix socket serves clients and operators as an address does. What a killed server leaves behind is in nobody's way, and at a stop it goes.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "parley") // shorter than t.TempDir: the path of a socket has a bound
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "clients")
	s := &server{t: t, binary: "parley", dir: t.TempDir(), addr: "unix:" + path, log: &tail{}}
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	s.kill()
	s.restart()
	t.Cleanup(s.kill)
	dial := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	c, err := s.openAt("ws://localhost", &websocket.DialOptions{HTTPClient: dial})
	if err != nil {
		t.Fatal(err)
	}
	c.call("hello", object{"token": s.token("alice"), "device": "d"})
	s.stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is there after a stop: %v", err)
	}
}

// What a room gets is the same for those who take it compressed and those who do not.
func TestCompression(t *testing.T) {
	s := start(t, "--compression")
	connect := func(user string, mode websocket.CompressionMode) *client {
		t.Helper()
		c, err := s.openAt("ws://"+s.addr, &websocket.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		c.user = user
		c.call("hello", object{"token": s.token(user), "device": "d"})
		return c
	}
	all := []*client{
		connect("alice", websocket.CompressionContextTakeover), connect("bob", websocket.CompressionDisabled), connect("carol", websocket.CompressionNoContextTakeover),
	}
	room := all[0].call("room.create", object{"kind": "group", "name": "r", "members": []string{"bob", "carol"}})["room"].(object)["id"].(string)
	text := strings.Repeat("the same words ", 500) // 7,500 bytes
	for _, sender := range all {
		seq := sender.send(room, sender.user, sender.user+text)
		for _, c := range all {
			c.expect("what "+sender.user+" sent", func(f frame) bool { return f.Room == room && f.Seq == seq && f.data()["text"] == sender.user+text })
		}
	}
}
