package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// PollParams are the body of a poll (§2.6). The first has no Session, and says what hello says.
type PollParams struct {
	Session   string              `json:"session,omitzero"`    // the session to poll
	Ack       string              `json:"ack,omitzero"`        // the cursor of the last answer that has arrived
	Device    string              `json:"device,omitzero"`     // as in hello
	Client    string              `json:"client,omitzero"`     // as in hello
	Rooms     protocol.RoomsToAll `json:"rooms,omitzero"`      // as in hello
	Resume    *protocol.Resume    `json:"resume,omitzero"`     // as in hello
	TimeoutMS *int64              `json:"timeout_ms,omitzero"` // how long to wait for a frame: 0–60,000, default 25,000
}

// PollResult is the answer to a poll.
type PollResult struct {
	Session string         `json:"session"`
	Cursor  string         `json:"cursor"` // the next poll's ack
	Frames  []protocol.Raw `json:"frames"`
}

// The times of a poll.
const (
	pollWait    = 25 * time.Second
	maxPollWait = 60 * time.Second
	pollGrace   = 30 * time.Second // for its client to take the answer
)

func (p *PollParams) check() *protocol.Error {
	if p.TimeoutMS != nil && (*p.TimeoutMS < 0 || *p.TimeoutMS > maxPollWait.Milliseconds()) {
		return protocol.Errorf(protocol.BadRequest, "timeout_ms", "timeout_ms is 0 to %d.", maxPollWait.Milliseconds())
	}
	return nil
}

func (p *PollParams) wait() time.Duration {
	if p.TimeoutMS == nil {
		return pollWait
	}
	return time.Duration(*p.TimeoutMS) * time.Millisecond
}

// servePoll is POST /v1/poll (§2.6).
func (s overHTTP) servePoll(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeStatus(w, http.StatusMethodNotAllowed, protocol.Errorf(protocol.BadRequest, "", "Polls are made with POST."))
		return
	}
	switch result, err := s.poll(w, r); {
	case err != nil:
		writeError(w, err)
	case result != nil:
		w.Header().Set(sessionHeader, result.Session)
		writeJSON(w, http.StatusOK, result)
	}
}

// poll is one poll. Its result is nil when another node has answered it.
func (s overHTTP) poll(w http.ResponseWriter, r *http.Request) (*PollResult, *protocol.Error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	id, err := s.bearer(ctx, r, "")
	if err != nil {
		if err.Code == protocol.Unauthenticated {
			s.logRefused("poll", r.RemoteAddr, err)
		}
		return nil, err
	}
	body, err := s.readBody(w, r)
	if err != nil {
		return nil, err
	}
	params := &PollParams{}
	if err := protocol.DecodeParams(body, params); err != nil {
		return nil, err
	}
	if err := params.check(); err != nil {
		return nil, err
	}
	switch {
	case params.Session == "" && !s.inner:
		return s.firstPoll(r, id, params)
	case s.isElsewhere(params.Session):
		allowWait(w, params.wait())
		return s.pollElsewhere(w, r, params, body)
	}
	session, p := s.polled(params.Session, id.User)
	if session == nil {
		return nil, notPolled()
	}
	if s.Gate.Revoked(id.User, p.device, id.IssuedAt) {
		return nil, unauthenticated(auth.ErrRevoked)
	}
	allowWait(w, params.wait())
	return answerPoll(r.Context(), session, params.Ack, params.wait())
}

// allowWait has the answer come late: the server's own times are for calls, which do not wait.
func allowWait(w http.ResponseWriter, wait time.Duration) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(wait + pollGrace))
}

// polled is the session with the id, nil if there is none of the user. Unlike peerOf it finds one that is being closed, whose last frames may not be taken yet.
func (s overHTTP) polled(id, user string) (*gateway.HTTPSide, *peer) {
	session, opened, ok := s.gateway.Polled(id)
	if !ok {
		return nil, nil
	}
	p := opened.(*peer)
	if who := p.identity.Load(); who == nil || who.User != user {
		return nil, nil
	}
	return session, p
}

// firstPoll opens a session, and is answered at once.
func (s overHTTP) firstPoll(r *http.Request, id *auth.Identity, params *PollParams) (*PollResult, *protocol.Error) {
	hello := &protocol.HelloParams{Device: params.Device, Client: params.Client, Rooms: params.Rooms, Resume: params.Resume}
	session, err := s.open(r, gateway.Opening{Transport: gateway.LongPoll}, func(ctx context.Context, p *peer) *protocol.Error {
		if err := hello.Check(); err != nil {
			return err
		}
		if s.Gate.Revoked(id.User, hello.Device, id.IssuedAt) {
			return unauthenticated(auth.ErrRevoked)
		}
		entry := &delivery.Entry{Ready: p.sayHello}
		resume(entry, hello.Resume, s.Epoch())
		_, err := p.join(ctx, id, hello, entry)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answerPoll(r.Context(), session, "", 0)
}

func answerPoll(ctx context.Context, session *gateway.HTTPSide, ack string, wait time.Duration) (*PollResult, *protocol.Error) {
	cursor, frames, ok := session.Poll(ctx, ack, wait)
	if !ok {
		return nil, notPolled()
	}
	return &PollResult{Session: session.ID(), Cursor: cursor, Frames: append([]protocol.Raw{}, frames...)}, nil
}

// notPolled is also what who guesses at others' sessions is told.
func notPolled() *protocol.Error {
	return protocol.Errorf(protocol.NotFound, "session", "There is no such session of this user to be polled: it has ended, is on a node that is gone, or never was. Open one without session.")
}
