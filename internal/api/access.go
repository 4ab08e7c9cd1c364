package api

import (
	"time"

	"github.com/parley-im/parley/protocol"
)

// What is logged of those who come: one line for each session, when it has ended, and one for each credential that was refused. Lines name users, never what
// they say, what they are called or what they prove themselves with.

// loggedPart is how much of a session's id is logged: enough to find it again, and of no use to anybody else.
const loggedPart = 8

// logged is the session's id as it is logged.
func (p *peer) logged() string { return p.session.ID()[:loggedPart] }

// logEnd tells of a session that has ended.
func (p *peer) logEnd() {
	code, read, written := p.session.Ending()
	id := p.identity.Load()
	if id == nil {
		p.server.Log.Debug("connection ended without a hello", "remote", p.session.Remote(), "code", code)
		return
	}
	lasted := p.server.Now().Sub(time.UnixMilli(p.opened)).Round(time.Millisecond)
	p.server.Log.Info("session ended", "session", p.logged(), "user", id.User, "remote", p.session.Remote(), "code", code,
		"lasted", lasted, "bytes_in", read, "bytes_out", written)
}

// logRefused tells of a call whose credential was not accepted.
func (s *Server) logRefused(method, remote string, err *protocol.Error) {
	s.Log.Info("a credential was refused", "method", method, "remote", remote, "reason", err.Message)
}
