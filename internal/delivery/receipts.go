package delivery

import (
	"sync"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

const (
	receiptEvery  = time.Second      // at most one frame of a circle in that time; at once after as long a quiet
	receiptMemory = 60 * time.Second // how long it is known what a circle was told: no older hint may take it back
)

// receipts gather cursors that moved and tell of them, once per circle and second.
type receipts struct {
	hub    *Hub
	hidden func(user string) bool

	mu       sync.Mutex // rank 3
	gathered map[circle]*gathering
}

// circle is who hears of a cursor: the members of a room, or only the one user whose cursor it is.
type circle struct{ room, user string }

// gathering is what one circle has been told and shall be told.
type gathering struct {
	told    map[string]cursors // by user
	waiting map[string]report  // by user
	last    time.Time          // when they were told
	armed   bool               // a telling is on the agenda
	leaving bool               // a look whether it can be forgotten is on the agenda
}

type cursors struct{ delivered, read protocol.Seq }

type report struct {
	row   chat.CursorRow
	local bool // from this node's log: the other nodes are to hear of it from here
}

// moved takes rows from this node's log (local), from another node's, or from the store.
func (c *receipts) moved(rows []chat.CursorRow, local bool) {
	if len(rows) == 0 {
		return
	}
	now := c.hub.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, row := range rows {
		if row.Moved && (local && c.hub.live != nil || c.hub.rooms.get(row.Room) != nil) {
			c.gather(now, row, local)
		}
	}
}

// gather takes one row. Called with mu held.
func (c *receipts) gather(now time.Time, row chat.CursorRow, local bool) {
	to := circle{room: row.Room}
	if row.Private || c.hidden(row.User) {
		to.user = row.User
	}
	g := c.gathered[to]
	if g == nil {
		g = &gathering{told: map[string]cursors{}}
		c.gathered[to] = g
	}
	if t := g.told[row.User]; row.Delivered <= t.delivered && row.Read <= t.read {
		return
	}
	if w, ok := g.waiting[row.User]; ok {
		row.Delivered, row.Read = max(row.Delivered, w.row.Delivered), max(row.Read, w.row.Read)
		local = local || w.local
	}
	if g.waiting == nil {
		g.waiting = map[string]report{}
	}
	g.waiting[row.User] = report{row, local}
	if !g.armed {
		g.armed = true
		at := now
		if next := g.last.Add(receiptEvery); next.After(now) {
			at = next
		}
		c.hub.agenda.at(at, func() { c.tell(to) })
	}
}

// tell tells one circle what waits for it.
func (c *receipts) tell(to circle) {
	h := c.hub
	now := h.now()
	c.mu.Lock()
	g := c.gathered[to]
	g.armed, g.last = false, now
	var all, local []chat.CursorRow
	for user, w := range g.waiting {
		t := g.told[user]
		w.row.Delivered, w.row.Read = max(w.row.Delivered, t.delivered), max(w.row.Read, t.read)
		g.told[user] = cursors{w.row.Delivered, w.row.Read}
		all = append(all, w.row)
		if w.local {
			local = append(local, w.row)
		}
	}
	g.waiting = nil
	if !g.leaving {
		g.leaving = true
		h.agenda.at(now.Add(receiptMemory), func() { c.forget(to) })
	}
	c.mu.Unlock()

	if len(local) > 0 && h.live != nil {
		h.live.Publish(to.room, appendReceipts(h.envelope(kindReceipts, to.room, 64*len(local)), to.user != "", local))
	}
	h.signalIn(to.room, &signal{batch: h.receiptsWithout(to.room, all, ""), only: to.user, rows: all})
}

// forget lets go of a circle that has been quiet.
func (c *receipts) forget(to circle) {
	now := c.hub.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gathered[to]
	if at := g.last.Add(receiptMemory); at.After(now) || g.armed {
		c.hub.agenda.at(maxTime(at, now.Add(receiptEvery)), func() { c.forget(to) })
		return
	}
	delete(c.gathered, to)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
