package delivery

import (
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

// recent holds the latest frames of all rooms in one budget of bytes; the oldest go first, whichever room they are of. After recentTime all go: a room keeps
// its events for a day at the least, so that nothing is served from here that is kept no longer.
type recent struct {
	mu             sync.Mutex // a leaf
	budget, bytes  int
	oldest, newest *entry
	rings          map[*room][]*entry // without a hole, ascending
}

// entryBytes is what an entry costs beside its frame.
const entryBytes = 168

func (e *entry) cost() int { return cap(e.frame) + entryBytes }

// recentTime is for how long a frame is kept at the most.
const recentTime = time.Hour

// keep adds a room's next entries. Those of a room that erases content come only when no earlier ones are kept.
func (c *recent) keep(r *room, run []*entry, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ring := c.rings[r]
	if len(ring) > 0 && ring[len(ring)-1].seq+1 != run[0].seq {
		c.forget(ring)
		ring = nil
	}
	for _, e := range run {
		e.room, e.older, e.kept = r, c.newest, now.Unix()
		if c.newest != nil {
			c.newest.newer = e
		} else {
			c.oldest = e
		}
		c.newest = e
		c.bytes += e.cost()
	}
	c.rings[r] = append(ring, run...)
	for c.bytes > c.budget {
		c.dropOldest()
	}
}

// expire forgets what has been kept for recentTime.
func (c *recent) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for before := now.Add(-recentTime).Unix(); c.oldest != nil && c.oldest.kept <= before; {
		c.dropOldest()
	}
}

// dropOldest forgets one entry; the caller holds mu.
func (c *recent) dropOldest() {
	from := c.oldest.room
	c.unlink(c.oldest)
	if ring := c.rings[from]; len(ring) > 1 {
		ring[0] = nil
		c.rings[from] = ring[1:]
	} else {
		delete(c.rings, from)
	}
}

// read is what is kept of a room from a seq on, up to about a number of bytes; nothing if the seq itself is not kept.
func (c *recent) read(r *room, from protocol.Seq, bytes int) []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	ring := c.rings[r]
	if len(ring) == 0 || from < ring[0].seq || from > ring[len(ring)-1].seq {
		return nil
	}
	ring = ring[from-ring[0].seq:]
	n := 0
	for n < len(ring) && bytes > 0 {
		bytes -= len(ring[n].frame)
		n++
	}
	return append([]*entry(nil), ring[:n]...)
}

// drop forgets everything of a room.
func (c *recent) drop(r *room) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(c.rings[r])
	delete(c.rings, r)
}

func (c *recent) forget(ring []*entry) {
	for _, e := range ring {
		c.unlink(e)
	}
}

func (c *recent) unlink(e *entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		c.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		c.newest = e.older
	}
	e.room, e.older, e.newer = nil, nil, nil
	c.bytes -= e.cost()
}

func (c *recent) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
