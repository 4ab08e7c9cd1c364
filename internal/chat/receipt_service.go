package chat

import (
	"context"
	"maps"
	"slices"

	"github.com/parley-im/parley/protocol"
)

// read is receipt.read.
func (s *Service) read(actor Actor, p *protocol.ReceiptReadParams, done func(any, *protocol.Error)) {
	move := &Move{Actor: actor, Field: "room", Rooms: []RoomCursor{{Room: p.Room, Read: p.Seq, Delivered: p.Seq}}}
	s.ports.Log.Move(move, func(rows []CursorRow, err *protocol.Error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(protocol.ReceiptReadResult{Read: rows[0].Read, Delivered: rows[0].Delivered, Unread: rows[0].Unread}, nil)
	})
}

// delivered is receipt.delivered.
func (s *Service) delivered(actor Actor, p *protocol.ReceiptDeliveredParams, done func(any, *protocol.Error)) {
	if len(p.Cursors) == 0 {
		done(protocol.Empty{}, nil)
		return
	}
	move := &Move{Actor: actor, Field: "cursors", Rooms: make([]RoomCursor, 0, len(p.Cursors))}
	for _, room := range slices.Sorted(maps.Keys(p.Cursors)) {
		move.Rooms = append(move.Rooms, RoomCursor{Room: room, Delivered: p.Cursors[room]})
	}
	s.ports.Log.Move(move, func(_ []CursorRow, err *protocol.Error) { done(protocol.Empty{}, err) })
}

// ListReceipts is receipt.list, by user id. Where settings.receipts is off, one sees one's own cursors only.
func (s *Service) ListReceipts(ctx context.Context, actor Actor, p *protocol.PageParams) (protocol.ReceiptListResult, *protocol.Error) {
	result := protocol.ReceiptListResult{Members: []protocol.Cursors{}}
	err := s.view(ctx, actor, p.Room, func(sc *Scene, snap Snapshot) error {
		if err := sc.Receipts(actor); err != nil {
			return err
		}
		result.Head = sc.Head.Seq
		rows, next, err := []*Member{sc.Me}, "", error(nil)
		if sc.Room.Settings.Receipts {
			rows, next, err = s.memberPage(ctx, snap, p)
		}
		result.Page = next
		for _, m := range rows {
			result.Members = append(result.Members, protocol.Cursors{User: m.User, Delivered: m.Delivered, Read: m.Read})
		}
		return err
	})
	return result, err
}

// Typing says whether the actor's typing in the room is told to the others: refused to those who may not see the members, and not told in large rooms.
func (s *Service) Typing(ctx context.Context, actor Actor, room string) (told bool, err *protocol.Error) {
	err = s.view(ctx, actor, room, func(sc *Scene, _ Snapshot) error {
		if err := sc.Receipts(actor); err != nil {
			return err
		}
		told = sc.Room.Members <= protocol.MaxReceiptRoom
		return nil
	})
	return told, err
}
