package delivery

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// How a session gets into a room: see who may (a snapshot P of the store, as of head H), bind the room to this node, read its position if it has none
// here, let the session in as one that lags, and only then replay and go live. What may happen in between, and why it is not missed:
//
//   - An event is committed after H: the session stands at H+1 or before, so that the replay brings it.
//   - It is committed before the room is bound: the room is placed by a head that is read after Follow has returned, so that the event is below next.
//     It is committed after that read: its hint arrives, here before next is known too (it waits as an early event), or is found missing like any other.
//   - The user is removed after H, before the session is let in: the room's changed is above H, and who is let in above H is looked up once more, while
//     it lags and has been offered nothing. After the session was let in: the fold puts it out.
//   - The user joins after H: the session is in the table of users before H is read, so that the fold, the news of the commit or the next question what
//     has changed finds it; an event that the room's placement has passed over is treated as news. What they note is looked into after Ready.
//   - The user joins before H, but the fold comes later: it finds the session in, known up to H, and leaves it.
//   - This node is behind H: the session stands above next and waits; the room hears of H, so that it moves even if every hint is lost.
//   - The room is unbound at the same time: it is dead then, and opened anew.

// admission lets one session into rooms.
type admission struct {
	ctx context.Context
	hub *Hub
	f   *Follower
}

// want is a room that a session shall be let into.
type want struct {
	place chat.Place
	lag   lag
	room  *room
}

// wanted is a want at a position.
func wanted(p chat.Place, pos protocol.Seq) *want {
	return &want{place: p, lag: lag{pos: max(pos, p.From), known: p.Head}}
}

// resumed is a want that goes on after a position, or resets where that cannot be: it is of another epoch, above the head, before what the room keeps
// (not: before what the user may see of it), or too far behind.
func (a admission) resumed(p chat.Place, after protocol.Seq, epoch string) *want {
	w := wanted(p, min(after, p.Head)+1)
	trimmed := after > 0 && after+1 < p.First
	w.lag.reset = !a.hub.lives.stands(epoch, p.Room) || after > p.Head || trimmed || p.Head+1 > w.lag.pos+a.hub.replay
	return w
}

