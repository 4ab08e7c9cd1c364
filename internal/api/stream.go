package api

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// overHTTP opens sessions for HTTP requests, and serves calls.
type overHTTP struct {
	*Server
	gateway *gateway.Gateway
	inner   bool // the requests were passed on by other nodes
}

// serveEvents is GET /v1/events (§2.5).
func (s overHTTP) serveEvents(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		writeStatus(w, http.StatusMethodNotAllowed, protocol.Errorf(protocol.BadRequest, "", "An event stream begins with a GET."))
		return
	case r.ProtoMajor != 1:
		writeError(w, protocol.Errorf(protocol.BadRequest, "", "Event streams are served over HTTP/1: a proxy in front may speak HTTP/2 with clients."))
		return
	case r.ContentLength != 0:
		writeError(w, protocol.Errorf(protocol.BadRequest, "", "The request for an event stream has no body."))
		return
	}
	query := r.URL.Query()
	params := &protocol.HelloParams{Device: query.Get("device"), Client: query.Get("client"), Rooms: protocol.RoomsToAll(query.Get("rooms"))}
	t := newTrack(s.streams)
	session, err := s.open(r, gateway.Opening{Transport: gateway.EventStream, Label: t.label}, func(ctx context.Context, p *peer) *protocol.Error {
		id, err := s.streamCredential(ctx, r, query.Get("ticket"), params.Device)
		if err == nil {
			err = params.Check()
		}
		if err != nil {
			return err
		}
		t.user, t.session, p.track = id.User, p.session, t
		var unsaved error
		entry := &delivery.Entry{
			Standing: func(at map[string]protocol.Seq) { unsaved = t.begin(ctx, at) },
			Ready:    p.sayHello,
		}
		if err := s.streams.goOn(ctx, entry, id.User, cmp.Or(r.Header.Get("Last-Event-ID"), query.Get("last_event_id"))); err != nil {
			return s.failure("events", err)
		}
		if _, err := p.join(ctx, id, params, entry); err != nil {
			return err
		}
		if unsaved != nil {
			return s.failure("events", unsaved)
		}
		return nil
	})
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set(sessionHeader, session.ID())
	session.Stream(w)
}

// open opens a session for an HTTP request; enter does what hello does.
func (s overHTTP) open(r *http.Request, o gateway.Opening, enter func(context.Context, *peer) *protocol.Error) (*gateway.HTTPSide, *protocol.Error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	o.Enter = func(opened gateway.Peer) *protocol.Error {
		p, began := opened.(*peer), s.Now()
		err := enter(ctx, p)
		s.answered(nil, protocol.Hello, true, began, err)
		switch {
		case err == nil:
			s.Log.Debug("session opened", "session", p.logged(), "user", p.identity.Load().User, "remote", r.RemoteAddr)
		case err.Code == protocol.Unauthenticated:
			s.logRefused(protocol.Hello, r.RemoteAddr, err)
		}
		return err
	}
	return s.gateway.Open(r, o)
}

// streamCredential is whom an event stream is for: its ticket says so, or else its token.
func (s overHTTP) streamCredential(ctx context.Context, r *http.Request, ticket, device string) (*auth.Identity, *protocol.Error) {
	if ticket == "" {
		return bearer(r, func(token string) (*auth.Identity, error) { return s.Gate.Token(ctx, token, device) })
	}
	id, err := s.Gate.Redeem(ctx, ticket, device)
	if err != nil {
		return nil, unauthenticated(err)
	}
	return id, nil
}

// bearer is whom the token of a request is for, as check says. An API key opens no session, as in hello.
func bearer(r *http.Request, check func(token string) (*auth.Identity, error)) (*auth.Identity, *protocol.Error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return nil, protocol.Errorf(protocol.Unauthenticated, "", "A token is needed: Authorization: Bearer …")
	}
	id, err := check(token)
	if err != nil {
		return nil, unauthenticated(err)
	}
	return id, nil
}
