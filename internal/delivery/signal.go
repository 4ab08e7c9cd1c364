package delivery

import (
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// signal is a push without a seq to sessions that are live in a room. Who lags, or has no room for it, does without: it is in no log.
type signal struct {
	batch  *Batch
	except string           // typing: this user's sessions are left out
	only   string           // private receipts: nobody but this user's sessions
	rows   []chat.CursorRow // receipts: what the batch tells; the session that reported a row is told of the others
}

// signal offers a signal to the members' sessions in the room. Called with the room's lock held.
func (p *pass) signal(s *signal) {
	h, r := p.hub, p.room
	if s.only != "" {
		for _, f := range h.users.of(s.only) {
			f.mu.Lock()
			in := f.in(r)
			f.mu.Unlock()
			if in {
				p.signalTo(f, s)
			}
		}
		return
	}
	for _, i := range r.followers {
		f := h.followers.get(i)
		if s.except == "" || f.sink.User() != s.except {
			p.signalTo(f, s)
		}
	}
}

func (p *pass) signalTo(f *Follower, s *signal) {
	h, r := p.hub, p.room
	if f.behind.Load() != 0 && f.behindIn(r) != nil {
		return
	}
	b := s.batch
	for i := range s.rows {
		if s.rows[i].Session != "" && s.rows[i].Session == f.sink.ID() {
			b = h.receiptsWithout(r.id, s.rows, f.sink.ID())
			break
		}
	}
	if b != nil {
		f.sink.Offer(b)
	}
}

// receiptsWithout are the rows that another session reported; nil if there are none.
func (h *Hub) receiptsWithout(room string, rows []chat.CursorRow, session string) *Batch {
	var data protocol.ReceiptData
	for _, row := range rows {
		if session == "" || row.Session != session {
			data.Members = append(data.Members, protocol.Cursors{User: row.User, Delivered: row.Delivered, Read: row.Read})
		}
	}
	if len(data.Members) == 0 {
		return nil
	}
	return h.push(protocol.SignalReceipt, room, "", data)
}

// signalIn leaves a signal for a room's worker, if the room is followed here.
func (h *Hub) signalIn(room string, s *signal) {
	if r := h.rooms.get(room); r != nil {
		h.arrive(r, &arrival{kind: arrivedSignal, signal: s})
	}
}

// removed is a room.removed.
func (h *Hub) removed(room string, reason protocol.LeaveReason) *Batch {
	return h.push(protocol.SignalRoomRemoved, room, "", protocol.RoomRemovedData{Reason: reason})
}

// push encodes a signal.
func (h *Hub) push(name protocol.Name, room, user string, data any) *Batch {
	return h.batch(protocol.AppendSignal(nil, name, room, user, data))
}
