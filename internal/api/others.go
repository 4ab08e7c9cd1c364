package api

import (
	"net/http"
	"time"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// Others are the other nodes of the cluster. All methods may be called from any goroutine.
type Others interface {
	// Elsewhere reports whether a session is on another node, to which what is about it can be passed on.
	Elsewhere(session string) bool
	// Forward has the node of the session answer a request, whose body has been read, and passes the answer on. The request may wait for so long there. Found is false
	// when that node is gone; an error says that it has not answered. In both cases nothing was written. It ends when r's client goes away.
	Forward(w http.ResponseWriter, r *http.Request, session string, body []byte, wait time.Duration) (found bool, err error)
}

// Inner serves what other nodes pass on: calls and polls about sessions of this node. They come with their callers' credentials, and are checked as any.
func (s *Server) Inner(g *gateway.Gateway) http.Handler {
	over := overHTTP{Server: s, gateway: g, inner: true}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/poll", over.servePoll)
	mux.HandleFunc("/v1/", over.serveCall)
	return mux
}

// isElsewhere reports whether a request about a session is passed on: once, so not one that was.
func (s overHTTP) isElsewhere(session string) bool {
	return session != "" && !s.inner && s.Others.Elsewhere(session)
}

// passOn has another node answer a call, of a caller whose credentials are good. With an error it was not answered.
func (s overHTTP) passOn(w http.ResponseWriter, r *http.Request, session string, body []byte, wait time.Duration) *protocol.Error {
	found, err := s.Others.Forward(w, r, session, body, wait)
	switch {
	case err != nil:
		if r.Context().Err() == nil && !s.draining.Load() {
			s.Log.Warn("another node did not answer what is about its session", "error", err)
		}
		return overloaded()
	case !found:
		return noSession()
	}
	return nil
}

// pollElsewhere has another node answer a poll. When this node drains meanwhile the client gets an empty answer, and asks again with the same cursor: by then
// through another node.
func (s overHTTP) pollElsewhere(w http.ResponseWriter, r *http.Request, params *protocol.PollParams, body []byte) (*protocol.PollResult, *protocol.Error) {
	err := s.passOn(w, r, params.Session, body, pollTime(params))
	switch {
	case err == nil:
		return nil, nil
	case err.Code == protocol.NotFound:
		return nil, notPolled()
	case s.draining.Load():
		return &protocol.PollResult{Session: params.Session, Cursor: params.Ack, Frames: []protocol.Raw{}}, nil
	}
	return nil, err
}

func noSession() *protocol.Error {
	return protocol.Errorf(protocol.NotFound, "session", "There is no such live session of this user.")
}
