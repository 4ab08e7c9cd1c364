package storetest

import (
	"time"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

// testWhereabouts follows one message: who has it, who has read it, and who could.
func testWhereabouts(f *fixture) {
	room := f.room(protocol.Group, "ann", "bob", "cat", "dan")
	seq := f.send(room, "ann", "where is it?").Seq
	f.member(protocol.MemberRemove, room, "ann", "dan")
	f.read(room, "bob", seq)
	call[protocol.Empty](f, "cat", protocol.ReceiptDelivered, &protocol.ReceiptDeliveredParams{Cursors: map[string]protocol.Seq{room: seq}})
	f.must(f.store.Beat(f.Context(), "one"))
	phone := f.opened("bob", "phone", "one")
	f.opened("cat", "tablet", "one")
	f.opened("dan", "phone", "one")

	w := f.whereabouts(room, seq, 2)
	f.equal("the event", []any{w.Found, w.Name, w.User, w.Kind, w.First, w.Head, w.Applied}, []any{true, protocol.MessageCreated, "ann", protocol.Group, protocol.Seq(1), seq + 1, protocol.Seq(0)})
	f.equal("how many members have it", []int{w.Members, w.Delivered, w.Read}, []int{3, 2, 1})
	f.equal("the first members", []string{w.Listed[0].User, w.Listed[1].User}, []string{"ann", "bob"})
	f.equal("how many are listed", len(w.Listed), 2)
	f.equal("their sessions", len(w.Sessions["ann"])+len(w.Sessions["cat"]), 0)
	f.equal("a session", []string{w.Sessions["bob"][0].ID, w.Sessions["bob"][0].Device, w.Sessions["bob"][0].Node}, []string{phone.ID, "phone", "one"})

	f.clock.advance(time.Minute) // the node is not heard of any more
	f.equal("sessions of a dead node", len(f.whereabouts(room, seq, 2).Sessions), 0)

	if w := f.whereabouts(room, seq+9, 2); w.Found || w.Head != seq+1 {
		f.Errorf("what is above the head: %+v", w)
	}
	if w, err := f.store.Whereabouts(f.Context(), "r_none", 1, 2); w != nil || err != nil {
		f.Errorf("a room that never was: %+v, %v", w, err)
	}
}

func (f *fixture) whereabouts(room string, seq protocol.Seq, limit int) *store.Whereabouts {
	f.Helper()
	w, err := f.store.Whereabouts(f.Context(), room, seq, limit)
	f.must(err)
	return w
}
