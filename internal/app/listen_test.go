package app

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/testkit"
)

// A socket that nobody listens at is in nobody's way; one that is in use, and what is no socket, is left alone.
func TestListenAtUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parley")
	first, err := listenAt("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := listenAt("unix:" + path); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second listener: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := listenAt("unix:" + path)
	if err != nil {
		t.Fatalf("after one that left its socket: %v", err)
	}
	second.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is there after it was closed: %v", err)
	}
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt("unix:" + path); err == nil {
		t.Error("a file was taken for a socket")
	}
	if content, err := os.ReadFile(path); string(content) != "somebody's" {
		t.Errorf("%q, %v", content, err)
	}
}

// A certificate follows its files; what cannot be used is told once and changes nothing.
func TestCertificateFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(cert, key []byte) {
		t.Helper()
		if err := os.WriteFile(certFile, cert, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(keyFile, key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	firstCert, firstKey := testkit.Certificate(t)
	secondCert, secondKey := testkit.Certificate(t)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	write(firstCert, secondKey)
	if _, err := loadCertificate(certFile, keyFile, logger); err == nil {
		t.Error("a key of another certificate was taken")
	}
	write(firstCert, firstKey)
	c, err := loadCertificate(certFile, keyFile, logger)
	if err != nil {
		t.Fatal(err)
	}
	first := c.pair.Load()
	for _, step := range []struct {
		name    string
		change  func()
		changed bool
		said    string // what is logged, once
	}{
		{"nothing", func() {}, false, ""},
		{"half a new pair", func() { write(secondCert, firstKey) }, false, "cannot be used"},
		{"no files", func() { os.Remove(certFile) }, false, "cannot be used"},
		{"garbage", func() { write([]byte("garbage"), nil) }, false, "cannot be used"},
		{"a new pair", func() { write(secondCert, secondKey) }, true, "has changed"},
	} {
		before := c.pair.Load()
		step.change()
		log.Reset()
		c.follow()
		c.follow()
		if changed := c.pair.Load() != before; changed != step.changed {
			t.Errorf("%s: changed: %t", step.name, changed)
		}
		if got := log.String(); strings.Count(got, "\n") > 1 || !strings.Contains(got, step.said) || step.said == "" && got != "" {
			t.Errorf("%s: logged %q", step.name, got)
		}
	}
	if pair, err := c.current(nil); pair == first || err != nil {
		t.Errorf("the old pair is in use, %v", err)
	}
}
