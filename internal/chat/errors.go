package chat

import "errors"

// What a store answers when it must say no.
var (
	// ErrNoMember means that the user is no member of the room now.
	ErrNoMember = errors.New("the user is no member of the room")
	// ErrPosition means that a Position is not of this store, or older than what the store remembers.
	ErrPosition = errors.New("the position cannot be honoured")
)
