package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
	"github.com/parley-im/parley/web"
)

// listener is one address with what is served there.
type listener struct {
	net.Listener
	server *http.Server
}

// openGateway makes what holds the sessions of those who connect.
func (a *App) openGateway(node string) error {
	cfg := a.cfg
	var err error
	if a.proxies, err = gateway.NewProxies(cfg.Proxies.Trusted, cfg.Proxies.Header); err != nil {
		return err
	}
	var free []string
	if cfg.Limits.MessagesPerSecond == 0 {
		free = []string{protocol.MessageSend} // the operator has lifted its limit
	}
	a.gateway = gateway.New(gateway.Options{
		Heartbeat: cfg.Heartbeat, FrameBytes: cfg.Limits.FrameBytes, CallsPerSecond: cfg.Limits.CallsPerSecond,
		MaxConnections: cfg.Limits.Connections, Origins: cfg.Origins, Free: free, Compression: cfg.Compression,
		HandshakesPerAddress: cfg.Limits.HandshakesPerAddress, Proxies: a.proxies, Log: a.log, Tag: cluster.Tag(node),
	}, a.api)
	return nil
}

// listeners are those that are open.
func (a *App) listeners() iter.Seq[*listener] {
	return func(yield func(*listener) bool) {
		for _, l := range []*listener{a.public, a.admin, a.inner} {
			if l != nil && !yield(l) {
				return
			}
		}
	}
}

// listen opens the addresses for clients and for operators.
func (a *App) listen() error {
	a.listenInside()
	var err error
	if a.cfg.TLS.CertFile != "" {
		if a.certificate, err = loadCertificate(a.cfg.TLS.CertFile, a.cfg.TLS.KeyFile, a.log); err != nil {
			return err
		}
	}
	public, err := listenAt(a.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for clients: %w", err)
	}
	if a.cfg.Proxies.Protocol {
		public = a.proxies.Listen(public, a.log)
	}
	a.public = &listener{public, &http.Server{
		Handler:           a.publicHandler(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(complaints{a.log}, "", 0),
	}}
	if a.certificate != nil {
		a.public.Listener = gateway.Secure(public, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: a.certificate.current})
	}
	if a.cfg.AdminListen == "" {
		return nil
	}
	admin, err := listenAt(a.cfg.AdminListen)
	if err != nil {
		return fmt.Errorf("listen for operators: %w", err)
	}
	a.admin = &listener{admin, &http.Server{Handler: knowsHost(a.adminHandler()), ReadHeaderTimeout: 5 * time.Second}}
	return nil
}

// publicHandler serves clients. In development mode it signs tokens for whoever asks, and so looks twice at who does.
func (a *App) publicHandler() http.Handler {
	public := a.gateway.Public(a.api.Handler(a.gateway, web.Handler(web.Settings{Origins: a.cfg.Origins, Dev: a.cfg.Dev})))
	if a.cfg.Dev {
		public = knowsHost(public)
	}
	return public
}

// listenAt listens at HOST:PORT, or at a unix socket that its owner and group may use. It goes when the listener is closed.
func listenAt(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes the socket that a server has left which did not end in good order: one at which nobody listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("another server listens at %s", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

// Addr is the address that clients connect to: HOST:PORT, or unix:PATH.
func (a *App) Addr() string { return a.public.address() }

// AdminAddr is the address for operators, "" when it is off.
func (a *App) AdminAddr() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.address()
}

// URL is where a browser finds the server.
func (a *App) URL() string {
	if a.certificate != nil {
		return "https://" + a.Addr()
	}
	return "http://" + a.Addr()
}

func (l *listener) address() string {
	if at := l.Addr(); at.Network() == "unix" {
		return "unix:" + at.String()
	}
	return l.Addr().String()
}

// complaints takes what an HTTP server has to say of its clients: as one message, so that a storm of it is limited like any other.
type complaints struct {
	log *slog.Logger
}

func (c complaints) Write(p []byte) (int, error) {
	c.log.Warn("the HTTP server complains", "error", strings.TrimSpace(string(p)))
	return len(p), nil
}
