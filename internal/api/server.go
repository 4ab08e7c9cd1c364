package api

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// Options are what a Server stands on.
type Options struct {
	Node        string
	Epoch       func() string
	Stands      func(epoch, room string) bool // see delivery.Options
	Chat        *chat.Service
	Hub         *delivery.Hub
	Presence    *presence.Service
	Gate        *auth.Gate
	Signer      *auth.Signer
	Sessions    auth.Sessions
	Users       chat.Users
	Others      Others
	Checkpoints Checkpoints
	StreamKey   []byte // authenticates event ids: a secret of the deployment
	Eraser      *privacy.Eraser
	Exporter    *privacy.Exporter
	Limits      protocol.Limits // as told in the reply to hello
	Heartbeat   time.Duration
	Origins     []string
	Dev         bool // serves POST /dev/token
	Now         func() time.Time
	Log         *slog.Logger
	Tracer      *tracing.Tracer // nil: nothing is traced
	Answered    func(Answer)    // told of every call of a method that is served, when it has been answered: it must not block. May be nil
}

// Answer is the answer to a call, as Options.Answered is told of it.
type Answer struct {
	Method string
	HTTP   bool            // otherwise over a session
	Err    *protocol.Error // nil when it was carried out
	Took   time.Duration   // since the call was read
}

// Server carries out calls. It is the gateway's Handler and the handler of HTTP calls. All methods may be called from any goroutine.
type Server struct {
	Options
	streams  *streams
	methods  map[string]*method
	known    *knownUsers
	draining atomic.Bool
	flying   atomic.Int64 // HTTP calls

	mu    sync.Mutex
	peers map[string]*peer // live sessions of this node, by id

	ended   chan struct{} // capacity 1: ids wait in endings
	endings []string      // sessions that have ended and are to be forgotten; guarded by mu
}

// method is one row of the table with what carries it out.
type method struct {
	protocol.Method
	handler handler
}

// caller is who calls, and over what.
type caller struct {
	chat.Actor
	identity *auth.Identity // what the caller's token says; nil for a back end
	peer     *peer          // the live session that calls, or that Parley-Session names; nil over HTTP without one
}

// answer takes the outcome of a call, exactly once. It does not block.
type answer func(result any, err *protocol.Error)

// handler carries out one call. Params have the method's type and have been checked. One that is pipelined may return before it has answered.
type handler struct {
	pipelined bool
	run       func(ctx context.Context, c *caller, params any, reply answer)
}

// New makes a server. Run must be running while it is used.
func New(o Options) *Server {
	if o.Answered == nil {
		o.Answered = func(Answer) {}
	}
	s := &Server{Options: o, peers: map[string]*peer{}, ended: make(chan struct{}, 1), known: newKnownUsers(o.Users), streams: newStreams(o)}
	s.methods = map[string]*method{}
	handlers := s.handlers()
	for _, m := range protocol.Methods() {
		if h, ok := handlers[m.Name]; ok {
			s.methods[m.Name] = &method{m, h}
		}
	}
	return s
}

// Stats is what a Server holds now.
type Stats struct {
	HTTPCalls      int // that are being carried out
	KnownUsers     int // users whom the store need not be asked about
	KnownUsersMost int
}

// Stats may be called at any time.
func (s *Server) Stats() Stats {
	return Stats{HTTPCalls: int(s.flying.Load()), KnownUsers: s.known.size(), KnownUsersMost: maxKnownUsers}
}

// answered tells of an answer. The span is the call's, nil for most.
func (s *Server) answered(span *tracing.Span, method string, http bool, began time.Time, err *protocol.Error) {
	ended := s.Now()
	s.Answered(Answer{Method: method, HTTP: http, Err: err, Took: ended.Sub(began)})
	facts := tracing.Facts{Transport: "session"}
	if http {
		facts.Transport = "http"
	}
	if err != nil {
		facts.Code = string(err.Code)
	}
	span.End(ended, facts)
}

// Opened implements gateway.Handler.
func (s *Server) Opened(session *gateway.Session) gateway.Peer {
	return &peer{server: s, session: session, opened: s.Now().UnixMilli()}
}

// callTimeout bounds one call, so that a store that hangs does not hold a session for ever.
const callTimeout = 30 * time.Second

// carryOut runs one call of an authenticated caller from its raw params. A panic is answered with `internal`, so that nobody waits for the call for ever.
func (s *Server) carryOut(ctx context.Context, m *method, c *caller, raw protocol.Raw, reply answer) {
	defer func() {
		if cause := recover(); cause != nil {
			s.Log.Error("a call panicked", "method", m.Name, "cause", cause, "stack", string(debug.Stack()))
			reply(nil, protocol.Errorf(protocol.Internal, "", "The server has failed at this; it is in its log."))
		}
	}()
	params := m.New()
	if err := protocol.DecodeParams(raw, params); err != nil {
		reply(nil, err)
		return
	}
	if err := params.Check(); err != nil {
		reply(nil, err)
		return
	}
	m.handler.run(ctx, c, params, reply)
}

// Run forgets ended sessions, keeps this node's sessions live and closes those that were replaced or revoked elsewhere, until ctx ends.
func (s *Server) Run(ctx context.Context) {
	beat, hour := time.NewTicker(15*time.Second), time.NewTicker(time.Hour)
	defer beat.Stop()
	defer hour.Stop()
	for {
		select {
		case <-ctx.Done():
			s.forget(context.WithoutCancel(ctx))
			return
		case <-s.ended:
			s.forget(ctx)
		case <-s.streams.wake:
			s.streams.save(ctx)
		case <-hour.C:
			s.streams.keep(ctx, s.Node)
		case <-beat.C:
			s.streams.save(ctx)
			if err := s.Sessions.Beat(ctx, s.Node); err != nil {
				s.Log.Warn("this node's sessions could not be kept live", "error", err)
			}
		}
	}
}

// Drain refuses new HTTP calls from now on, but for those of live sessions of this node (§2.3). The gateway drains the sessions.
func (s *Server) Drain() { s.draining.Store(true) }

// Draining reports whether Drain was called.
func (s *Server) Draining() bool { return s.draining.Load() }

// Handler serves HTTP calls, event streams and polls, and page for every path that is none. The sessions are g's, which serves GET /v1/ws.
func (s *Server) Handler(g *gateway.Gateway, page http.Handler) http.Handler {
	over := overHTTP{Server: s, gateway: g}
	mux := http.NewServeMux()
	mux.Handle("/v1/ws", g)
	mux.Handle("/v1/events", over.crossOrigin(over.serveEvents))
	mux.Handle("/v1/poll", over.crossOrigin(over.servePoll))
	mux.Handle("/v1/", over.crossOrigin(over.serveCall))
	if s.Dev {
		mux.Handle("POST /dev/token", over.crossOrigin(s.serveDevToken))
	}
	mux.Handle("/", page)
	return mux
}
