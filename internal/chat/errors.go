package chat

import "errors"

// What a store answers when it must say no.
var (
	// ErrNoMember means that the user is no member of the room now.
	ErrNoMember = errors.New("the user is no member of the room")
	// ErrPosition means that a Position is not of this store, or older than what the store remembers.
	ErrPosition = errors.New("the position cannot be honoured")
)

// PartialError says that a part of the store could not be asked: about the rooms, or users, of which Unanswered reports so nothing is known.
type PartialError struct {
	Unanswered func(id string) bool // may be called at any time, and waits for nothing
	Err        error
}

func (e *PartialError) Error() string {
	return "a part of the store could not be asked: " + e.Err.Error()
}

func (e *PartialError) Unwrap() error { return e.Err }
