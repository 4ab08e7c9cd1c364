package chat

import (
	"context"
	"errors"
	"time"

	"github.com/parley-im/parley/protocol"
)

// tokenLife is for how long a token of room.list is honoured: as long as the tombstones are kept from which `removed` is read.
const tokenLife = 90 * 24 * time.Hour

// moment is what a token of room.list stands for.
type moment struct {
	Epoch    string        `json:"e"`
	At       protocol.Time `json:"t"`
	Position Position      `json:"p"`
}

// inboxPage is what a page of room.list stands for: the question, the moment of its first page, and where it goes on.
type inboxPage struct {
	Start    moment          `json:"m"`
	Since    Position        `json:"s,omitzero"`
	Kinds    []protocol.Kind `json:"k,omitempty"`
	Archived *bool           `json:"a,omitzero"`
	Next     string          `json:"n"`
}

// ListRooms is room.list. A page says by itself what was asked; beside it only the limit counts.
func (s *Service) ListRooms(ctx context.Context, actor Actor, p *protocol.RoomListParams) (protocol.RoomListResult, *protocol.Error) {
	now := moment{Epoch: s.epoch(), At: protocol.At(s.now())} // the epoch before the position, so that the two cannot seem to belong together by mistake
	question, refused := s.inboxQuestion(p, now)
	if refused != nil {
		return protocol.RoomListResult{}, refused
	}
	var page *InboxPage
	limit := protocol.Clamp(p.Limit, protocol.DefaultListRooms, protocol.MaxListRooms)
	entries, err := fitPage(limit, func(limit int) ([]protocol.InboxEntry, error) {
		var err error
		page, err = s.ports.Inbox.List(ctx, actor.User, InboxQuery{
			Since: question.Since, Kinds: question.Kinds, Archived: question.Archived, Limit: limit, Page: question.Next,
		})
		if err != nil {
			return nil, err
		}
		return inboxEntries(page.Entries), nil
	}, entrySize)
	switch {
	case errors.Is(err, ErrPosition):
		return protocol.RoomListResult{}, staleToken()
	case err != nil:
		return protocol.RoomListResult{}, s.fault(ctx, err)
	}
	if p.Page == "" {
		question.Start.Position = page.Position
	}
	result := protocol.RoomListResult{Rooms: entries, Removed: append([]string{}, page.Removed...)}
	result.Token, err = s.seals.seal("inbox", question.Start)
	if question.Next = page.Next; err == nil && question.Next != "" {
		result.Page, err = s.seals.seal("inbox page", question)
	}
	if err != nil {
		return protocol.RoomListResult{}, s.fault(ctx, err)
	}
	return result, nil
}

// inboxQuestion is what the params ask: what their page says, or a new question at the moment.
func (s *Service) inboxQuestion(p *protocol.RoomListParams, now moment) (inboxPage, *protocol.Error) {
	if p.Page != "" {
		var page inboxPage
		if !s.seals.open("inbox page", p.Page, &page) || !s.stands(page.Start.Epoch, "") {
			return page, badPage()
		}
		return page, nil
	}
	question := inboxPage{Start: now, Kinds: p.Kinds, Archived: p.Archived}
	if p.Since != "" {
		var since moment
		old := func() bool { return now.At-since.At > protocol.Time(tokenLife.Milliseconds()) }
		if !s.seals.open("inbox", p.Since, &since) || !s.stands(since.Epoch, "") || old() {
			return question, staleToken()
		}
		question.Since = since.Position
	}
	return question, nil
}

func inboxEntries(entries []InboxEntry) []protocol.InboxEntry {
	list := make([]protocol.InboxEntry, 0, len(entries))
	for _, e := range entries {
		room, head := e.Scene.Room, e.Scene.Head
		entry := protocol.InboxEntry{Room: RoomObject(room, head), Head: head.Seq, Me: MeObject(room, head, e.Scene.Me, e.Mentions)}
		if e.Last != nil {
			last := MessageObject(e.Last, room.ID)
			entry.LastMessage = &last
		}
		list = append(list, entry)
	}
	return list
}

func staleToken() *protocol.Error {
	return protocol.Errorf(protocol.BadRequest, "since", "This token cannot be honoured: list the rooms anew, without since.")
}

// Browse is room.browse.
func (s *Service) Browse(ctx context.Context, actor Actor, p *protocol.RoomBrowseParams) (protocol.RoomBrowseResult, *protocol.Error) {
	var after, next string
	if p.Page != "" && !s.seals.open("browse", p.Page, &after) {
		return protocol.RoomBrowseResult{}, badPage()
	}
	limit := protocol.Clamp(p.Limit, protocol.DefaultListRooms, protocol.MaxListRooms)
	rooms, err := fitPage(limit, func(limit int) ([]protocol.Room, error) {
		var scenes []*Scene
		var err error
		scenes, next, err = s.ports.Inbox.Browse(ctx, actor.User, p.Query, after, limit)
		list := make([]protocol.Room, 0, len(scenes))
		for _, sc := range scenes {
			list = append(list, RoomObject(sc.Room, sc.Head))
		}
		return list, err
	}, roomSize)
	result := protocol.RoomBrowseResult{Rooms: rooms}
	if err == nil && next != "" {
		result.Page, err = s.seals.seal("browse", next)
	}
	if err != nil {
		return protocol.RoomBrowseResult{}, s.fault(ctx, err)
	}
	return result, nil
}
