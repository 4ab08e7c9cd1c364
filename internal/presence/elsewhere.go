package presence

import (
	"context"
	"slices"
	"time"
)

// elsewhere is who was online on other nodes when the leases were last asked: of those who are watched, and not here.
type elsewhere struct {
	online   map[string]bool
	doubtful time.Time // until then who is missing in the leases may not have been entered again
}

// lookElsewhere marks those who watch somebody who has come or gone on another node.
func (s *Service) lookElsewhere(ctx context.Context) error {
	if !s.shared {
		return nil
	}
	var users []string
	s.mu.Lock()
	for user := range s.watched {
		if _, here := s.here[user]; !here {
			users = append(users, user)
		}
	}
	for user := range s.elsewhere.online {
		if s.watched[user] == nil {
			delete(s.elsewhere.online, user)
		}
	}
	s.mu.Unlock()
	for part := range slices.Chunk(users, maxPairs) {
		online, err := s.leases.Online(ctx, part)
		if err != nil {
			return err
		}
		s.know(part, online, true)
	}
	return nil
}

// know takes over which of the users are online elsewhere, if that was answered, marks those of whom that is news, and returns who is to be seen as online.
func (s *Service) know(users []string, online map[string]bool, answered bool) map[string]bool {
	if !s.shared {
		return online
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	doubtful := !answered || s.now().Before(s.elsewhere.doubtful)
	known := map[string]bool{}
	for _, user := range users {
		was := s.elsewhere.online[user]
		is := online[user] || was && doubtful
		if is {
			known[user] = true
		}
		if is == was {
			continue
		}
		if s.elsewhere.online[user] = is; !is {
			delete(s.elsewhere.online, user)
		}
		s.mark(user)
	}
	return known
}
