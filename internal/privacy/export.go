package privacy

import (
	"context"
	"encoding/base64"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// Exporter reads what the deployment keeps of a user or a room. It may be used by many goroutines at once.
type Exporter struct {
	Estate    Estate
	Snapshots chat.Snapshots
	Users     chat.Users
	// Presence is the status that the user has set, and when they were last seen; Sessions are the live ones.
	Presence func(ctx context.Context, user string) (protocol.PresenceData, error)
	Sessions func(ctx context.Context, user string) ([]protocol.Session, error)
}

// Page is where an export goes on. The zero Page is the beginning.
type Page struct {
	Room string       `json:"r,omitzero"` // "" with Begun: at the first room
	Seq  protocol.Seq `json:"s,omitzero"` // in that room, what is after it
	Open bool         `json:"o,omitzero"` // the room's own record is out
	Done bool         `json:"d,omitzero"` // the user's own records are out
}

// String is the page as a client sees it. It keeps no secret: who may export may see everything.
func (p Page) String() string {
	b, _ := json.Marshal(p) // numbers, flags and an id encode
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePage reads what String made; "" is the beginning. ok is false for anything else.
func ParsePage(s string) (p Page, ok bool) {
	if s == "" {
		return p, true
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	return p, err == nil && json.Unmarshal(b, &p) == nil
}

// User reads the next records of a user's export, about limit of them; next is nil when there are no more. They are the profile, the presence, the live sessions, and
// for each room: the membership, the messages that the user wrote as they stand, and the user's reactions. Records of one room are of one moment, unless the
// room has more than a page; those of two rooms are not.
func (x *Exporter) User(ctx context.Context, user string, from Page, limit int) (records []protocol.ExportRecord, next *Page, err error) {
	page := from
	if !page.Done {
		if records, err = x.profile(ctx, user); err != nil {
			return nil, nil, err
		}
		page.Done = true
	}
	for len(records) < limit {
		if !page.Open {
			rooms, err := x.Estate.Traces(ctx, user, page.Room, 1)
			if err != nil {
				return nil, nil, err
			}
			if len(rooms) == 0 {
				return records, nil, nil
			}
			member, err := x.membership(ctx, rooms[0], user)
			if err != nil {
				return nil, nil, err
			}
			records = append(records, member...)
			page.Room, page.Seq, page.Open = rooms[0], 0, true
		}
		written, err := x.Estate.Written(ctx, page.Room, user, page.Seq, limit)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range written {
			object := chat.MessageObject(m, page.Room)
			records = append(records, protocol.ExportRecord{Type: protocol.ExportMessage, Room: page.Room, Message: &object})
			page.Seq = m.Seq
		}
		if len(written) == limit {
			continue
		}
		reacted, err := x.Estate.Reacted(ctx, page.Room, user)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range reacted {
			records = append(records, protocol.ExportRecord{Type: protocol.ExportReaction, Room: page.Room, Target: r.Target, Emoji: r.Emoji})
		}
		page.Open = false
	}
	return records, &page, nil
}

// profile is what is kept of a user outside of rooms.
func (x *Exporter) profile(ctx context.Context, user string) ([]protocol.ExportRecord, error) {
	users, err := x.Users.Get(ctx, []string{user})
	if err != nil {
		return nil, err
	}
	var records []protocol.ExportRecord
	for i := range users {
		records = append(records, protocol.ExportRecord{Type: protocol.ExportUser, User: &users[i]})
	}
	presence, err := x.Presence(ctx, user)
	if err != nil {
		return nil, err
	}
	if len(users) > 0 || presence.LastSeen != 0 {
		records = append(records, protocol.ExportRecord{Type: protocol.ExportPresence, Presence: &presence})
	}
	sessions, err := x.Sessions(ctx, user)
	if err != nil {
		return nil, err
	}
	for i := range sessions {
		records = append(records, protocol.ExportRecord{Type: protocol.ExportSession, Session: &sessions[i]})
	}
	return records, nil
}

// membership is the user's row in a room, if there is one.
func (x *Exporter) membership(ctx context.Context, room, user string) (records []protocol.ExportRecord, err error) {
	err = x.Snapshots.View(ctx, room, user, func(sc *chat.Scene, _ chat.Snapshot) error {
		if sc.Me == nil || sc.Room == nil {
			return nil
		}
		member, me := chat.MemberObject(sc.Me), chat.MeObject(sc.Room, sc.Head, sc.Me, 0)
		records = append(records, protocol.ExportRecord{
			Type: protocol.ExportMembership, Room: room, Name: sc.Room.Name, Member: &member, Me: &me, Left: sc.Me.State != chat.IsMember,
		})
		return nil
	})
	return records, err
}

// roomChunk is how much of a room is read at once.
const roomChunk = 200

// Room calls record with each record of a room's export: the room, its members, its messages as they stand, and its log. All are of one moment.
func (x *Exporter) Room(ctx context.Context, room string, record func(protocol.ExportRecord) error) error {
	return x.Snapshots.View(ctx, room, "", func(sc *chat.Scene, snap chat.Snapshot) error {
		if sc.Room == nil || sc.Room.Deleted {
			return protocol.RoomNotFound()
		}
		object := chat.RoomObject(sc.Room, sc.Head)
		if err := record(protocol.ExportRecord{Type: protocol.ExportRoom, Room: room, Object: &object}); err != nil {
			return err
		}
		for after := ""; ; {
			members, err := snap.Members(ctx, after, roomChunk)
			if err != nil {
				return err
			}
			for _, m := range members {
				member := chat.MemberObject(m)
				if err := record(protocol.ExportRecord{Type: protocol.ExportMember, Room: room, Member: &member}); err != nil {
					return err
				}
				after = m.User
			}
			if len(members) < roomChunk {
				break
			}
		}
		if err := exportMessages(ctx, room, snap, record); err != nil {
			return err
		}
		return exportEvents(ctx, room, sc.Head.Seq, snap, record)
	})
}

func exportMessages(ctx context.Context, room string, snap chat.Snapshot, record func(protocol.ExportRecord) error) error {
	after := protocol.Seq(0)
	for {
		messages, more, err := snap.Messages(ctx, chat.MessageQuery{After: &after, Limit: roomChunk})
		if err != nil {
			return err
		}
		for _, m := range messages {
			object := chat.MessageObject(m, room)
			if err := record(protocol.ExportRecord{Type: protocol.ExportMessage, Room: room, Message: &object}); err != nil {
				return err
			}
			after = m.Seq
		}
		if !more {
			return nil
		}
	}
}

func exportEvents(ctx context.Context, room string, head protocol.Seq, snap chat.Snapshot, record func(protocol.ExportRecord) error) error {
	for after := protocol.Seq(0); after < head; {
		events, err := snap.Events(ctx, after, head, roomChunk)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			frame := protocol.AppendEvent(nil, &e.Event)
			if err := record(protocol.ExportRecord{Type: protocol.ExportEvent, Room: room, Event: slices.Clip(frame)}); err != nil {
				return err
			}
			after = e.Seq
		}
	}
	return nil
}
