package api

import (
	"context"
	"log/slog"
	"sync"

	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// Checkpoints keep where the sessions of event streams stood, so that event ids can be short. Implementations are used by many goroutines at once.
type Checkpoints interface {
	// SaveCheckpoint keeps the next checkpoint of a session, and the one before it. It is kept for a day, and for as long as KeepCheckpoints is told of.
	SaveCheckpoint(ctx context.Context, session string, number uint64, positions []byte) error
	// Checkpoint is what SaveCheckpoint was given; nil if it is kept no longer, or never was.
	Checkpoint(ctx context.Context, session string, number uint64) ([]byte, error)
	// KeepCheckpoints keeps those of a node's live sessions for a day from now.
	KeepCheckpoints(ctx context.Context, node string) error
}

// streams is what the event streams of a node have in common.
type streams struct {
	checkpoints Checkpoints
	key         []byte // of the MAC in event ids
	epoch       func() string
	log         *slog.Logger
	wake        chan struct{} // capacity 1: a checkpoint is to be made

	mu  sync.Mutex // a leaf
	due []*track   // of which a checkpoint is to be made
}

func newStreams(o Options) *streams {
	return &streams{
		checkpoints: o.Checkpoints, key: o.StreamKey, epoch: o.Epoch, log: o.Log, wake: make(chan struct{}, 1),
	}
}

// goOn has an event stream go on behind the message with the id that its client got last. Where the id does not tell the position in a room, be it another
// user's, forged, or older than its checkpoint, the room gets `reset`; only while the store cannot be asked there is an error.
func (s *streams) goOn(ctx context.Context, entry *delivery.Entry, user, text string) error {
	if text == "" {
		return nil
	}
	id, ok := openID(s.key, user, text)
	if !ok {
		entry.Lost = true
		return nil
	}
	base := &checkpoint{}
	if id.number > 0 {
		found, err := s.checkpoints.Checkpoint(ctx, id.session, id.number)
		if err != nil {
			return err
		}
		if base, ok = readCheckpoint(found); !ok {
			base, entry.Lost = &checkpoint{}, true
		}
	}
	entry.Resume, entry.Epoch = map[string]protocol.Seq{}, id.epoch
	for room, at := range id.all(base) {
		entry.Resume[room] = at.seq()
	}
	return nil
}

// saveSoon has a checkpoint made. It does not block.
func (s *streams) saveSoon(t *track) {
	s.mu.Lock()
	s.due = append(s.due, t)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// save makes the checkpoints that are due. What cannot be made is tried again with the next call.
func (s *streams) save(ctx context.Context) {
	s.mu.Lock()
	due := s.due
	s.due = nil
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, t := range due {
		if t.session.Done() {
			continue
		}
		all.Go(func() {
			if err := t.save(ctx); err != nil {
				s.log.Warn("a checkpoint of an event stream could not be made", "error", err)
				s.mu.Lock()
				s.due = append(s.due, t)
				s.mu.Unlock()
			}
		})
	}
	all.Wait()
}

// keep keeps the checkpoints of the node's sessions.
func (s *streams) keep(ctx context.Context, node string) {
	if err := s.checkpoints.KeepCheckpoints(ctx, node); err != nil {
		s.log.Warn("the checkpoints of this node's event streams could not be kept", "error", err)
	}
}
