package auth

import "errors"

// What a Store answers when it must say no.
var (
	ErrRevoked   = errors.New("the session was revoked")
	ErrTooMany   = errors.New("too many sessions")
	ErrNoSession = errors.New("no such session")
	ErrKeyExists = errors.New("a key of this name exists")
	ErrNoKey     = errors.New("no such key")
	ErrNoTicket  = errors.New("no such ticket")
)
