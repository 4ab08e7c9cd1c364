package api

import (
	"context"

	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/protocol"
)

// privacyCalls are the calls about what is kept of a user.
type privacyCalls struct{ *Server }

// exportUser is user.export: of a back end that acts for itself.
func (s privacyCalls) exportUser(ctx context.Context, c *caller, p *protocol.UserExportParams) (protocol.UserExportResult, *protocol.Error) {
	result := protocol.UserExportResult{Records: []protocol.ExportRecord{}}
	if err := backendOnly(c); err != nil {
		return result, err
	}
	page, ok := privacy.ParsePage(p.Page)
	if !ok {
		return result, protocol.Errorf(protocol.BadRequest, "page", "This is not the page of an earlier answer: begin anew without one.")
	}
	records, next, err := s.Exporter.User(ctx, p.User, page, protocol.Clamp(p.Limit, protocol.DefaultExport, protocol.MaxExport))
	if err != nil {
		return result, s.failure(protocol.UserExport, err)
	}
	result.Records = append(result.Records, records...)
	if next != nil {
		result.Page = next.String()
	}
	return result, nil
}

// eraseUser is user.erase: of a back end that acts for itself. It is answered when the erasure is done; one that takes longer than a call may goes on.
func (s privacyCalls) eraseUser(ctx context.Context, c *caller, p *protocol.UserEraseParams) (protocol.Empty, *protocol.Error) {
	if err := backendOnly(c); err != nil {
		return protocol.Empty{}, err
	}
	if err := s.Eraser.Erase(ctx, privacy.Subject{Kind: privacy.User, ID: p.User}); err != nil {
		if ctx.Err() != nil {
			return protocol.Empty{}, &protocol.Error{
				Code: protocol.Unavailable, RetryAfterMS: 10_000, Message: "The erasure is under way and goes on; call again to hear when it is done.",
			}
		}
		return protocol.Empty{}, s.failure(protocol.UserErase, err)
	}
	return protocol.Empty{}, nil
}

// backendOnly refuses users, and back ends that speak for one.
func backendOnly(c *caller) *protocol.Error {
	if !c.Backend || c.User != "" {
		return protocol.Errorf(protocol.Forbidden, "", "This is for a back end with its API key, without Parley-User.")
	}
	return nil
}

// SignOut ends all sessions of a user, and refuses the tokens that the user has now. It returns when that is so on this node, and has been told to the others.
func (s *Server) SignOut(ctx context.Context, user string) error {
	here, err := s.end(ctx, user, "", "")
	if err != nil {
		return err
	}
	for _, p := range here {
		p.session.Close(protocol.CloseRevoked, 0)
	}
	s.Hub.Announce()
	return nil
}
