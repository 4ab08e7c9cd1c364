package chat

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// GetUsers is user.get.
func (s *Service) GetUsers(ctx context.Context, p *protocol.UserGetParams) (protocol.UsersResult, *protocol.Error) {
	users, err := s.ports.Users.Get(ctx, protocol.Distinct(p.Users))
	return s.usersResult(ctx, users, err)
}

// SearchUsers is user.search.
func (s *Service) SearchUsers(ctx context.Context, p *protocol.UserSearchParams) (protocol.UsersResult, *protocol.Error) {
	users, err := s.ports.Users.Search(ctx, p.Query, protocol.Clamp(p.Limit, protocol.DefaultListUsers, protocol.MaxListUsers))
	return s.usersResult(ctx, users, err)
}

func (s *Service) usersResult(ctx context.Context, users []protocol.User, err error) (protocol.UsersResult, *protocol.Error) {
	if err != nil {
		return protocol.UsersResult{}, s.fault(ctx, err)
	}
	return protocol.UsersResult{Users: append([]protocol.User{}, users...)}, nil
}

// UpdateUser is user.update: a user changes their own profile, a back end that of whom it names.
func (s *Service) UpdateUser(ctx context.Context, actor Actor, p *protocol.UserUpdateParams) (protocol.UserUpdateResult, *protocol.Error) {
	user := actor.User
	switch {
	case actor.server() && p.User == "":
		return protocol.UserUpdateResult{}, protocol.Errorf(protocol.BadRequest, "user", "Name the user whose profile is to change.")
	case actor.server():
		user = p.User
	case p.User != "" && p.User != user:
		return protocol.UserUpdateResult{}, protocol.Errorf(protocol.Forbidden, "user", "A user changes their own profile only.")
	}
	var name, avatar *string
	if p.Name.Set {
		name = &p.Name.Value
	}
	if p.Avatar.Set {
		avatar = &p.Avatar.Value
	}
	var data *protocol.Raw
	if p.Data.Set {
		kept := newContent("", p.Data.Value, nil).Data
		data = &kept
	}
	profile, err := s.ports.Users.Update(ctx, user, name, avatar, data)
	if err != nil {
		return protocol.UserUpdateResult{}, s.fault(ctx, err)
	}
	return protocol.UserUpdateResult{User: *profile}, nil
}
