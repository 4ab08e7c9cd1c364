package chat

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/parley-im/parley/protocol"
)

const (
	searchRooms = 200         // in which a search without a room looks
	searchTime  = time.Second // after which it answers with what it has
)

// SearchMessages is message.search. The page only says where to go on: each page looks anew in which rooms the actor may search.
func (s *Service) SearchMessages(ctx context.Context, actor Actor, p *protocol.MessageSearchParams) (protocol.MessageSearchResult, *protocol.Error) {
	var page string
	if p.Page != "" && !s.seals.open("search", p.Page, &page) {
		return protocol.MessageSearchResult{}, badPage()
	}
	rooms, others, refused := s.searchable(ctx, actor, p.Room)
	if refused != nil {
		return protocol.MessageSearchResult{}, refused
	}
	hurry, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	var found *SearchPage
	limit := protocol.Clamp(p.Limit, protocol.DefaultListMessages, protocol.MaxListMessages)
	messages, err := fitPage(limit, func(limit int) ([]protocol.Message, error) {
		var err error
		found, err = s.ports.Search.FindMessages(hurry, actor.User, SearchQuery{Query: cutQuery(p.Query), Rooms: rooms, Limit: limit, Page: page})
		if err != nil {
			return nil, err
		}
		list := make([]protocol.Message, len(found.Found))
		for i, m := range found.Found {
			list[i] = MessageObject(m.Message, m.Room)
		}
		return list, nil
	}, messageSize)
	result := protocol.MessageSearchResult{Messages: messages}
	if err == nil {
		result.Partial = others || found.Partial
		if found.Next != "" {
			result.Page, err = s.seals.seal("search", found.Next)
		}
	}
	if err != nil {
		return protocol.MessageSearchResult{}, s.fault(ctx, err)
	}
	return result, nil
}

// searchable are the rooms that the actor may search: the one named, or those that they are a member of with the newest events; others tells whether there
// are more.
func (s *Service) searchable(ctx context.Context, actor Actor, room string) (rooms []Place, others bool, refused *protocol.Error) {
	if room != "" {
		refused = s.view(ctx, actor, room, func(sc *Scene, _ Snapshot) error {
			if err := sc.Readable(actor); err != nil {
				return err
			}
			rooms = []Place{{Room: room, From: sc.From()}}
			return nil
		})
		return rooms, false, refused
	}
	rooms, others, err := s.ports.Search.Recent(ctx, actor.User, searchRooms)
	if err != nil {
		return nil, false, s.fault(ctx, err)
	}
	return rooms, others, nil
}

// cutQuery is the part of a query that is looked at.
func cutQuery(query string) string {
	if len(query) <= protocol.MaxQueryBytes {
		return query
	}
	end := protocol.MaxQueryBytes
	for end > 0 && !utf8.RuneStart(query[end]) {
		end--
	}
	return query[:end]
}
