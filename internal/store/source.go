package store

import (
	"context"
	"fmt"
	"math"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ delivery.Source = (*Store)(nil)

// placeCols are what says where a room may be followed from: less than the whole row, because a session may follow thousands.
const placeCols = `r.id, r.kind, r.settings, r.first, r.members, r.deleted, h.seq, h.n`

// scanPlace reads placeCols, and after them what rest wants.
func scanPlace(scan database.Scan, rest ...any) (*chat.Scene, error) {
	var (
		r        chat.Room
		h        chat.Head
		settings string
		deleted  int64
	)
	err := scan(append([]any{&r.ID, &r.Kind, &settings, &r.First, &r.Members, &deleted, &h.Seq, &h.N}, rest...)...)
	if err != nil {
		return nil, err
	}
	if r.Settings, err = decodeSettings(settings); err != nil {
		return nil, fmt.Errorf("room %s: %w", r.ID, err)
	}
	r.Deleted = deleted != 0
	return &chat.Scene{Room: &r, Head: h}, nil
}

// placeOf is the place of one who may follow the room.
func placeOf(sc *chat.Scene) chat.Place {
	p := chat.Place{Room: sc.Room.ID, Kind: sc.Room.Kind, Head: sc.Head.Seq, First: sc.Room.First, From: sc.From()}
	if sc.Me != nil && sc.Me.State == chat.IsMember {
		p.JoinedSeq = sc.Me.JoinedSeq
	}
	if p.Kind == protocol.Live {
		p.SamplePerS = sc.Room.Settings.SamplePerS
	}
	return p
}

var (
	selectFollowed = database.SQL(`SELECT ` + placeCols + `, m.joined_seq` + fromOwnRooms + ` AND m.state = ` + isMember + ` AND r.deleted = 0 AND r.kind <> 'live'`)
	selectNamed    = database.SQL(`SELECT ` + placeCols + ` FROM rooms r JOIN room_heads h ON h.room = r.id WHERE r.id IN {list $1}`)
	selectSeqs     = database.SQL(`SELECT h.room, h.seq FROM room_heads h WHERE h.room IN {list $1}`)
)

// Places implements delivery.Source.
func (s *Store) Places(ctx context.Context, user string, rooms []string) ([]chat.Place, error) {
	if rooms == nil {
		return s.places(ctx, user, selectFollowed)
	}
	var scenes []*chat.Scene
	own := map[string]*chat.Member{}
	err := s.read(ctx, ofRooms(rooms...), func(t database.Tx) error {
		list := database.JSONList(rooms)
		var b database.Batch
		b.Query(selectNamed, collect(&scenes, scanPlace), list)
		b.Query(selectOwnRows, func(scan database.Scan) error {
			m, err := scanMember(scan)
			if err == nil {
				own[m.Room] = m
			}
			return err
		}, user, list)
		return t.Batch(ctx, &b)
	})
	if err != nil {
		return nil, err
	}
	var places []chat.Place
	for _, sc := range scenes {
		sc.Me = own[sc.Room.ID]
		if sc.Readable(chat.Actor{User: user}) == nil {
			places = append(places, placeOf(sc))
		}
	}
	return places, nil
}

// scanOwnPlace reads placeCols and joined_seq of a member, and after them what rest wants.
func scanOwnPlace(scan database.Scan, rest ...any) (chat.Place, error) {
	me := chat.Member{State: chat.IsMember}
	sc, err := scanPlace(scan, append([]any{&me.JoinedSeq}, rest...)...)
	if err != nil {
		return chat.Place{}, err
	}
	sc.Me = &me
	return placeOf(sc), nil
}

// places reads the places of a member with a statement of placeCols and joined_seq.
func (s *Store) places(ctx context.Context, user string, q database.Text) ([]chat.Place, error) {
	var places []chat.Place
	err := s.read(ctx, scope{}, func(t database.Tx) error {
		return t.Query(ctx, q, []any{user}, collect(&places, scanOwnPlace))
	})
	return places, err
}

// Heads implements delivery.Source.
func (s *Store) Heads(ctx context.Context, rooms []string) (map[string]protocol.Seq, error) {
	heads := make(map[string]protocol.Seq, len(rooms))
	err := s.read(ctx, ofRooms(rooms...), func(t database.Tx) error {
		return t.Query(ctx, selectSeqs, []any{database.JSONList(rooms)}, func(scan database.Scan) error {
			var room string
			var seq protocol.Seq
			err := scan(&room, &seq)
			heads[room] = seq
			return err
		})
	})
	return heads, err
}

// Events implements delivery.Source.
func (s *Store) Events(ctx context.Context, room string, after protocol.Seq, limit int) (events []*chat.Event, err error) {
	err = s.read(ctx, ofRooms(room), func(t database.Tx) error {
		events, err = readEvents(ctx, t, room, after, math.MaxInt64, limit)
		return err
	})
	return events, err
}

// Room implements delivery.Source.
func (s *Store) Room(ctx context.Context, room string) (*protocol.Room, error) {
	var object *protocol.Room
	err := s.View(ctx, room, "", func(sc *chat.Scene, _ chat.Snapshot) error {
		if sc.Room != nil && !sc.Room.Deleted {
			o := chat.RoomObject(sc.Room, sc.Head)
			object = &o
		}
		return nil
	})
	return object, err
}
