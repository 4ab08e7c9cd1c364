package delivery

import (
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

const (
	typingLasts  = 5 * time.Second // after the last start
	typingRepeat = 3 * time.Second // a start within that time of the last signal sends nothing
)

// typing is who is typing in which room, as told to this node.
type typing struct {
	hub *Hub

	mu       sync.Mutex // rank 3
	active   map[typist]*activity
	sessions map[string]map[typist]struct{} // of those, by the session whose start was the last
}

type typist struct{ room, user string }

type activity struct {
	session string // whose start was the last
	sent    time.Time
	ends    time.Time
}

// Typing tells that a user has started or stopped typing in a room of which they are a member. The other members' sessions hear of it, on all nodes; of
// an end also when nothing has been said for 5 s, or the session ends.
func (h *Hub) Typing(room, user, session string, active bool) {
	t, who := &h.typing, typist{room, user}
	t.mu.Lock()
	tell := active && t.start(who, session) || !active && t.stop(who)
	t.mu.Unlock()
	if tell {
		t.tell(who, active)
	}
}

// start reports whether there is something to tell. Called with mu held, as stop is.
func (t *typing) start(who typist, session string) bool {
	now := t.hub.now()
	a := t.active[who]
	fresh := a == nil
	if fresh {
		a = &activity{}
		t.active[who] = a
		t.hub.agenda.at(now.Add(typingLasts), func() { t.expire(who, a) })
	} else {
		t.unlist(who, a.session)
	}
	a.session, a.ends = session, now.Add(typingLasts)
	if t.sessions[session] == nil {
		t.sessions[session] = map[typist]struct{}{}
	}
	t.sessions[session][who] = struct{}{}
	if !fresh && now.Sub(a.sent) < typingRepeat {
		return false
	}
	a.sent = now
	return true
}

func (t *typing) stop(who typist) bool {
	a := t.active[who]
	if a == nil {
		return false
	}
	delete(t.active, who)
	t.unlist(who, a.session)
	return true
}

func (t *typing) unlist(who typist, session string) {
	delete(t.sessions[session], who)
	if len(t.sessions[session]) == 0 {
		delete(t.sessions, session)
	}
}

// expire ends what has not been renewed.
func (t *typing) expire(who typist, a *activity) {
	t.mu.Lock()
	over := t.active[who] == a && !a.ends.After(t.hub.now())
	switch {
	case over:
		t.stop(who)
	case t.active[who] == a:
		t.hub.agenda.at(a.ends, func() { t.expire(who, a) })
	}
	t.mu.Unlock()
	if over {
		t.tell(who, false)
	}
}

// ended ends what a session has begun.
func (t *typing) ended(session string) {
	var ended []typist
	t.mu.Lock()
	for who := range t.sessions[session] {
		ended = append(ended, who)
		t.stop(who)
	}
	t.mu.Unlock()
	for _, who := range ended {
		t.tell(who, false)
	}
}

// tell sends the signal here and to the other nodes.
func (t *typing) tell(who typist, active bool) {
	if t.hub.live != nil {
		t.hub.live.Publish(who.room, appendTyping(t.hub.envelope(kindTyping, who.room, 128), who.user, active))
	}
	t.here(who, active)
}

// here sends the signal to the sessions of this node.
func (t *typing) here(who typist, active bool) {
	data := protocol.TypingData{Active: active}
	if active {
		data.ExpiresMS = typingLasts.Milliseconds()
	}
	t.hub.signalIn(who.room, &signal{batch: t.hub.push(protocol.SignalTyping, who.room, who.user, data), except: who.user})
}
