package chat

import (
	"bytes"

	"github.com/parley-im/parley/protocol"
)

// createRoom decides a room.create whose id is free.
func (d *decision) createRoom(want *NewRoom) (*Effects, *protocol.Error) {
	if err := d.unknown("members", d.call.users()...); err != nil {
		return nil, err
	}
	room := want.Room
	room.ID, room.CreatedAt, room.CreatedBy = d.call.Room, d.now, d.call.Actor.User
	room.First, room.Members = 1, uint64(len(want.Members))
	object := RoomObject(&room, Head{Seq: 1})
	e, err := d.event(protocol.RoomCreated, protocol.RoomCreatedData{Room: object, Members: want.Members})
	if err != nil {
		return nil, err
	}
	e.Room = &room
	for _, m := range want.Members {
		row := newMember(room.ID, m.User)
		row.enter(m.Role, e.Event)
		e.Members, e.Event.Joined = append(e.Members, row), append(e.Event.Joined, m.User)
		e.Owners += owners(row)
	}
	e.Answer = protocol.RoomCreateResult{Room: object}
	return e, nil
}

// updateRoom decides room.update.
func (d *decision) updateRoom(p *protocol.RoomUpdateParams) (*Effects, *protocol.Error) {
	if err := d.atLeast(protocol.RoleAdmin); err != nil {
		return nil, err
	}
	room, data := *d.Room, protocol.RoomUpdatedData{}
	setText(&room.Name, &data.Name, p.Name)
	setText(&room.Topic, &data.Topic, p.Topic)
	setText(&room.Avatar, &data.Avatar, p.Avatar)
	if p.Data.Set {
		after := newContent("", p.Data.Value, nil).Data
		if !bytes.Equal(after, room.Data) {
			room.Data = after
			data.Data = protocol.Opt[protocol.Raw]{Set: true, Null: after == nil, Value: after}
		}
	}
	if p.Settings.Set {
		if after := patch(room.Settings, p.Settings); after != room.Settings {
			room.Settings, data.Settings = after, &after
		}
	}
	if data.Name == nil && data.Topic == nil && data.Avatar == nil && !data.Data.Set && data.Settings == nil {
		return already(protocol.RoomUpdateResult{Room: RoomObject(d.Room, d.Head), Seq: d.Head.Seq, Duplicate: true})
	}
	e, err := d.event(protocol.RoomUpdated, data)
	if err != nil {
		return nil, err
	}
	e.Room = &room
	e.Answer = protocol.RoomUpdateResult{Room: RoomObject(&room, e.Head), Seq: e.Event.Seq}
	return e, nil
}

// deleteRoom decides room.delete. The member rows stay as they are: no one sees a room that is deleted.
func (d *decision) deleteRoom() (*Effects, *protocol.Error) {
	if err := d.atLeast(protocol.RoleOwner); err != nil {
		return nil, err
	}
	e, err := d.event(protocol.RoomDeleted, protocol.Empty{})
	if err != nil {
		return nil, err
	}
	room := *d.Room
	room.Deleted = true
	e.Room = &room
	return e, nil
}

// setText gives a text of the room its new value, where there is one, and notes it if it is another. null is the empty text.
func setText(text *string, changed **string, to protocol.Opt[string]) {
	if to.Set && to.Value != *text {
		*text = to.Value
		*changed = &to.Value
	}
}

// patch merges a patch into settings; null restores the default, of all of them or of one.
func patch(s protocol.Settings, to protocol.Opt[protocol.SettingsPatch]) protocol.Settings {
	byDefault := protocol.DefaultSettings()
	if to.Null {
		return byDefault
	}
	p := to.Value
	merge(&s.History, p.History, byDefault.History)
	merge(&s.Post, p.Post, byDefault.Post)
	merge(&s.SlowModeS, p.SlowModeS, byDefault.SlowModeS)
	merge(&s.Receipts, p.Receipts, byDefault.Receipts)
	merge(&s.SamplePerS, p.SamplePerS, byDefault.SamplePerS)
	merge(&s.RetentionDays, p.RetentionDays, byDefault.RetentionDays)
	return s
}

func merge[T any](setting *T, to protocol.Opt[T], byDefault T) {
	switch {
	case to.Null:
		*setting = byDefault
	case to.Set:
		*setting = to.Value
	}
}
