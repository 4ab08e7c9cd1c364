package gateway

import (
	"crypto/tls"
	"net"
	"syscall"
)

// socket is what carries a session: *net.TCPConn, *net.UnixConn, and what is built on them. How bytes move is its affair: those of a plain socket are read and
// written through its file descriptor, those of *records pass through TLS on the way. How they are framed is the session's.
type socket interface {
	net.Conn
	syscall.Conn
}

// carrier makes what carries a session of the connection that HTTP was spoken on, and that comes from the address remote.
func carrier(conn net.Conn, remote string) (socket, syscall.RawConn, bool) {
	sock, ok := conn.(socket)
	secure, isSecure := conn.(*tls.Conn)
	if isSecure {
		sock, ok = secure.NetConn().(*records)
	}
	if !ok {
		return nil, nil, false
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, nil, false
	}
	known := sock.RemoteAddr().String() == remote
	if r, ok := sock.(*records); ok {
		r.raw = raw
		if !known {
			r.socket = named{r.socket, address(remote)}
		}
	} else if !known {
		sock = named{sock, address(remote)}
	}
	return sock, raw, true
}

// named is a socket on which somebody else speaks than its peer: a proxy has told who.
type named struct {
	socket
	remote address
}

// RemoteAddr is the address of who speaks.
func (n named) RemoteAddr() net.Addr { return n.remote }

// address is an address as a proxy tells it.
type address string

// Network is that of most.
func (address) Network() string { return "tcp" }

func (a address) String() string { return string(a) }