// Enter lets a session in: it follows what the Entry says when Enter returns, Ready has been called, and what it missed is on its way. With an error
// of the Source, or the context's, nothing remains of it and Ready was not called. The caller gives Drained and Close to the Follower; a Drained that
// comes up before Enter has returned is to be given after.
func (h *Hub) Enter(ctx context.Context, e *Entry) (*Follower, error) {
	select {
	case <-h.position.begun:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f := &Follower{hub: h, sink: e.Sink, all: e.All}
	f.index = h.followers.add(f)
	h.users.add(f)           // before the places are read
	epoch := h.lives.epoch() // before it is looked where the session stands
	gone, away, err := admission{ctx, h, f}.enter(e)
	if err != nil {
		f.Close()
		return nil, err
	}
	f.tellGone(gone)
	unsaid, good := h.lives.unsaid(e, away)
	if e.Standing != nil {
		at := f.standing()
		for _, room := range gone {
			at[room] = e.Resume[room]
		}
		maps.Copy(at, unsaid)
		e.Standing(at)
	}
	if good {
		e.Epoch = epoch
	}
	f.open(e.Ready)
	f.settle()
	f.kick()
	return f, nil
}

// tellGone tells the session, once and for all, that rooms which it counts on are not for its user.
func (f *Follower) tellGone(rooms []string) {
	f.mu.Lock()
	for _, room := range rooms {
		if f.gone == nil {
			f.gone = map[string]struct{}{}
		}
		f.gone[room] = struct{}{}
	}
	f.mu.Unlock()
	for _, room := range rooms {
		f.push(room, f.hub.removed(room, protocol.ReasonGone))
	}
}

// enter attaches the rooms of an Entry and returns those of its Resume that the user may not see, and those that could not be asked about.
func (a admission) enter(e *Entry) (gone []string, away map[string]struct{}, err error) {
	var places []chat.Place
	var unseen missing
	if e.All {
		places, err = a.places(nil)
		if unseen.all, err = unanswered(err); err != nil {
			return nil, nil, err
		}
	}
	named := maps.Clone(e.Resume)
	for _, p := range places {
		delete(named, p.Room)
	}
	if len(named) > 0 {
		more, err := a.places(slices.Collect(maps.Keys(named)))
		silent, err := unanswered(err)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range more {
			delete(named, p.Room)
		}
		places = append(places, more...)
		unseen.takeFrom(named, silent)
	}
	a.f.miss(unseen)
	wants := make([]*want, len(places))
	for i, p := range places {
		if after, ok := e.Resume[p.Room]; ok {
			wants[i] = a.resumed(p, after, e.Epoch)
		} else {
			wants[i] = wanted(p, p.Head+1)
			wants[i].lag.reset = e.Lost
		}
	}
	f := a.f
	f.mu.Lock()
	f.rooms = append(make([]uint32, 0, len(f.rooms)+len(wants)), f.rooms...)
	f.mu.Unlock()
	lost, err := a.attach(wants)
	return append(slices.Collect(maps.Keys(named)), lost...), unseen.named, err
}

// Subscribe follows a room from after on (nil: from now), a position of the epoch. It calls ready with the head, once, before anything of the room is pushed, and returns nil; a room that is followed already is only answered. Otherwise it returns an error and ready was not
// called: RoomNotFound where the user may not see the room, unavailable when the store cannot be asked.
func (f *Follower) Subscribe(ctx context.Context, room string, after *protocol.Seq, epoch string, ready func(head protocol.Seq)) *protocol.Error {
	if f.answered(room, ready) {
		return nil
	}
	a := admission{ctx, f.hub, f}
	places, err := a.places([]string{room})
	if err != nil {
		return unavailable()
	}
	if len(places) == 0 {
		return protocol.RoomNotFound()
	}
	w := wanted(places[0], places[0].Head+1)
	if after != nil {
		w = a.resumed(places[0], *after, epoch)
	}
	w.lag.held = true
	defer f.kick() // when it is decided: what is held goes on, what the user has joined meanwhile is looked into
	lost, err := a.attach([]*want{w})
	if err != nil {
		return unavailable()
	}
	if len(lost) > 0 {
		return protocol.RoomNotFound()
	}
	r := w.room
	r.mu.Lock()
	if f.behindIn(r) == &w.lag {
		ready(w.place.Head)
		f.mu.Lock()
		w.lag.held = false
		f.mu.Unlock()
		f.stepIn(r) // who begins at the head is live at once
		f.hub.watched(r)
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	if f.answered(room, ready) { // let in by a join in the meantime
		return nil
	}
	return protocol.RoomNotFound() // put out again in the meantime
}

// answered calls ready if the session is in the room.
func (f *Follower) answered(room string, ready func(protocol.Seq)) bool {
	r := f.hub.rooms.get(room)
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.mu.Lock()
	in := f.in(r)
	f.mu.Unlock()
	if in {
		ready(r.next - 1)
	}
	return in
}

func unavailable() *protocol.Error {
	return &protocol.Error{Code: protocol.Unavailable, Message: "The store cannot be read now. Try again.", RetryAfterMS: 1000}
}

// Unsubscribe ends the following of a room: nothing more of it is queued.
func (f *Follower) Unsubscribe(room string) {
	r := f.hub.rooms.get(room)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.leave(r) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.forget(room, r.next-1)
	}
}

// places asks the Source for what the session's user may follow.
func (a admission) places(rooms []string) (places []chat.Place, err error) {
	err = a.hub.reading(a.ctx, func() error {
		places, err = a.hub.source.Places(a.ctx, a.f.sink.User(), rooms)
		return err
	})
	return places, err
}

var errClosed = errors.New("the session has ended")

// attach lets the session into rooms and returns those that its user has turned out not to see any more. With an error it is in none of them.
func (a admission) attach(wants []*want) (lost []string, err error) {
	defer func() {
		if err != nil {
			for _, w := range wants {
				a.putOut(w)
			}
		}
	}()
	var doubtful []*want
	for todo := wants; len(todo) > 0; {
		var unplaced []*want
		for _, w := range todo {
			w.room = a.hub.rooms.open(w.place.Room)
			switch a.letIn(w) {
			case closedToAll:
				return nil, errClosed
			case notPlaced:
				unplaced = append(unplaced, w)
			case inDoubt:
				doubtful = append(doubtful, w)
			}
		}
		if len(unplaced) > 0 {
			if err := a.bind(unplaced); err != nil {
				return nil, err
			}
		}
		todo = unplaced
	}
	if len(doubtful) == 0 {
		return nil, nil
	}
	return a.recheck(doubtful)
}

// letting is how it went to let a session into a room.
type letting int

const (
	isIn        letting = iota
	inDoubt             // in, but the user may have left or joined since the place was read
	notPlaced           // the room has to be bound first
	closedToAll         // the session has ended
)

func (a admission) letIn(w *want) letting {
	r, f := w.room, a.f
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == 0 || r.dead {
		return notPlaced
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return closedToAll
	}
	member := w.place.JoinedSeq != 0
	r.live = w.place.Kind == protocol.Live
	a.hub.rooms.paces.setSample(r, w.place.SamplePerS, w.place.Head)
	switch in := f.in(r); {
	case !in:
		r.add(f.index, member)
		f.rooms = append(f.rooms, r.index)
	case f.ready:
		return isIn // the fold was first, and it has a stream
	case member:
		r.promote(f.index)
	}
	if !f.ready { // what the fold has done with it since it is in the table of users: the place says more, or is looked up again
		f.held = slices.DeleteFunc(f.held, func(p heldPush) bool { return p.room == r.id })
	}
	f.setLag(r, &w.lag)
	delete(f.past, r.id)
	delete(f.gone, r.id)
	if r.changed > w.place.Head {
		return inDoubt
	}
	return isIn
}

// bind makes hints of the rooms arrive and reads where those rooms stand that have no position on this node yet.
func (a admission) bind(wants []*want) error {
	h := a.hub
	ids := make([]string, len(wants))
	for i, w := range wants {
		ids[i] = w.room.id
	}
	h.follow(a.ctx, ids)
	var heads map[string]protocol.Seq
	err := h.reading(a.ctx, func() (err error) {
		heads, err = h.source.Heads(a.ctx, ids)
		return err
	})
	if err != nil {
		return err
	}
	for _, w := range wants {
		h.place(w.room, max(heads[w.room.id], w.place.Head))
	}
	return nil
}

// follow makes hints of the rooms arrive, as soon as the broker can.
func (h *Hub) follow(ctx context.Context, rooms []string) {
	if h.live == nil {
		return
	}
	if err := h.live.Follow(ctx, rooms); err != nil {
		h.log.Warn("following rooms at the broker", "rooms", len(rooms), "err", err)
		h.position.suspect()
	}
}

// place gives a room its position on this node, unless it has one: then it is told of the head.
func (h *Hub) place(r *room, head protocol.Seq) {
	r.mu.Lock()
	if r.next == 0 {
		h.placeIn(r, head)
	}
	r.mu.Unlock()
	h.arrive(r, &arrival{kind: arrivedHead, seq: head}) // also for what waits in early
}

// placeIn is place for one who holds r.mu and knows that the room has no position.
func (h *Hub) placeIn(r *room, head protocol.Seq) {
	r.next, r.changed = head+1, max(r.changed, head)
	if r.more == nil {
		return
	}
	for seq, e := range r.more.early {
		if seq <= head {
			delete(r.more.early, seq)
			if e.change != nil {
				h.news.old(r, seq, e.change)
			}
		}
	}
}

// recheck looks again whether the user may see rooms that they were let into by a place from before the last change of who may.
func (a admission) recheck(wants []*want) (lost []string, err error) {
	ids := make([]string, len(wants))
	for i, w := range wants {
		ids[i] = w.place.Room
	}
	places, err := a.places(ids)
	if err != nil {
		return nil, err
	}
	now := make(map[string]chat.Place, len(places))
	for _, p := range places {
		now[p.Room] = p
	}
	for _, w := range wants {
		p, visible := now[w.place.Room]
		left := !visible || w.place.JoinedSeq != 0 && p.JoinedSeq != w.place.JoinedSeq
		rejoined := left && p.JoinedSeq != 0
		switch {
		case !left || rejoined && a.f.followsKind(p.Kind):
			a.reconsider(w, p, rejoined)
		case a.putOut(w):
			lost = append(lost, w.place.Room)
			a.f.joined(w.place.Room, p.JoinedSeq) // also for a join since: the fold has passed it over if it came while the session was in
		}
	}
	return lost, nil
}

// reconsider takes a newer place for a want. Who has joined since is told so; who had left before that begins anew.
func (a admission) reconsider(w *want, p chat.Place, rejoined bool) {
	r, f := w.room, a.f
	r.mu.Lock()
	defer r.mu.Unlock()
	a.hub.rooms.paces.setSample(r, p.SamplePerS, p.Head)
	if f.behindIn(r) != &w.lag {
		return // the fold knows better
	}
	if rejoined {
		f.push(r.id, a.hub.removed(r.id, protocol.ReasonGone))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.lag.known = max(w.lag.known, p.Head)
	if p.JoinedSeq != w.place.JoinedSeq {
		r.promote(f.index)
		w.lag.announce = true
	}
	if rejoined {
		w.lag.pos, w.lag.reset = p.JoinedSeq, false
	}
}

// followsKind reports whether the session follows rooms of a kind because its user is a member.
func (f *Follower) followsKind(k protocol.Kind) bool { return f.all && k != protocol.Live }

// putOut takes the session out where it still stands as the want let it in.
func (a admission) putOut(w *want) bool {
	r, f := w.room, a.f
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return f.behindIn(r) == &w.lag && f.leave(r)
}
