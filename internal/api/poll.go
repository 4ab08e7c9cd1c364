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

// pollGrace is how long a client has to take the answer to a poll.
const pollGrace = 30 * time.Second

// pollTime is how long a poll waits for a frame.
func pollTime(p *protocol.PollParams) time.Duration {
	wait := int64(protocol.DefaultPollWaitMS)
	if p.TimeoutMS != nil {
		wait = *p.TimeoutMS
	}
	return time.Duration(wait) * time.Millisecond
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

// poll is one poll. Its result is nil when another node has answered it. A token that was revoked gets nothing but the `closing` of a session that was revoked
// with it: without that a client would learn from the refusal alone that its session has ended, if it did not happen to wait in a poll just then.
func (s overHTTP) poll(w http.ResponseWriter, r *http.Request) (*protocol.PollResult, *protocol.Error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	id, err := bearer(r, func(token string) (*auth.Identity, error) { return s.Gate.Genuine(ctx, token) })
	if err != nil {
		return nil, s.refuse(r, err)
	}
	revoked := s.Gate.Revoked(id.User, "", id.IssuedAt)
	params, body, err := s.pollParams(w, r)
	switch {
	case revoked && (err != nil || params.Session == ""):
		return nil, s.refuse(r, unauthenticated(auth.ErrRevoked))
	case err != nil:
		return nil, err
	case params.Session == "" && !s.inner:
		return s.firstPoll(r, id, params)
	}
	result, err := s.nextPoll(w, r, id, params, body)
	switch {
	case err == nil:
		return result, nil
	case revoked && err.Code == protocol.NotFound:
		err = unauthenticated(auth.ErrRevoked)
	}
	return nil, s.refuse(r, err)
}

// refuse returns the error of a poll, and tells of it when it is that the token was not accepted.
func (s overHTTP) refuse(r *http.Request, err *protocol.Error) *protocol.Error {
	if err.Code == protocol.Unauthenticated {
		s.logRefused("poll", r.RemoteAddr, err)
	}
	return err
}

// nextPoll is a poll of a session that is open.
func (s overHTTP) nextPoll(w http.ResponseWriter, r *http.Request, id *auth.Identity, params *protocol.PollParams, body []byte) (*protocol.PollResult, *protocol.Error) {
	if s.isElsewhere(params.Session) {
		allowWait(w, pollTime(params))
		return s.pollElsewhere(w, r, params, body)
	}
	session, p := s.polled(params.Session, id.User)
	if session == nil {
		return nil, notPolled()
	}
	if s.Gate.Revoked(id.User, p.device, id.IssuedAt) {
		return s.lastPoll(session, p, params.Ack)
	}
	allowWait(w, pollTime(params))
	return answerPoll(r.Context(), session, params.Ack, pollTime(params))
}

func (s overHTTP) pollParams(w http.ResponseWriter, r *http.Request) (*protocol.PollParams, []byte, *protocol.Error) {
	body, err := s.readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	params := &protocol.PollParams{}
	if err := protocol.DecodeParams(body, params); err != nil {
		return nil, nil, err
	}
	return params, body, params.Check()
}

// lastPoll answers a poll whose token was revoked. A session that goes on with a newer token (§4.1) is none of its business.
func (s overHTTP) lastPoll(session *gateway.HTTPSide, p *peer, ack string) (*protocol.PollResult, *protocol.Error) {
	if now := p.identity.Load(); s.Gate.Revoked(now.User, p.device, now.IssuedAt) {
		session.Close(protocol.CloseRevoked, 0) // the revocation is known a moment before everything that it closes is closed
		if cursor, last, ok := session.Last(ack); ok {
			return &protocol.PollResult{Session: session.ID(), Cursor: cursor, Frames: []protocol.Raw{last}}, nil
		}
	}
	return nil, unauthenticated(auth.ErrRevoked)
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
func (s overHTTP) firstPoll(r *http.Request, id *auth.Identity, params *protocol.PollParams) (*protocol.PollResult, *protocol.Error) {
	hello := &protocol.HelloParams{Device: params.Device, Client: params.Client, Rooms: params.Rooms, Resume: params.Resume}
	session, err := s.open(r, gateway.Opening{Transport: gateway.LongPoll}, func(ctx context.Context, p *peer) *protocol.Error {
		if s.Gate.Revoked(id.User, hello.Device, id.IssuedAt) {
			return unauthenticated(auth.ErrRevoked)
		}
		entry := &delivery.Entry{Ready: p.sayHello}
		resume(entry, hello.Resume)
		_, err := p.join(ctx, id, hello, entry)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answerPoll(r.Context(), session, "", 0)
}

func answerPoll(ctx context.Context, session *gateway.HTTPSide, ack string, wait time.Duration) (*protocol.PollResult, *protocol.Error) {
	cursor, frames, ok := session.Poll(ctx, ack, wait)
	if !ok {
		return nil, notPolled()
	}
	return &protocol.PollResult{Session: session.ID(), Cursor: cursor, Frames: append([]protocol.Raw{}, frames...)}, nil
}

// notPolled is also what who guesses at others' sessions is told.
func notPolled() *protocol.Error {
	return protocol.Errorf(protocol.NotFound, "session", "There is no such session of this user to be polled: it has ended, is on a node that is gone, or never was. Open one without session.")
}
