package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/ws"

	"github.com/parley-im/parley/protocol"
)

// ServeHTTP is the WebSocket handshake, GET /v1/ws (§2). It returns as soon as the connection is a session's, so that nothing of the HTTP server stays.
//
// A method other than GET is answered with 405, an Origin that AllowsOrigin refuses with 403, subprotocols without parley.v1 and anything else that is not
// a handshake with 400, too many from one address with 429, and a node that is full or draining with 503.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, protocol.Errorf(protocol.BadRequest, "", "A WebSocket begins with a GET."))
		return
	case !AllowsOrigin(r, g.opts.Origins):
		refuse(w, http.StatusForbidden, protocol.Errorf(protocol.Forbidden, "", "Pages of this Origin may not connect; the server's configuration lists those that may."))
		return
	case r.ProtoMajor != 1:
		refuse(w, http.StatusBadRequest, protocol.Errorf(protocol.BadRequest, "", "WebSockets are served over HTTP/1.1."))
		return
	case r.ContentLength != 0:
		refuse(w, http.StatusBadRequest, protocol.Errorf(protocol.BadRequest, "", "A handshake has no body."))
		return
	case !offersProtocol(r):
		refuse(w, http.StatusBadRequest, protocol.Errorf(protocol.BadRequest, "", "Of the subprotocols offered none is %s; offer it, or none at all.", protocol.Version))
		return
	}
	if refused := g.admitFrom(r); refused != nil {
		refuse(w, refused.Code.HTTPStatus(), refused)
		return
	}
	upgrader := ws.HTTPUpgrader{
		Timeout:  handshakeTimeout,
		Protocol: func(name string) bool { return name == protocol.Version },
	}
	deflates := false
	if g.opts.Compression {
		var accepted string
		if accepted, deflates = acceptDeflate(r.Header.Values("Sec-Websocket-Extensions")); deflates {
			upgrader.Header = http.Header{"Sec-Websocket-Extensions": {accepted}}
		}
	}
	conn, buffered, _, err := upgrader.Upgrade(r, w)
	if err != nil { // answered already
		if conn != nil {
			_ = conn.Close()
		}
		g.abandon()
		return
	}
	// Bytes that came right behind the handshake.
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	if !g.open(conn, r.RemoteAddr, deflates, slices.Clone(early)) {
		_ = conn.Close()
		g.abandon()
	}
}

// admitFrom is admit for a request, unless too many come from its address.
func (g *Gateway) admitFrom(r *http.Request) *protocol.Error {
	if wait := g.addresses.take(r.RemoteAddr, g.opts.HandshakesPerAddress, g.wheel.now()); wait > 0 {
		g.count.limited.Add(1)
		return &protocol.Error{
			Code: protocol.RateLimited, Message: "Too many connections are made from this address; wait.",
			RetryAfterMS: milliseconds(wait), Scope: protocol.ScopeConnection,
		}
	}
	if !g.admit() {
		return &protocol.Error{
			Code: protocol.Unavailable, Message: "This node takes no new connections now; try again, maybe on another.",
			RetryAfterMS: milliseconds(retryDelay),
		}
	}
	return nil
}

// abandon gives back the place of a handshake that failed.
func (g *Gateway) abandon() {
	g.authenticated()
	g.leave()
}

// AllowsOrigin reports whether the page that made a request may: one without Origin was not made by a page; otherwise the Origin must be one of those listed
// (scheme, host and port, compared without regard to case), or that of the server: the host asked, and the scheme, where Public knows it.
func AllowsOrigin(r *http.Request, listed []string) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	if slices.ContainsFunc(listed, func(o string) bool { return strings.EqualFold(o, origins[0]) }) {
		return true
	}
	page, err := url.Parse(origins[0])
	return err == nil && page.Host != "" && strings.EqualFold(page.Host, r.Host) && (r.URL.Scheme == "" || strings.EqualFold(page.Scheme, r.URL.Scheme))
}

// offersProtocol reports whether a handshake offers our subprotocol, or none.
func offersProtocol(r *http.Request) bool {
	offers := r.Header.Values("Sec-Websocket-Protocol")
	for _, offer := range offers {
		for name := range strings.SplitSeq(offer, ",") {
			if strings.TrimSpace(name) == protocol.Version {
				return true
			}
		}
	}
	return len(offers) == 0
}

// refuse answers a handshake with an error.
func refuse(w http.ResponseWriter, status int, e *protocol.Error) {
	body, err := json.Marshal(struct {
		Error *protocol.Error `json:"error"`
	}{e}, protocol.Encoding())
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	if e.RetryAfterMS > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt((e.RetryAfterMS+999)/1000, 10))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not take it has gone
}
