package client

import (
	"errors"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/protocol"
)

// ending says how a session or an attempt to open one ended, and what follows.
type ending struct {
	reason Reason
	code   protocol.CloseCode
	err    error
	after  time.Duration // come back no sooner
	final  bool          // do not come back
}

// tokenError is a failure of LinkOptions.Token.
type tokenError struct{ error }

// violation is a breach of the contract by the server.
type violation struct{ error }

// Unwrap is what was found.
func (v violation) Unwrap() error { return v.error }

// asViolation marks what a frame made the link or its handler say.
func asViolation(err error) error {
	if err == nil || errors.Is(err, errRefused) {
		return err
	}
	return violation{err}
}

// judgeAttempt judges a failure before the first frame.
func judgeAttempt(err error) ending {
	var refused *HandshakeError
	var token tokenError
	switch {
	case errors.As(err, &token):
		return ending{reason: ReasonToken, err: token.error}
	case errors.As(err, &refused):
		return ending{reason: ReasonRefused, err: err, after: refused.RetryAfter}
	}
	return ending{reason: ReasonUnreachable, err: err}
}

// judge judges how reading from a session ended (§2.3).
func (l *Link) judge(s *session, err error) ending {
	var closed *CloseError
	var breach violation
	var breachOfFraming ws.ProtocolError
	switch {
	case s.refusal != nil:
		return l.judgeRefusal(s)
	case s.closing != nil:
		return l.judgeClose(s, s.closing.Code, &CloseError{s.closing.Code, s.closing.Reason})
	case errors.As(err, &closed):
		return l.judgeClose(s, closed.Code, err)
	case errors.Is(err, ErrSilent):
		return ending{reason: ReasonSilent, err: err}
	case errors.As(err, &breach), errors.As(err, &breachOfFraming):
		return ending{reason: ReasonViolation, err: err}
	}
	return ending{reason: ReasonLost, err: err, after: s.told}
}

// judgeClose obeys the table of close codes. The code comes from `closing` where it can, because proxies lose the other.
func (l *Link) judgeClose(s *session, code protocol.CloseCode, err error) ending {
	e := ending{reason: ReasonClosed, code: code, err: err}
	if s.closing != nil {
		e.after = time.Duration(s.closing.RetryAfterMS) * time.Millisecond
	}
	row, _ := code.Lookup()
	switch row.Reconnect {
	case protocol.ReconnectNever:
		e.final = true
	case protocol.ReconnectNewToken:
		l.judgeToken(s, &e)
	}
	if code == protocol.CloseRestart {
		e.reason = ReasonDrain
		e.after = max(e.after, s.told)
	}
	return e
}

// judgeRefusal judges a hello that was answered with an error.
func (l *Link) judgeRefusal(s *session) ending {
	e := ending{reason: ReasonRefused, err: s.refusal, after: time.Duration(s.refusal.RetryAfterMS) * time.Millisecond}
	switch s.refusal.Code {
	case protocol.Unauthenticated:
		e.code = protocol.CloseUnauthenticated
		l.judgeToken(s, &e)
	case protocol.Unavailable, protocol.RateLimited, protocol.Internal:
	default:
		e.final = true // the hello itself is at fault, and the next would be the same
	}
	return e
}

// judgeToken allows another attempt with another token, not with the one that was refused already.
func (l *Link) judgeToken(s *session, e *ending) {
	if s.token == l.refused {
		e.reason, e.final = ReasonUnauthenticated, true
	}
	l.refused = s.token
}
