package api

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// serveCall is POST /v1/<method> (§2.4).
func (s overHTTP) serveCall(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/")
	m := s.methods[name]
	switch {
	case m == nil || name == protocol.Hello:
		writeError(w, unknownMethod(protocol.NotFound, name))
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		writeStatus(w, http.StatusMethodNotAllowed, protocol.Errorf(protocol.BadRequest, "", "Calls are made with POST."))
		return
	}
	began := s.Now()
	s.flying.Add(1)
	defer s.flying.Add(-1)
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	var span *tracing.Span
	answered := make(chan struct{})
	reply := func(result any, err *protocol.Error) {
		defer close(answered)
		if err != nil {
			writeError(w, err)
		} else {
			writeJSON(w, http.StatusOK, result)
		}
		s.answered(span, name, true, began, err)
	}
	c, err := s.authenticate(ctx, r, m)
	if err != nil {
		if err.Code == protocol.Unauthenticated {
			s.logRefused(name, r.RemoteAddr, err)
		}
		reply(nil, err)
		return
	}
	body, err := s.readBody(w, r)
	if err != nil {
		reply(nil, err)
		return
	}
	if named := r.Header.Get(sessionHeader); s.isElsewhere(named) {
		if err := s.passOn(w, r, named, body, 0); err != nil {
			reply(nil, err)
		}
		return
	}
	if err := s.attachSession(r, m, c); err != nil {
		reply(nil, err)
		return
	}
	// A back end says whether its calls are sampled; others could have everything traced.
	span = s.Tracer.Begin(name, began, tracing.Parent{Traceparent: r.Header.Get("Traceparent"), Trusted: c.Backend})
	s.carryOut(tracing.With(ctx, span), m, c, body, reply)
	<-answered
}

// readBody reads the params: at most frame_bytes, and nothing behind them.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (protocol.Raw, *protocol.Error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.Limits.FrameBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, protocol.Errorf(protocol.TooLarge, "", "The body is over %d bytes.", s.Limits.FrameBytes)
	case err != nil:
		return nil, protocol.Errorf(protocol.BadRequest, "", "The body could not be read.")
	}
	return protocol.Raw(body), nil
}

// authenticate finds out who calls, from the headers.
func (s *Server) authenticate(ctx context.Context, r *http.Request, m *method) (*caller, *protocol.Error) {
	credential, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || credential == "" {
		return nil, protocol.Errorf(protocol.Unauthenticated, "", "A token or an API key is needed: Authorization: Bearer …")
	}
	onBehalf := r.Header.Values("Parley-User")
	var c *caller
	if strings.HasPrefix(credential, auth.KeyPrefix) {
		if _, err := s.Gate.Key(ctx, credential); err != nil {
			return nil, unauthenticated(err)
		}
		c = &caller{Actor: chat.Actor{Backend: true, Role: protocol.TokenUser}}
		switch {
		case len(onBehalf) == 1 && protocol.ValidUser(onBehalf[0]):
			c.User = onBehalf[0]
		case len(onBehalf) > 0:
			return nil, protocol.Errorf(protocol.BadRequest, "Parley-User", "The header names one user: 1–128 of A-Z a-z 0-9 _ - . : @")
		case !m.Backend:
			return nil, protocol.Errorf(protocol.BadRequest, "Parley-User", "This call is a user's: say whose with the header Parley-User.")
		}
	} else {
		if len(onBehalf) > 0 {
			return nil, protocol.Errorf(protocol.BadRequest, "Parley-User", "The header goes with an API key; a token is its own user's.")
		}
		id, err := s.Gate.Token(ctx, credential, "")
		if err != nil {
			return nil, unauthenticated(err)
		}
		c = &caller{Actor: chat.Actor{User: id.User, Role: id.Role}, identity: id}
		if err := s.profile(ctx, id); err != nil {
			return nil, s.failure(m.Name, err)
		}
	}
	if c.User != "" {
		if err := s.known.ensure(ctx, c.User); err != nil {
			return nil, s.failure(m.Name, err)
		}
	}
	return c, nil
}

// sessionHeader names the session that a call is about; in the answers that open event streams and to polls it tells balancers which session they are.
const sessionHeader = "Parley-Session"

// attachSession finds the live session that Parley-Session names.
func (s *Server) attachSession(r *http.Request, m *method, c *caller) *protocol.Error {
	if named := r.Header.Get(sessionHeader); named != "" {
		if c.peer = s.peerOf(named, c.User); c.peer == nil || !c.peer.entered() {
			return noSession()
		}
		c.Session = named
	}
	switch {
	case m.Session && c.peer == nil:
		return sessionNeeded()
	case c.peer == nil && s.draining.Load():
		return &protocol.Error{Code: protocol.Unavailable, Message: "This node is being drained; call another one.", RetryAfterMS: 1000}
	}
	return nil
}

func writeError(w http.ResponseWriter, err *protocol.Error) {
	writeStatus(w, err.Code.HTTPStatus(), err)
}

func writeStatus(w http.ResponseWriter, status int, err *protocol.Error) {
	if err.RetryAfterMS > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(float64(err.RetryAfterMS)/1000))))
	}
	writeJSON(w, status, map[string]*protocol.Error{"error": err})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, body, protocol.Encoding()) // the caller has gone: there is nobody to tell
}
