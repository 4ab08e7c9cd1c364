package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// certificateLook is how often the files are looked at.
const certificateLook = 5 * time.Second

// certificate is the pair of certificate and key that the server proves itself with. When its files change it follows: handshakes that begin later get the new
// pair, sessions stay. A pair that cannot be used leaves the one before in place.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	pair              atomic.Pointer[tls.Certificate]
	seen              [2][]byte // what was in the files when they were looked at last
}

// loadCertificate reads a pair that must be good. run follows its files.
func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.look(); err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	return c, nil
}

// current is the pair for a handshake.
func (c *certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.pair.Load(), nil
}

// run looks at the files every few seconds, and at once on SIGHUP, until ctx ends.
func (c *certificate) run(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ticker := time.NewTicker(certificateLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-hangup:
		}
		c.follow()
	}
}

// follow takes over what has changed, and says how that went.
func (c *certificate) follow() {
	switch changed, err := c.look(); {
	case err != nil:
		c.log.Error("the new certificate cannot be used; the one before stays", "cert_file", c.certFile, "error", err)
	case changed:
		c.log.Info("the certificate has changed", "cert_file", c.certFile, "valid_until", c.pair.Load().Leaf.NotAfter)
	}
}

// look reads the files, and takes the pair over if it is a new one that is good. What is wrong with a pair is told once.
func (c *certificate) look() (changed bool, err error) {
	certificate, err := os.ReadFile(c.certFile)
	var key []byte
	if err == nil {
		key, err = os.ReadFile(c.keyFile)
	}
	if err != nil { // told once as well: nothing was seen
		if c.seen[0] == nil && c.pair.Load() != nil {
			return false, nil
		}
		c.seen = [2][]byte{}
		return false, err
	}
	if bytes.Equal(c.seen[0], certificate) && bytes.Equal(c.seen[1], key) {
		return false, nil
	}
	c.seen = [2][]byte{certificate, key}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return false, err
	}
	c.pair.Store(&pair)
	return true, nil
}
