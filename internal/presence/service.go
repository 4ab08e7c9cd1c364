package presence

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/protocol"
)

// Options are what a Service needs.
type Options struct {
	Store    Store
	Leases   state.Leases
	Shared   bool             // the leases are those of several nodes
	Node     string           // this node's name, unique in the cluster
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: nothing is logged
	Announce func()           // called when a user has hidden or come out, so that other nodes call Refresh; nil: there are none
}

// Service is presence on one node. Its methods may be called from any goroutine.
type Service struct {
	store    Store
	leases   state.Leases
	shared   bool
	node     string
	now      func() time.Time
	log      *slog.Logger
	announce func()

	wake    chan struct{} // of size 1: there is something to tell
	reading chan struct{} // of size 1: a place in it is the right to read who is hidden and to take that over
	signals atomic.Uint64

	// Run's own.
	renewed time.Time // when the node's lease was
	mourned time.Time // when it was looked for nodes that have died
	refused []*watch  // what sessions had no room for
	again   time.Time // when that is tried again

	hiding sync.RWMutex // a leaf
	hidden hidden

	// What follows is guarded by mu, which is held over no call to the store or the leases; offers to sessions do not wait.
	mu         sync.Mutex
	here       map[string]attendance
	pausing    []pause                        // by time
	leasing    map[string]bool                // users who have come (true) or gone since the leases were told
	viewers    map[string]map[*Session]bool   // by user: their sessions that watch anybody
	watched    map[string]map[*watch]struct{} // by user: who watches them
	marked     map[*watch]struct{}            // those that may have something to tell
	subscribed int                            // watches
	elsewhere  elsewhere
}

// hidden is who is invisible, as was read last.
type hidden struct {
	users   map[string]struct{}
	unknown func(user string) bool // whether it could not be read if the user is; nil: it could
}

// pause is a user who may be gone.
type pause struct {
	user string
	left protocol.Time
	ends time.Time
}

// New makes a Service. Recover is called before it is used, and Run while it is.
func New(o Options) *Service {
	s := &Service{
		store: o.Store, leases: o.Leases, shared: o.Shared, node: o.Node, now: o.Now, log: o.Log, announce: o.Announce,
		wake: make(chan struct{}, 1), reading: make(chan struct{}, 1),
		hidden: hidden{users: map[string]struct{}{}}, here: map[string]attendance{}, leasing: map[string]bool{},
		viewers: map[string]map[*Session]bool{}, watched: map[string]map[*watch]struct{}{}, marked: map[*watch]struct{}{},
		elsewhere: elsewhere{online: map[string]bool{}},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.announce == nil {
		s.announce = func() {}
	}
	return s
}

// Recover reads who is invisible, and keeps when those were last seen whose sessions a crash has ended. No session of this node has begun yet.
func (s *Service) Recover(ctx context.Context) error {
	if err := s.store.Lost(ctx, s.node); err != nil {
		return err
	}
	s.mourned = s.now()
	return s.Refresh(ctx)
}

// Enter begins a session: its user is online from now. offer queues frames for it, or returns false when there is no room; it does not block. The caller closes
// the Session when it has ended.
func (s *Service) Enter(user string, offer func(frames []byte) bool) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attend(user, began, s.now())
	return &Session{service: s, user: user, offer: offer}
}

// attend carries out a step of a user's attendance. Called with mu held.
func (s *Service) attend(user string, e event, at time.Time) {
	a, effect := s.here[user].step(e, protocol.At(at))
	switch effect {
	case none:
	case pauses:
		s.pausing = append(s.pausing, pause{user, a.left, at.Add(grace)}) // Run renews the lease before that ends, and then sees it
	case arrives, departs:
		s.leasing[user] = effect == arrives
		s.poke()
	}
	if s.here[user] = a; a == (attendance{}) {
		delete(s.here, user)
	}
	if effect == arrives || effect == departs {
		s.mark(user)
	}
}

