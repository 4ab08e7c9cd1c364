package gateway

import (
	"net/http"
	"runtime/debug"

	"github.com/parley-im/parley/protocol"
)

// Public is what every request of a client goes through before next: it learns who the client is, from Options.Proxies, and a panic of next ends this request
// and nothing else: it is answered with `internal`, and the log has where it was.
func (g *Gateway) Public(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch cause := recover(); cause {
			case nil:
			case http.ErrAbortHandler:
				panic(cause) // how a handler breaks off an answer that it has begun
			default:
				g.panicked("a request", r.URL.Path, r.RemoteAddr, cause)
				refuse(w, http.StatusInternalServerError, internalError())
			}
		}()
		g.opts.Proxies.tell(r)
		next.ServeHTTP(w, r)
	})
}

// panicked tells the log of a panic, with where it was, and nothing of a message or a body.
func (g *Gateway) panicked(kind, name, remote string, cause any) {
	g.opts.Log.Error(kind+" panicked", "name", name, "remote", remote, "cause", cause, "stack", string(debug.Stack()))
}

func internalError() *protocol.Error {
	return protocol.Errorf(protocol.Internal, "", "The server has failed at this; it is in its log.")
}
