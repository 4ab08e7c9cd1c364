package presence

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// MaxSubscriptions is how many users one session may watch.
const MaxSubscriptions = 1000

// Session is one live session, and whom it watches. Its methods may be called from any goroutine.
type Session struct {
	service *Service
	user    string
	offer   func(frames []byte) bool

	// Guarded by service.mu.
	watches map[string]*watch // by user
	closed  bool
}

// watch is a subscription to one user. Its fields are guarded by the service's mu.
type watch struct {
	session *Session
	user    string
	told    protocol.PresenceData
	asking  int // calls that are about to tell it by their reply: nothing is told beside them
}

func (w *watch) pair() Pair { return Pair{w.session.user, w.user} }

// Subscribe tells by reply how the users are seen now, in the order given and each once, and from then on by signals when that changes. Users who do not exist,
// or may not be seen yet, are offline. reply is called once, unless there is an error: bad_request where the session would watch more than MaxSubscriptions,
// otherwise one of the store.
func (p *Session) Subscribe(ctx context.Context, users []string, reply func([]protocol.UserPresence)) error {
	s := p.service
	users = protocol.Distinct(users)
	watches, err := p.begin(users)
	if err != nil {
		return err
	}
	list, err := p.look(ctx, users)
	if err == nil {
		reply(list)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range watches {
		if w.asking--; err == nil {
			w.told = protocol.PresenceData{Status: list[i].Status, LastSeen: list[i].LastSeen}
		} else if w.told.Status == "" && w.asking == 0 {
			p.drop(w)
		}
	}
	if len(s.marked) > 0 {
		s.poke() // marks of these were left alone meanwhile
	}
	return err
}

// begin finds or makes the watches of a call.
func (p *Session) begin(users []string) ([]*watch, error) {
	s := p.service
	s.mu.Lock()
	defer s.mu.Unlock()
	more := 0
	for _, user := range users {
		if p.watches[user] == nil {
			more++
		}
	}
	if len(p.watches)+more > MaxSubscriptions {
		return nil, protocol.Errorf(protocol.BadRequest, "users", "A session watches at most %d users: unsubscribe from some first.", MaxSubscriptions)
	}
	watches := make([]*watch, len(users))
	for i, user := range users {
		w := p.watches[user]
		if w == nil {
			w = &watch{session: p, user: user}
			p.add(w)
		}
		w.asking++
		watches[i] = w
	}
	return watches, nil
}

// add puts a watch into the tables, unless the session has ended. Called with the service's mu held, as drop is.
func (p *Session) add(w *watch) {
	s := p.service
	if p.closed {
		return
	}
	if len(p.watches) == 0 {
		p.watches = map[string]*watch{}
		if s.viewers[p.user] == nil {
			s.viewers[p.user] = map[*Session]bool{}
		}
		s.viewers[p.user][p] = true
	}
	p.watches[w.user] = w
	if s.watched[w.user] == nil {
		s.watched[w.user] = map[*watch]struct{}{}
	}
	s.watched[w.user][w] = struct{}{}
	s.subscribed++
}

// drop takes a watch out of the tables, if it is there.
func (p *Session) drop(w *watch) {
	s := p.service
	if p.watches[w.user] != w {
		return
	}
	s.subscribed--
	delete(s.marked, w)
	delete(p.watches, w.user)
	if delete(s.watched[w.user], w); len(s.watched[w.user]) == 0 {
		delete(s.watched, w.user)
	}
	if len(p.watches) > 0 {
		return
	}
	if delete(s.viewers[p.user], p); len(s.viewers[p.user]) == 0 {
		delete(s.viewers, p.user)
	}
}

// look is how the session sees users now.
func (p *Session) look(ctx context.Context, users []string) ([]protocol.UserPresence, error) {
	pairs := make([]Pair, len(users))
	for i, user := range users {
		pairs[i] = Pair{p.user, user}
	}
	views, err := p.service.views(ctx, pairs)
	if err != nil {
		return nil, err
	}
	list := make([]protocol.UserPresence, len(users))
	for i, pair := range pairs {
		list[i] = protocol.UserPresence{User: pair.User, Status: views[pair].Status, LastSeen: views[pair].LastSeen}
	}
	return list, nil
}

// Unsubscribe ends subscriptions, those that there are, and tells how the users are seen now. No signal about them comes after it has returned.
func (p *Session) Unsubscribe(ctx context.Context, users []string) ([]protocol.UserPresence, error) {
	users = protocol.Distinct(users)
	p.service.mu.Lock()
	for _, user := range users {
		if w := p.watches[user]; w != nil {
			p.drop(w)
		}
	}
	p.service.mu.Unlock()
	return p.look(ctx, users)
}

// Close ends the session with its subscriptions. It is called once.
func (p *Session) Close() {
	s := p.service
	s.mu.Lock()
	defer s.mu.Unlock()
	p.closed = true
	for _, w := range p.watches {
		p.drop(w)
	}
	s.attend(p.user, ended, s.now())
}
