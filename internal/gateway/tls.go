package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Secure is a listener whose connections speak TLS, in a form that can become sessions without a buffer or a goroutine of their own. HTTP/1.1 is all that is
// offered on them: a session needs a connection to itself. The HTTP server bounds the time of a handshake by its ReadHeaderTimeout.
func Secure(l net.Listener, config *tls.Config) net.Listener {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return &secureListener{l, config}
}

type secureListener struct {
	net.Listener
	config *tls.Config
}

// records is a connection that speaks TLS: tls makes of it what a session says and hears, and reads and writes its records here. While HTTP is spoken it is the
// socket. Once it is a session's it never blocks: a read of an empty socket is EAGAIN, which crypto/tls takes for a passing error, and what is written is put
// aside until Session.transmit takes it. So it has neither a goroutine nor, while it is idle, more than the rest of one record.
type records struct {
	socket
	tls *tls.Conn
	raw syscall.RawConn // not nil: it is a session's

	mu  sync.Mutex // a leaf
	out []byte     // put aside
}

// Accept waits for the next connection, not for its handshake.
func (l *secureListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	sock, ok := conn.(socket)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("gateway: TLS needs connections with a file descriptor")
	}
	r := &records{socket: sock}
	r.tls = tls.Server(r, l.config)
	return r.tls, nil
}

// Read is for tls: it reads records.
func (r *records) Read(p []byte) (n int, err error) {
	if r.raw == nil {
		return r.socket.Read(p)
	}
	failed := r.raw.Read(func(fd uintptr) bool {
		n, err = readOnce(fd, p)
		return true
	})
	switch {
	case failed != nil:
		return 0, failed
	case n == 0 && err == nil:
		return 0, io.EOF
	}
	return n, err
}

// Write is for tls: it writes records, or puts them aside.
func (r *records) Write(p []byte) (int, error) {
	if r.raw == nil {
		return r.socket.Write(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = append(r.out, p...)
	return len(p), nil
}

// SetDeadline and its like do nothing once it is a session's: tls sets deadlines for a connection that blocks.
func (r *records) SetDeadline(t time.Time) error {
	if r.raw != nil {
		return nil
	}
	return r.socket.SetDeadline(t)
}

// SetReadDeadline is like SetDeadline.
func (r *records) SetReadDeadline(t time.Time) error {
	if r.raw != nil {
		return nil
	}
	return r.socket.SetReadDeadline(t)
}

// SetWriteDeadline is like SetDeadline.
func (r *records) SetWriteDeadline(t time.Time) error {
	if r.raw != nil {
		return nil
	}
	return r.socket.SetWriteDeadline(t)
}

// open reads what there is to hear, until p is full or the socket is empty: nothing that has come stays in tls but the beginning of a record. Like a read of
// a socket it returns 0 and no error at the end.
func (r *records) open(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var got int
		got, err = r.tls.Read(p[n:])
		n += got
	}
	if n > 0 || errors.Is(err, io.EOF) {
		return n, nil // an error comes again with the next read
	}
	return 0, err
}

// seal makes records of wire, behind those that wait.
func (r *records) seal(wire []byte) { _, _ = r.tls.Write(wire) } // what fails was told by a read already, or follows closing

// sealEnd says that nothing follows.
func (r *records) sealEnd() { _ = r.tls.CloseWrite() }

// take is what was put aside.
func (r *records) take() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.out
	r.out = nil
	return out
}
