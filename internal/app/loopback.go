package app

import (
	"net"
	"net/http"
	"net/netip"
)

// knowsHost refuses requests that came in over a loopback address under a name that is none of the machine's own. A page in a browser on this machine may
// let its name lead to 127.0.0.1 once it is loaded (DNS rebinding), and would read what is meant for those who sit here; the Host header still has its name.
func knowsHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if local != nil && local.IP.IsLoopback() && !isLoopbackName(r.Host) {
			http.Error(w, "Over a loopback address only localhost, and addresses themselves, are answered.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopbackName reports whether a Host header is an address, or localhost.
func isLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if len(host) > 1 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost"
}
