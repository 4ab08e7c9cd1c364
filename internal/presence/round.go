package presence

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/protocol"
)

const (
	gather     = 100 * time.Millisecond // from a change to the round that tells it
	retry      = time.Second            // after a round that failed, and for sessions that had no room
	leaseTime  = 15 * time.Second       // after which a node that died has nobody online
	renewEvery = 2 * time.Second        // and then looks for who has come and gone on other nodes
	doubtTime  = 2 * renewEvery         // after all leases were lost: until then the other nodes have renewed theirs
	mournEvery = time.Minute            // looks for nodes that have died
	maxPairs   = 2000                   // in one question to the store
	maxGone    = 1000                   // users in one transaction
	farewell   = 5 * time.Second        // for what is stored at the end
)

// Run tells what changes until the context ends; then it stores that everyone who is still here was seen until now. It is called once.
func (s *Service) Run(ctx context.Context) {
	defer s.leave(ctx)
	failed := false
	for ctx.Err() == nil {
		wait, err := s.round(ctx)
		if err != nil {
			if ctx.Err() == nil && !failed {
				s.log.Warn("presence is not told whole: it tries again every second", "error", err)
			}
			failed = true
			sleep(ctx, retry)
			continue
		}
		failed = false
		next := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-next.C:
		case <-s.wake:
			sleep(ctx, gather)
		}
		next.Stop()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// round does everything that is due, and says how long there will be nothing unless Run is woken.
func (s *Service) round(ctx context.Context) (wait time.Duration, err error) {
	if err := s.see(ctx); err != nil {
		return 0, err
	}
	leased := s.lease(ctx) // without the leases one goes on with who is here, and who was known to be elsewhere
	if err := s.mourn(ctx); err != nil {
		return 0, err
	}
	if err := s.tellAll(ctx); err != nil {
		return 0, err
	}
	if leased != nil {
		return 0, leased
	}
	now := s.now()
	wait = s.renewed.Add(renewEvery).Sub(now)
	if len(s.refused) > 0 {
		wait = min(wait, s.again.Sub(now))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pausing) > 0 {
		wait = min(wait, s.pausing[0].ends.Sub(now))
	}
	return max(wait, 0), nil
}

// see has those depart whose grace is over: first it is stored when they were seen.
func (s *Service) see(ctx context.Context) error {
	for {
		over, last := s.over()
		if over == 0 {
			return nil
		}
		if len(last) > 0 {
			if err := s.store.Seen(ctx, last); err != nil {
				return err
			}
		}
		s.mu.Lock()
		for _, p := range s.pausing[:over] {
			s.attend(p.user, waited, p.left.Go())
		}
		s.pausing = slices.Delete(s.pausing, 0, over)
		s.mu.Unlock()
	}
}

// over is how many of those who pause are to be looked at, and when those of them were seen last who have not come back.
func (s *Service) over() (n int, last map[string]protocol.Time) {
	now := s.now()
	last = map[string]protocol.Time{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < min(len(s.pausing), maxGone) && !s.pausing[n].ends.After(now) {
		if p := s.pausing[n]; s.here[p.user].isGone(p.left) {
			last[p.user] = p.left
		}
		n++
	}
	return n, last
}

// lease tells the leases who has come and gone, renews this node's, and then looks who has come and gone elsewhere.
func (s *Service) lease(ctx context.Context) error {
	now := s.now()
	due := !now.Before(s.renewed.Add(renewEvery))
	if due {
		fresh, err := s.leases.Renew(ctx, s.node, leaseTime)
		if err != nil {
			return err
		}
		if fresh {
			s.enterAnew(now)
		}
	}
	s.mu.Lock()
	changes := s.leasing
	s.leasing = map[string]bool{}
	s.mu.Unlock()
	if err := s.change(ctx, changes); err != nil {
		if errors.Is(err, state.ErrNoLease) {
			s.renewed = time.Time{}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		maps.Copy(changes, s.leasing) // what has happened since is newer
		s.leasing = changes
		return err
	}
	if !due {
		return nil
	}
	if err := s.lookElsewhere(ctx); err != nil {
		return err
	}
	s.renewed = now
	return nil
}

// enterAnew has everybody entered who is here, because the lease had none. Others' may be lost as well.
func (s *Service) enterAnew(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user := range s.here {
		s.leasing[user] = true
	}
	s.elsewhere.doubtful = now.Add(doubtTime)
}

func (s *Service) change(ctx context.Context, changes map[string]bool) error {
	var come, gone []string
	for user, here := range changes {
		if here {
			come = append(come, user)
		} else {
			gone = append(gone, user)
		}
	}
	if len(come) > 0 {
		if err := s.leases.Enter(ctx, s.node, come); err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.leases.Leave(ctx, s.node, gone)
}

// mourn keeps when those were seen last whose node has died.
func (s *Service) mourn(ctx context.Context) error {
	now := s.now()
	if now.Before(s.mourned.Add(mournEvery)) {
		return nil
	}
	err := s.store.Lost(ctx, "")
	if err == nil {
		s.mourned = now
	}
	return err
}

// tellAll tells every marked watch what differs from what it was told.
func (s *Service) tellAll(ctx context.Context) error {
	if now := s.now(); len(s.refused) > 0 && !now.Before(s.again) {
		s.remark(s.refused)
		s.refused = nil
	}
	for {
		watches, pairs := s.take()
		if len(watches) == 0 {
			return nil
		}
		views, err := s.views(ctx, pairs)
		if err != nil {
			s.remark(watches)
			return err
		}
		bySession := map[*Session][]*watch{}
		for _, w := range watches {
			bySession[w.session] = append(bySession[w.session], w)
		}
		frames := frames{}
		for p, list := range bySession {
			refused := s.tell(p, list, views, frames)
			if len(s.refused) == 0 {
				s.again = s.now().Add(retry)
			}
			s.refused = append(s.refused, refused...)
		}
	}
}

// remark marks watches again, those that there still are.
func (s *Service) remark(watches []*watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range watches {
		if w.session.watches[w.user] == w {
			s.marked[w] = struct{}{}
		}
	}
}

// take takes watches that are marked, but for those that a call is about to tell.
func (s *Service) take() (watches []*watch, pairs []Pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.marked {
		if len(watches) == maxPairs {
			break
		}
		if w.asking == 0 {
			delete(s.marked, w)
			watches = append(watches, w)
			pairs = append(pairs, w.pair())
		}
	}
	return watches, pairs
}

// views is how users are seen now.
func (s *Service) views(ctx context.Context, pairs []Pair) (map[Pair]protocol.PresenceData, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	kept, err := s.store.Visible(ctx, pairs)
	if err != nil {
		return nil, err
	}
	var elsewhere []string
	online := map[string]bool{}
	s.mu.Lock()
	for p := range kept {
		if _, here := s.here[p.User]; here {
			online[p.User] = true
		} else {
			elsewhere = append(elsewhere, p.User)
		}
	}
	s.mu.Unlock()
	if len(elsewhere) > 0 {
		more, err := s.leases.Online(ctx, elsewhere)
		if err != nil && !s.shared {
			return nil, err
		}
		maps.Copy(online, s.know(elsewhere, more, err == nil))
	}
	views := make(map[Pair]protocol.PresenceData, len(pairs))
	for _, p := range pairs {
		views[p] = protocol.PresenceData{Status: protocol.StatusOffline}
		if k, visible := kept[p]; visible {
			views[p] = k.seenBy(p, online[p.User])
		}
	}
	return views, nil
}

// frames are the signals of one round, each encoded once.
type frames map[signal][]byte

type signal struct {
	user string
	data protocol.PresenceData
}

func (f frames) of(user string, data protocol.PresenceData) []byte {
	frame := f[signal{user, data}]
	if frame == nil {
		frame = protocol.AppendSignal(nil, protocol.SignalPresence, "", user, data)
		f[signal{user, data}] = frame
	}
	return frame
}

// tell tells one session what is new to it, in as few batches as go, and returns what it had no room for.
func (s *Service) tell(p *Session, watches []*watch, views map[Pair]protocol.PresenceData, frames frames) (refused []*watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch []byte
	var told []*watch
	flush := func() {
		switch {
		case len(told) == 0:
		case p.offer(batch):
			s.signals.Add(uint64(len(told)))
			for _, w := range told {
				w.told = views[w.pair()]
			}
		default:
			refused = append(refused, told...)
		}
		batch, told = nil, nil
	}
	for _, w := range watches {
		view := views[w.pair()]
		if p.watches[w.user] != w || w.asking > 0 || w.told == view {
			continue
		}
		frame := frames.of(w.user, view)
		if len(batch)+1+len(frame) > protocol.MaxServerMessage {
			flush()
		}
		if len(batch) > 0 {
			batch = append(batch, '\n')
		}
		batch, told = append(batch, frame...), append(told, w)
	}
	flush()
	return refused
}

// leave stores that everyone who is here was seen, and takes this node's users out of the leases.
func (s *Service) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	now := protocol.At(s.now())
	var users []string
	s.mu.Lock()
	last := make(map[string]protocol.Time, len(s.here))
	for user, a := range s.here {
		users = append(users, user)
		if last[user] = now; a.sessions == 0 {
			last[user] = a.left
		}
	}
	s.mu.Unlock()
	err := s.leases.Leave(ctx, s.node, users)
	for part := range slices.Chunk(users, maxGone) {
		seen := make(map[string]protocol.Time, len(part))
		for _, user := range part {
			seen[user] = last[user]
		}
		err = errors.Join(err, s.store.Seen(ctx, seen))
	}
	if err != nil {
		s.log.Warn("when users were last seen could not be stored", "error", err)
	}
}
