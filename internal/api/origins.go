package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// crossOrigin keeps pages away that may not call this server, and tells browsers which may (CORS): those of the origins that are configured. Pages of the
// server itself need no word for it.
func (s overHTTP) crossOrigin(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if len(s.Origins) > 0 {
			h.Add("Vary", "Origin") // the answer is not one for caches to give to others
		}
		origin := r.Header.Get("Origin")
		listed := slices.ContainsFunc(s.Origins, func(o string) bool { return strings.EqualFold(o, origin) })
		if listed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Retry-After")
		}
		switch {
		case !gateway.AllowsOrigin(r, s.Origins):
			writeStatus(w, http.StatusForbidden, protocol.Errorf(protocol.Forbidden, "", "Pages of this origin may not call this server."))
		case listed && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "":
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, Parley-Session, Parley-User, Traceparent")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
		default:
			next(w, r)
		}
	})
}
