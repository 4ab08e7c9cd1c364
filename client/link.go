package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parley-im/parley/protocol"
)

// LinkOptions say where a link leads and as whom. Token is required; links may share one LinkOptions, which must not be changed then.
type LinkOptions struct {
	// URL of the server: ws, wss, http or https, without the path of the endpoint.
	URL string
	// Token brings the user's token. It is asked before every attempt and when a token is about to end, and may block.
	Token func(ctx context.Context) (string, error)
	// Device is this installation, made once and kept: 1–64 printable ASCII characters.
	Device string
	// Client is free text about the program, for session lists.
	Client string
	// Rooms says which rooms a session follows by itself; empty is all of the user's.
	Rooms protocol.RoomsToAll

	Backoff Backoff
	Conn    ConnOptions
}

// LinkHandler is told what happens on a link. Its methods are never called at the same time, block the link while they run, and must not call
// Close; Write they may.
type LinkHandler interface {
	// Resume is asked before every hello for the positions reached; nil is none.
	Resume() *protocol.Resume
	// Frame is given every frame but heartbeats and the reply to hello, as it came; line is the handler's until it returns. An error ends the
	// session with ReasonViolation: the link comes back after a pause and resumes.
	Frame(line []byte) error
	// State is told of every change. A session is Live before the first of its frames is given to Frame.
	State(s State)
	// Ended is told when no more frames of the session with that number will come: a call that it has not answered it never will.
	Ended(session uint64)
}

// Link keeps one session open through whatever happens to connections, servers and tokens: it greets, answers heartbeats, refreshes the token,
// obeys the table of close codes, moves to another node when its own is drained, and comes back with full jitter, resuming at the positions that its
// handler tells. It does not look into frames beyond that: Client is built on it, and programs that hold thousands of sessions can be.
//
// It costs one goroutine, and one more for moments. Every method may be called from any goroutine.
type Link struct {
	o       *LinkOptions
	url     string
	handler LinkHandler
	current atomic.Pointer[session] // the one that Write uses; nil: not live
	ctx     context.Context         // ends with Close; here because sessions come and go in several goroutines
	stop    context.CancelFunc
	running sync.WaitGroup

	handling sync.Mutex // held around every call of the handler

	// Only for the goroutine of run.
	attempt  int
	sessions uint64
	refused  string // the token that was refused last
}

// NewLink makes a link, which does nothing before Open. It fails only for options that can never work.
func NewLink(o *LinkOptions, h LinkHandler) (*Link, error) {
	endpoint, err := endpoint(o.URL)
	switch {
	case err != nil:
		return nil, err
	case o.Token == nil:
		return nil, errors.New("client: Options.Token is missing: it brings the user's token")
	case !printable(o.Device, protocol.MaxDeviceBytes):
		return nil, fmt.Errorf("client: the device %q must be 1–%d printable ASCII characters", o.Device, protocol.MaxDeviceBytes)
	}
	l := &Link{o: o, url: endpoint, handler: h}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// Open starts the link, once. Whether the server answers is told as State.
func (l *Link) Open() { l.running.Go(l.run) }

// Write sends a message of one or more frames, joined by newlines, on the session that is open, and tells its number. ok is false if none is: then
// nothing was sent. What is lost on the way is lost silently here and told by Ended.
func (l *Link) Write(message []byte) (session uint64, ok bool) {
	s := l.current.Load()
	if s == nil {
		return 0, false
	}
	s.conn.Write(message) // after an error the session ends, and that is told
	return s.number, true
}

// Cut breaks the connection off as a failing network does; the link comes back by itself.
func (l *Link) Cut() {
	if s := l.current.Load(); s != nil {
		s.conn.Cut()
	}
}

// Close ends the session and the link, and waits until the handler has been told.
func (l *Link) Close() {
	l.stop()
	l.running.Wait()
}

// endpoint is the WebSocket's address on the server at base.
func endpoint(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("client: the URL cannot be read: %w", err)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("client: the URL %q must begin with ws://, wss://, http:// or https://", base)
	}
	if u.Host == "" {
		return "", fmt.Errorf("client: the URL %q names no host", base)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1/ws") + "/v1/ws"
	return u.String(), nil
}

// printable reports 1 to most printable ASCII characters.
func printable(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
