package store

import "sync/atomic"

// life is which life of the log the store has.
type life struct {
	epoch atomic.Pointer[string]
}

// Epoch is the life of the stored log: another one means that sequence numbers may have been used again with other content. It may change at any time.
func (l *life) Epoch() string { return *l.epoch.Load() }

// Stands reports whether positions in a room that were told under an epoch are good under the present one, or with room "" those in all rooms.
func (l *life) Stands(epoch, _ string) bool { return epoch == l.Epoch() }

// Life is the epoch of the log of a room, which came from no other store.
func (l *life) Life(string) (now, before string) { return l.Epoch(), "" }
