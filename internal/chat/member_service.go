package chat

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// ListMembers is member.list, by user id.
func (s *Service) ListMembers(ctx context.Context, actor Actor, p *protocol.PageParams) (protocol.MemberListResult, *protocol.Error) {
	result := protocol.MemberListResult{Members: []protocol.Member{}}
	err := s.view(ctx, actor, p.Room, func(sc *Scene, snap Snapshot) error {
		if err := sc.People(actor); err != nil {
			return err
		}
		result.Head = sc.Head.Seq
		rows, next, err := s.memberPage(ctx, snap, p)
		result.Page = next
		for _, m := range rows {
			result.Members = append(result.Members, MemberObject(m))
		}
		return err
	})
	return result, err
}

// memberPage reads one page of member rows, and what the next one is asked for with.
func (s *Service) memberPage(ctx context.Context, snap Snapshot, p *protocol.PageParams) (rows []*Member, next string, err error) {
	var after string
	if p.Page != "" && !s.seals.open("members", p.Page, &after) {
		return nil, "", badPage()
	}
	limit := protocol.Clamp(p.Limit, protocol.DefaultListMembers, protocol.MaxListMembers)
	rows, err = snap.Members(ctx, after, limit+1)
	if err != nil || len(rows) <= limit {
		return rows, "", err
	}
	next, err = s.seals.seal("members", rows[limit-1].User)
	return rows[:limit], next, err
}

// SetMember is member.settings: the asker's own.
func (s *Service) SetMember(ctx context.Context, actor Actor, p *protocol.MemberSettingsParams) *protocol.Error {
	err := s.view(ctx, actor, p.Room, func(sc *Scene, _ Snapshot) error {
		if err := sc.People(actor); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	var notify *protocol.Notify
	if p.Notify != "" {
		notify = &p.Notify
	}
	return s.desk(ctx, s.ports.Desk.Settings(ctx, p.Room, actor.User, notify, p.Pinned, p.Archived))
}