// mark marks those who watch a user. Called with mu held, after the change.
func (s *Service) mark(user string) {
	for w := range s.watched[user] {
		s.marked[w] = struct{}{}
	}
	if len(s.watched[user]) > 0 {
		s.poke()
	}
}

func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Set sets a user's status: online, away or invisible. It is durable when Set returns, and from then on Hidden knows it.
func (s *Service) Set(ctx context.Context, user string, status protocol.Status) error {
	if err := s.store.SetStatus(ctx, user, status, protocol.At(s.now())); err != nil {
		return err
	}
	changed, err := s.learn(ctx, []string{user})
	s.mu.Lock()
	s.mark(user)
	s.mu.Unlock()
	if changed {
		s.announce()
	}
	return err
}

// Hidden reports whether a user is invisible, or may be: what they do is told to nobody else. It waits for nothing.
func (s *Service) Hidden(user string) bool {
	s.hiding.RLock()
	defer s.hiding.RUnlock()
	_, is := s.hidden.users[user]
	return is || s.hidden.unknown != nil && s.hidden.unknown(user)
}

// Refresh reads who is invisible, some of whom may have said so on other nodes.
func (s *Service) Refresh(ctx context.Context) error {
	_, err := s.learn(ctx, nil)
	return err
}

// learn reads which of the users are invisible, nil: of all, and reports whether that is news. One reads at a time, so that an older answer does not replace a
// newer one.
func (s *Service) learn(ctx context.Context, users []string) (changed bool, err error) {
	select {
	case s.reading <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-s.reading }()
	list, err := s.store.Invisible(ctx, users)
	partial, ok := errors.AsType[*chat.PartialError](err)
	if err != nil && !ok {
		return false, err
	}
	news := s.hide(users, list)
	if users == nil {
		s.doubt(partial)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range news {
		s.mark(user)
	}
	return len(news) > 0, nil
}

// hide takes over which of the users, nil: of all, are hidden, and returns for whom that is new.
func (s *Service) hide(users, hidden []string) (news []string) {
	s.hiding.Lock()
	defer s.hiding.Unlock()
	before := s.hidden.users
	after := make(map[string]struct{}, len(hidden))
	for _, user := range hidden {
		after[user] = struct{}{}
		if _, was := before[user]; !was {
			news = append(news, user)
		}
	}
	if users == nil {
		for user := range before {
			if _, is := after[user]; !is {
				news = append(news, user)
			}
		}
		s.hidden.users = after
		return news
	}
	for _, user := range users {
		_, was := before[user]
		if _, is := after[user]; is {
			before[user] = struct{}{}
		} else if was {
			delete(before, user)
			news = append(news, user)
		}
	}
	return news
}

// doubt takes over of whom it is not known whether they are hidden; nil: of nobody.
func (s *Service) doubt(partial *chat.PartialError) {
	s.hiding.Lock()
	defer s.hiding.Unlock()
	if s.hidden.unknown = nil; partial != nil {
		s.hidden.unknown = partial.Unanswered
	}
}

// Committed tells of what the log has made durable: who has joined or left a room may see others from now, or no longer. It does not block.
func (s *Service) Committed(c *chat.Commit) {
	for _, e := range c.Events {
		if len(e.Joined)+len(e.Left) > 0 {
			s.moved(e.Joined)
			s.moved(e.Left)
		}
	}
}

// moved marks those who watch the users, and whom they watch.
func (s *Service) moved(users []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		s.mark(user)
		for session := range s.viewers[user] {
			for _, w := range session.watches {
				s.marked[w] = struct{}{}
			}
			s.poke()
		}
	}
}

// Stats is what a Service is doing and has done.
type Stats struct {
	Online        int    // users with a session on this node, or without one for less than 10 s
	Subscriptions int    // of all sessions of this node: one for each user whom one watches
	Signals       uint64 // since the start
}

// Stats is what the Service is doing now.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Online: len(s.here), Subscriptions: s.subscribed, Signals: s.signals.Load()}
}
