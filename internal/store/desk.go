package store

import (
	"context"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/protocol"
)

var _ chat.Desk = (*Store)(nil)

// The log writes none of these columns, so that neither way undoes the other.
var (
	updateEntry = database.SQL(`UPDATE members SET notify = COALESCE($3, notify), pinned = COALESCE($4, pinned), archived = COALESCE($5, archived), changed = {changed}
		WHERE room = $1 AND user_id = $2 AND ` + ofMember)
	hideRoom = database.SQL(`UPDATE members SET hidden_at = (SELECT h.seq FROM room_heads h WHERE h.room = $1), changed = {changed}
		WHERE room = $1 AND user_id = $2 AND ` + ofMember)
)

// ofMember holds for rows of those who are members now.
const ofMember = `state = ` + isMember + ` AND EXISTS (SELECT 1 FROM rooms r WHERE r.id = $1 AND r.deleted = 0)`

// Settings implements chat.Desk.
func (s *Store) Settings(ctx context.Context, room, user string, notify *protocol.Notify, pinned, archived *bool) error {
	return s.writeEntry(ctx, updateEntry, room, user, (*string)(notify), optionalFlag(pinned), optionalFlag(archived))
}

// Hide implements chat.Desk.
func (s *Store) Hide(ctx context.Context, room, user string) error {
	return s.writeEntry(ctx, hideRoom, room, user)
}

func (s *Store) writeEntry(ctx context.Context, q database.Text, room string, args ...any) error {
	return s.write(ctx, ofRooms(room), func(t database.Tx) error {
		n, err := t.Exec(ctx, q, append([]any{room}, args...)...)
		if err == nil && n == 0 {
			return chat.ErrNoMember
		}
		return err
	})
}

// optionalFlag is a bool as it is stored, nil for none.
func optionalFlag(b *bool) *int64 {
	if b == nil {
		return nil
	}
	n := flag(*b)
	return &n
}
