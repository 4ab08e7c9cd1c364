package chat

import (
	"github.com/parley-im/parley/protocol"
)

// Check refuses a move of cursors in a room, given with the actor's row; the error names the move's param (§4.4).
func (m *Move) Check(room *Room, me *Member) *protocol.Error {
	scene := Scene{Room: room, Me: me}
	err := scene.Receipts(m.Actor)
	if err != nil {
		err.Field = m.Field
	}
	return err
}

// HidesCursors reports whether members of the room hear nothing by themselves of each other's cursors: settings.receipts is off, or the room is over the
// bound up to which receipts are pushed.
func (r *Room) HidesCursors() bool {
	return !r.Settings.Receipts || r.Members > protocol.MaxReceiptRoom
}
